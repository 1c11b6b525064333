"""One agent a state directory: an `flock`, which the kernel lets go when its holder dies."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agent.errors import LockedError, StateDirectoryError

LOCK_NAME: Final = "agent.lock"


@contextmanager
def hold(directory: Path) -> Generator[None]:
    """Hold the directory until the block ends; made if it is missing, and tried for writing.

    The file stays behind and is never deleted: two processes could otherwise lock two files of
    one name. Its content, the holder's pid, is for people alone.

    Raises:
        LockedError: another process holds it.
        StateDirectoryError: it cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StateDirectoryError(directory, error) from error
    try:
        if not _lock(descriptor):
            raise LockedError(directory, _read_pid(descriptor))
        # The lock holds without it, on a disk that is full.
        with suppress(OSError):
            os.pwrite(descriptor, pid := f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(descriptor, len(pid))
        yield
    finally:
        os.close(descriptor)


def holder(directory: Path) -> int | None:
    """The pid of the agent that holds the directory now, None if nobody does."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    """Whether it is ours now; `holder` has it for a moment, and must not keep an agent out."""
    for wait_seconds in (0.02, 0.1, 0.3, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait_seconds)
        else:
            return True
    return False


def _read_pid(descriptor: int) -> int | None:
    with suppress(ValueError, OSError):
        return int(os.pread(descriptor, 32, 0))
    return None
