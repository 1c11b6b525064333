"""One agent a state directory: an `flock`, which the kernel lets go when its holder dies.

Whoever deletes the directory deletes the name of what is locked, and another agent could lock
another file of that name. So the holder looks now and then (`Lock.keep`).
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from agent.errors import LockedError, LockLostError, StateDirectoryError

LOCK_NAME: Final = "agent.lock"

_log = structlog.get_logger("agent")


class Lock:
    """The lock of a directory, while it is held.

    Args:
        directory: that is held.
        descriptor: of the locked file; closed in the end.
    """

    def __init__(self, directory: Path, descriptor: int) -> None:
        self._directory = directory
        self._path = str(directory / LOCK_NAME)
        self._descriptor = descriptor
        self._write_pid()

    def keep(self) -> None:
        """Take the lock anew where its file is gone from its place, and the directory is there.

        Raises:
            LockLostError: another process was quicker, and works there now.
        """
        if self._is_in_place():
            return
        try:
            descriptor = _open(self._directory)
        except OSError:
            # Where nothing can be made nobody else gets a lock either.
            return
        if os.path.sameopenfile(descriptor, self._descriptor):
            # It could not be looked at for a moment (NFS), or was moved back.
            os.close(descriptor)
            return
        if not _lock(descriptor):
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise LockLostError(self._directory, pid)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._write_pid()
        _log.warning(
            "state_lock_was_removed",
            directory=str(self._directory),
            hint="it is taken again; stop the agent before anything of its state is deleted",
        )

    def let_go(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def _is_in_place(self) -> bool:
        try:
            found = os.stat(self._path)  # noqa: PTH116  # each second
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self._descriptor))

    def _write_pid(self) -> None:
        # The lock holds without it, on a disk that is full.
        with suppress(OSError):
            os.pwrite(self._descriptor, pid := f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(self._descriptor, len(pid))


@contextmanager
def hold(directory: Path) -> Generator[Lock]:
    """Hold the directory until the block ends; made if it is missing, and tried for writing.

    The file stays behind and is never deleted: two processes could otherwise lock two files of
    one name. Its content, the holder's pid, is for people alone.

    Raises:
        LockedError: another process holds it.
        StateDirectoryError: it cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = _open(directory)
    except OSError as error:
        raise StateDirectoryError(directory, error) from error
    if not _lock(descriptor):
        pid = _read_pid(descriptor)
        os.close(descriptor)
        raise LockedError(directory, pid)
    lock = Lock(directory, descriptor)
    try:
        yield lock
    finally:
        lock.let_go()


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


def _open(directory: Path) -> int:
    return os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)


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
