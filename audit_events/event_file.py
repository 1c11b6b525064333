"""The file that events are appended to: a line is there whole when `append` returns, or absent.

Many threads and processes share one file. Every append holds an exclusive `flock` on it, so that:

* a line that does not fit (disk full) is cut off again, with nobody else's bytes behind it;
* a line torn by a kill in the middle of `write` (the kernel gives up between pages) is found by
  the next writer, which ends it with a newline first: the torn piece, whose caller never heard of
  success, stays a line of its own and spoils no other.

"There" means in the kernel: it survives the process, not the machine. A file that was renamed
away by rotation, or deleted, is noticed before each line, and a new one is opened in its place.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from audit_events.errors import SinkError

_MODE: Final = 0o640
_HINTS: Final = {
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "raise the quota of this user",
    errno.EACCES: "let this user write there",
    errno.EROFS: "remount it writable, or configure another path",
    errno.EISDIR: "name a file in that directory",
    errno.ENOENT: "create the directory, or configure another path",
}


class EventFile:
    """Appends lines to `path`, reopening it after rotation.

    Not thread-safe by itself: `ChainedLogger` calls it under its own lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._identity = (-1, -1)
        self._end = 0

    def open(self) -> None:
        """Open the file, making it if it is missing, so that a wrong path shows at start.

        Raises:
            SinkError: it cannot be opened for appending.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open_current()
        except OSError as error:
            raise SinkError(self.path, "open", error, _HINTS.get(error.errno or 0, "")) from error

    def append(self, line: bytes) -> None:
        """Append one line, which ends in a newline.

        Cost: one `stat`, `fstat`, `write` and two `flock` calls.

        Raises:
            SinkError: nothing of the line is in the file.
        """
        try:
            self._open_current()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                self._write(line)
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "")
            raise SinkError(self.path, "append to", error, hint) from error

    def close(self) -> None:
        """Close the descriptor; the next `append` opens the file again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._identity = (-1, -1)

    def _open_current(self) -> None:
        try:
            found = os.stat(self.path)  # noqa: PTH116  # a third of the cost of Path.stat
            if (found.st_dev, found.st_ino) == self._identity:
                return
        except FileNotFoundError:
            pass
        self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, _MODE)
        opened = os.fstat(self._descriptor)
        self._identity = (opened.st_dev, opened.st_ino)
        self._end = -1

    def _write(self, line: bytes) -> None:
        start = os.fstat(self._descriptor).st_size
        # Only where somebody else wrote last can the file end in half a line.
        if start not in (0, self._end) and os.pread(self._descriptor, 1, start - 1) != b"\n":
            line = b"\n" + line
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:] if written else line)
        except OSError:
            if written:
                os.ftruncate(self._descriptor, start)
            raise
        self._end = start + len(line)
