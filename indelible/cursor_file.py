"""The place of one `indelible stream`, in a file: it survives restarts, and one process has it.

Beside it lies `FILE.lock`: locked (flock) while a process has the place, and with its number until
that process has ended between two lines. So the next one knows whether a line may have been cut.
"""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit_events.small_file import read_small_file
from indelible.errors import CommandError
from indelible.run_record import try_lock
from indelible.stream_answer import is_cursor
from indexer.durable import sync

_is_signature: Final = re.compile(r"process \d+").fullmatch


class CursorFile:
    """A place, while it is held.

    Args:
        path: where it is kept.
        is_behind_cut: whether the process before may have been ended in the middle of a line.

    Raises:
        CommandError: it cannot be read.
    """

    def __init__(self, path: Path, *, is_behind_cut: bool) -> None:
        self.path = path
        self.is_behind_cut = is_behind_cut
        self.cursor = _read(path)
        """None before there is one."""

    def keep(self, cursor: str) -> None:
        """Make durable that all before `cursor` was taken.

        Raises:
            CommandError: the file has the former place.
        """
        if cursor == self.cursor:
            return
        scratch = self.path.with_name(self.path.name + ".new")
        try:
            scratch.write_text(f"{cursor}\n", "ascii")
            sync(scratch)
            scratch.replace(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise _unusable(self.path, error) from error
        self.cursor = cursor


@contextmanager
def hold(path: Path) -> Generator[CursorFile]:
    """Hold a place until the block ends.

    Raises:
        CommandError: another process has it, or the file cannot be used.
    """
    try:
        descriptor = os.open(
            path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        former = _read_former(descriptor, path)
        if not try_lock(descriptor):
            raise CommandError(
                f"another process reads on from {path} ({former})",
                hint="stop that one, or name another --cursor-file: each reads all of it",
            )
        cursor_file = CursorFile(path, is_behind_cut=former != "")
        _sign(descriptor, path)
        is_cut = False
        try:
            yield cursor_file
        except OSError:
            is_cut = True  # Of the output: it may have taken a part of a line.
            raise
        finally:
            if not is_cut:
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _read_former(descriptor: int, path: Path) -> str:
    """Return how the one before signed; empty where it ended between two lines."""
    try:
        former = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    except OSError as error:
        raise _unusable(path, error) from error
    if former and not _is_signature(former):
        raise CommandError(
            f"{path}.lock holds something else than a lock, which would be written over",
            hint="name another --cursor-file; its lock lies beside it, as FILE.lock",
        )
    return former


def _sign(descriptor: int, path: Path) -> None:
    try:
        # As long as any other: it is never empty while one takes the place of the other.
        os.pwrite(descriptor, f"process {os.getpid():<10}\n".encode(), 0)
    except OSError as error:
        raise _unusable(path, error) from error


def _read(path: Path) -> str | None:
    try:
        cursor = read_small_file(path).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error
    if not cursor:
        raise CommandError(
            f"{path} is empty: nothing tells how far was read",
            hint="remove it, and name where to begin by --start",
        )
    if not is_cursor(cursor):
        # Not sent: it may be any file, and an address stands in logs.
        raise _unusable(path, None)
    return cursor


def _unusable(path: Path, error: OSError | UnicodeDecodeError | None) -> CommandError:
    why = (error.strerror if isinstance(error, OSError) else None) or "it holds no cursor"
    return CommandError(
        f"{path} cannot be used for the cursor: {why}",
        hint="mend that, or name another file; what was not kept comes again",
    )
