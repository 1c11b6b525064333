"""The file that events are appended to: a line is there whole when `append` returns, or absent.

Many threads and processes share one file, on a local file system, and wait for nobody: no lock is
taken for a line. The argument, for whoever changes this:

* **Lines do not mix.** The kernel places an `O_APPEND` write and writes it under the lock of the
  inode. So a `write` that took all bytes stands there in one piece, whoever else writes.
* **Torn by a kill** (the kernel gives up between two pages). The torn piece has no newline; its
  caller never heard of success. Whoever appends behind it finds, *after* the write, that the file
  did not grow by its own line alone and that the byte before the line is no newline: the piece
  and the line have become one that nobody can parse, and the line is written once more. An opened
  file is looked at *before* its first line, which then ends the piece with a newline of its own.
* **Half a line on a full disk.** The piece is cut off again if nobody else has the file open (each
  keeps a shared `flock` as long as it has, and cutting needs the exclusive one). Else somebody may
  write behind it this moment, so its bytes are overwritten with newlines: empty lines, which are
  none. Where a line stands behind it already, it is a torn piece as above.
* **Deleted.** The link count is read after the write: a line that went into a file without a name
  is written again, into a new file. A deleted file takes no line silently.
* **Renamed.** The path is looked at once a millisecond at most, so a line may still reach the file
  that was just renamed; whoever follows it reads it there, as the lines before.
* **Truncated** (`copytruncate`): the next line stands at the new end.

"There" means in the kernel: it survives the process, not the machine.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from time import monotonic
from typing import Final

from audit_events.errors import SinkError

LOOK_INTERVAL_SECONDS: Final = 0.001
"""How often the path is looked at, at most: `stat` costs as much as the `write` (1.8 µs each)."""
_MAX_TRIES: Final = 8
"""A line is written again when it went into a deleted file or behind a torn piece; both are rare,
and more often than this in a row only where somebody spoils the file on purpose."""
_MODE: Final = 0o640
_HINTS: Final = {
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "raise the quota of this user",
    errno.EACCES: "let this user write there",
    errno.EROFS: "remount it writable, or configure another path",
    errno.EISDIR: "name a file in that directory",
    errno.ENOENT: "create the directory, or configure another path",
    errno.EIO: "look at the disk, and at who else writes to the file",
}


class EventFile:
    """Appends lines to `path`, reopening it after rotation.

    Not thread-safe by itself: `ChainedLogger` calls it under its own lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._identity = (-1, -1)
        self._is_regular = True
        self._end = -1
        self._next_look = 0.0

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

        Cost: one `write` and one `fstat`; a `stat` where the last is over a millisecond ago.

        Raises:
            SinkError: nothing of the line is in the file, or no more than a torn piece.
        """
        try:
            now = monotonic()
            if now >= self._next_look:
                self._open_current()
                self._next_look = now + LOOK_INTERVAL_SECONDS
            end = self._end
            if end >= 0:
                written = os.write(self._descriptor, line)
                found = os.fstat(self._descriptor)
                self._end = found.st_size
                # Grown by this line alone, and still under a name: nobody else was there.
                if found.st_size == end + len(line) == end + written and found.st_nlink:
                    return
                if self._is_settled(line, written, end):
                    return
            self._append_watchfully(line)
        except OSError as error:
            self._end = -1
            hint = _HINTS.get(error.errno or 0, "")
            raise SinkError(self.path, "append to", error, hint) from error

    def close(self) -> None:
        """Close the descriptor; the next `append` opens the file again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._identity = (-1, -1)
        self._end = -1
        self._next_look = 0.0

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
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        opened = os.fstat(self._descriptor)
        self._identity = (opened.st_dev, opened.st_ino)
        self._is_regular = stat.S_ISREG(opened.st_mode)

    def _append_watchfully(self, line: bytes) -> None:
        """Append to a file of which the end is not known, until the line stands there."""
        for _ in range(_MAX_TRIES):
            self._open_current()
            if not self._is_regular:
                return self._write_stream(line)
            text = b"\n" + line if self._ends_torn() else line
            written = os.write(self._descriptor, text)
            if self._is_settled(text, written, -1):
                return None
        raise OSError(errno.EIO, "others write to it what are no lines")

    def _write_stream(self, line: bytes) -> None:
        """Write to a pipe or device, such as the standard output of a container."""
        while line:
            line = line[os.write(self._descriptor, line) :]

    def _ends_torn(self) -> bool:
        """Whether the file surely ends in a torn piece: beside others it may be being written."""
        size = os.fstat(self._descriptor).st_size
        if not size or os.pread(self._descriptor, 1, size - 1) == b"\n":
            return False
        try:
            return self._is_alone()
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def _is_alone(self) -> bool:
        """Take the exclusive lock if nobody else has the file open; the shared one is lost."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_settled(self, text: bytes, written: int, end: int) -> bool:
        """Whether the line stands whole in a file with a name; if not, it is to be written again.

        Args:
            text: what was to be written: the line, perhaps with a newline before it.
            written: how much of it `write` took.
            end: of what this process wrote before; a newline stands there. -1: not known.

        Raises:
            OSError: the rest did not fit; the piece is taken back.
        """
        stop = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        start = stop - written
        if written < len(text) and not self._write_rest(text, written, start):
            return False
        found = os.fstat(self._descriptor)
        if not found.st_nlink:
            return False
        self._end = start + len(text)
        return (
            start in (0, end)
            or text.startswith(b"\n")
            # Empty where somebody truncated the file meanwhile.
            or os.pread(self._descriptor, 1, start - 1) in (b"\n", b"")
        )

    def _write_rest(self, text: bytes, written: int, start: int) -> bool:
        """Write what a short `write` left; False where somebody else's line came between."""
        try:
            while written < len(text):
                count = os.write(self._descriptor, text[written:])
                stop = os.lseek(self._descriptor, 0, os.SEEK_CUR)
                if stop - count != start + written:
                    return False
                written += count
        except OSError:
            self._take_back(start, start + written)
            raise
        return True

    def _take_back(self, start: int, stop: int) -> None:
        """Remove the piece of a line from `start` to `stop`, unless a line stands behind it."""
        try:
            is_alone = self._is_alone()
            # Whoever wrote behind it has seen the piece, and written the line again.
            if os.fstat(self._descriptor).st_size != stop:
                return
            if is_alone:
                os.ftruncate(self._descriptor, start)
            else:
                self._blank(start, stop)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def _blank(self, start: int, stop: int) -> None:
        """Overwrite a piece with newlines, in place: the bytes are there, so no space is needed."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_APPEND)
        try:
            os.pwrite(self._descriptor, b"\n" * (stop - start), start)
        finally:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags)
