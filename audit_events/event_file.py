"""The file that events are appended to: a line is there whole when `append` returns, or absent.

Many threads and processes share one file, on a local file system, and wait for nobody: no lock is
taken. The argument, for whoever changes this:

* **Lines do not mix.** The kernel places an `O_APPEND` write and writes it under the lock of the
  inode. So a `write` that took all bytes stands there in one piece, whoever else writes.
* **Torn by a kill** (the kernel gives up between two pages). The torn piece has no newline; its
  caller never heard of success. Whoever appends behind it finds, *after* the write, that the file
  did not grow by its own line alone and that the byte before the line is no newline: the piece
  and the line are one that nobody can parse. Both are blanked, in place, with newlines (empty
  lines, which are none), and the line is written once more. The piece's own `write` has ended, as
  something stands behind it, so its bytes are nobody's. In this order, because a reader may have
  passed the glued line already: it finds the line again, and nobody finds it twice.
* **Half a line on a full disk** is blanked by its writer in the same way, and by whoever comes
  behind it if the writer is killed over it.
* **Not torn by us**: a piece that is whole JSON (appended by hand, without its newline) or that
  begins like no event is kept; only the line behind it is blanked, which ends it.
* **Deleted.** The path is looked at once a millisecond at most, and then the link count is read
  after the write: a line that went into a file without a name is written again, into a new file,
  and so are those since the look before. So a deleted file goes on taking lines for a millisecond
  at most; if then nobody writes for a second, they are as lost as those from before the deletion.
* **Renamed.** Within that millisecond a line may still reach the file that was just renamed;
  whoever follows it reads it there, as the lines before.
* **Truncated** (`copytruncate`): the next line stands at the new end.
* **Another file system under the path** (the log's own went away): no file is made there.
* **Closed by somebody else**, as daemons close all that is open: it is opened again. What got the
  number of its descriptor since is left alone, but for a line within that millisecond, which is
  found elsewhere than behind the last one and written again, to the log.
* **A file system that failed** (read-only after an error, EIO) is let go of with the first line
  that it does not take: nobody can unmount, check and mount it while its file is open here.
* **Lost in the cache**: what the kernel could not write, it drops after a while, and zeros stand
  there. So after a second without a line the byte before the next one is looked at.

"There" means in the kernel: it survives the process, not the machine. `append_looking` and
`take_unsynced` are for those who want more.
"""

import contextlib
import errno
import os
import stat
from time import monotonic
from typing import TYPE_CHECKING, Final

from audit_events.descriptor import close_all, is_of_system, is_still, sync_and_close
from audit_events.errors import SinkError
from audit_events.torn import blank, read_torn

if TYPE_CHECKING:
    from pathlib import Path

LOOK_INTERVAL_SECONDS: Final = 0.001
"""How often the path is looked at, at most. `stat` costs as much as the `write` (1.8 µs each), and
a `write` after `fstat` costs 1.1 µs more than one after `lseek`: once a file's times were read, the
kernel has to write finer ones (measured on Linux 6.18)."""
_KEPT_SECONDS: Final = 1.0
"""How late a look may be for the lines before it to be written again: much later, a file was rather
rotated, packed and deleted with them."""
_MAX_TRIES: Final = 8
"""A line is written again when it went into a deleted file or behind a torn piece; both are rare,
and more often than this in a row only where somebody spoils the file on purpose."""
_MODE: Final = 0o640
_HINTS: Final = {
    errno.ENOSPC: "free space on that file system",
    errno.EDQUOT: "raise the quota of this user",
    errno.EACCES: "let this user write there",
    errno.EROFS: "remount it writable (after an error, which the kernel's log has: unmount it,"
    " check it, mount it), or configure another path",
    errno.EISDIR: "name a file in that directory",
    errno.ENOENT: "create the directory, or configure another path",
    errno.ENOTDIR: "create the directory, or configure another path",
    errno.EFBIG: "raise the limit of this process (ulimit -f), or rotate the file",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or find what leaks them",
    errno.ENFILE: "raise the system's limit of open files",
    errno.EXDEV: "mount it again; restart the application if the log is to be there from now on",
    errno.EIO: "look at the disk, and at who else writes to the file",
    errno.EUCLEAN: "unmount that file system, check it (fsck), mount it",
}
_FAILED: Final = frozenset(
    {
        errno.EROFS,
        errno.EIO,
        errno.EUCLEAN,
        errno.ENXIO,
        errno.ENODEV,
        errno.ESTALE,
        errno.EXDEV,
    }
)
"""The file system, or the disk below, is not what it was. A full one is: a process that gave up the
right to open the file keeps it open there."""


class EventFile:
    """Appends lines to `path`, reopening it after rotation.

    Not thread-safe by itself: `ChainedLogger` calls it under its own lock.

    Attributes:
        is_regular: whether it is a file, as far as is known, and no pipe or device.
    """

    def __init__(self, path: "Path") -> None:
        self.path = path
        self._descriptor = -1
        self._identity = (-1, -1)
        self.is_regular = True
        self._end = -1
        self._next_look = 0.0
        self._looked_at = -1
        self._deleted = b""
        self._device = -1
        self._is_distrusted = False
        self._unsynced_directories: set[Path] = set()
        self._syncing_directories: set[Path] = set()
        self._retired: list[int] | None = None
        self._taken: list[int] = []

    def another(self) -> "EventFile":
        """Return a writer of the same file, with descriptors of its own."""
        other = EventFile(self.path)
        other._device = self._device
        return other

    def open(self) -> None:
        """Open the file, making it if it is missing, so that a wrong path shows at start.

        Only here its directory is made. One that vanishes later is an error at each event: a log
        in a directory that somebody removed, or under a mount that went away, would be no log.

        Raises:
            SinkError: it cannot be opened for appending.
        """
        try:
            self._make_directory()
            self._open_current()
        except OSError as error:
            raise self._describe("open", error) from error

    def append(self, line: bytes) -> None:
        """Append one line, which ends in a newline; or several, one behind the other.

        Cost: one `write` and one `lseek`; where the last look is over a millisecond ago, also a
        `stat` and an `fstat`.

        Raises:
            SinkError: nothing of the line is in the file, or no more than a torn piece.
        """
        try:
            now, end = monotonic(), self._end
            if now >= self._next_look or end < 0:
                if now > self._next_look + _KEPT_SECONDS:
                    self._looked_at, end = end, -1
                self._append_looking(line, end)
                self._next_look = now + LOOK_INTERVAL_SECONDS
                return
            written = os.write(self._descriptor, line)
            self._end = stop = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            # Behind the line before, which was ours too: nobody else was there.
            if not stop == end + len(line) == end + written:
                if self._is_settled(line, written, end):
                    self._looked_at = self._end
                else:
                    self._append_looking(line, -1)
        except OSError as error:
            self._end = -1
            if not is_of_system(error):
                raise
            if error.errno in _FAILED:
                self._let_go()
            raise self._describe("append to", error) from error

    def append_looking(self, line: bytes) -> None:
        """Append one line, whenever the last look was: nothing is on the disk in a deleted file.

        Raises:
            SinkError: as `append`.
        """
        self._next_look = min(self._next_look, monotonic())
        self.append(line)

    def begin_unsynced(self) -> None:
        """Keep what is appended from now on at hand for `take_unsynced`, whatever is rotated."""
        close_all(self._retired or [])
        self._retired = []

    def take_unsynced(self) -> list[int]:
        """Return descriptors of what was appended, and of what has to be synced for it to be found.

        Whoever asks closes them. A pipe or a device has none: there is nothing to sync.

        Raises:
            OSError: no descriptors are left, or a directory is not there to be synced.
        """
        self._taken = taken = self._retired or []
        self._retired = None
        if not self.is_regular:
            return taken
        self._syncing_directories, self._unsynced_directories = self._unsynced_directories, set()
        try:
            if self._descriptor >= 0:
                taken.append(os.dup(self._descriptor))
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            taken += (os.open(directory, flags) for directory in self._syncing_directories)
        except OSError:
            close_all(taken)
            raise
        return taken

    def sync(self) -> None:
        """Sync the file, and its place in its directory, as they are now.

        Raises:
            SinkError: that failed.
        """
        try:
            sync_and_close(self.take_unsynced())
        except OSError as error:
            raise self.distrust(error) from error

    def distrust(self, error: OSError) -> SinkError:
        """Take note that a sync failed: the end of the file may be gone after a power cut.

        The next line begins behind a newline of its own, so that it is not glued to zeros.
        """
        self._is_distrusted = True
        self._end = -1
        self._unsynced_directories |= self._syncing_directories
        return self._describe("sync", error)

    def close(self) -> None:
        """Close the descriptor; the next `append` opens the file again."""
        descriptor, self._descriptor = self._descriptor, -1
        self._identity = (-1, -1)
        self._end = -1
        self._next_look = 0.0
        self._looked_at = -1
        self._deleted = b""
        if descriptor >= 0:
            if self._retired is None:
                os.close(descriptor)
            else:
                self._retired.append(descriptor)

    def _let_go(self) -> None:
        """Close the descriptor, and keep what is to be written again."""
        deleted = self._deleted
        self.close()
        self._deleted = deleted

    def abandon(self) -> None:
        """Close what the parent of a forked child has open: the rest of its work is its own."""
        retired, self._retired = self._retired or [], None
        close_all(retired)
        close_all(self._taken)
        self.close()

    def __del__(self) -> None:
        """Let go of what nobody can append to any more: the log was dropped."""
        with contextlib.suppress(Exception):  # while the interpreter ends nothing is certain
            if self._descriptor >= 0 and is_still(self._descriptor, self._identity):
                os.close(self._descriptor)

    def _describe(self, operation: str, error: OSError) -> SinkError:
        hint = _HINTS.get(error.errno or 0, "")
        if operation == "sync":
            hint = "the event stands in the file, and a power cut may take it; look at the disk"
        return SinkError(self.path, operation, error, hint)

    def _make_directory(self) -> None:
        directory = self.path.parent
        for ancestor in (directory, *directory.parents):
            if ancestor.exists():
                break
            self._unsynced_directories.add(ancestor.parent)
        directory.mkdir(parents=True, exist_ok=True)
        self._device = directory.stat().st_dev

    def _open_current(self) -> bool:
        """Open the file that is there now, unless it is open; tells whether it was not."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        if self._descriptor >= 0 and not is_still(self._descriptor, self._identity):
            self._descriptor = -1  # not to be closed: it is another's by now
            self.close()
        try:
            found = os.stat(self.path)  # noqa: PTH116  # a third of the cost of Path.stat
            if (found.st_dev, found.st_ino) == self._identity:
                return False
        except FileNotFoundError:
            flags |= os.O_CREAT
            self._refuse_other_device()
        # Before the new one is opened: where that fails, they are not forgotten.
        self._deleted += self._read_deleted()
        self._looked_at = -1
        descriptor = os.open(self.path, flags, _MODE)
        self._let_go()
        self._descriptor = descriptor
        opened = os.fstat(descriptor)
        self._identity = (opened.st_dev, opened.st_ino)
        self.is_regular = stat.S_ISREG(opened.st_mode)
        self._unsynced_directories.add(self.path.parent)
        return True

    def _read_deleted(self) -> bytes:
        """Return the lines since the last look, all of them ours, if their file was deleted."""
        size = self._end - self._looked_at
        if self._looked_at < 0 or size <= 0 or os.fstat(self._descriptor).st_nlink:
            return b""
        lines = os.pread(self._descriptor, size, self._looked_at)
        return lines if lines.endswith(b"\n") else b""

    def _refuse_other_device(self) -> None:
        device = os.stat(self.path.parent).st_dev  # noqa: PTH116  # as above
        if self._device not in (-1, device):
            raise OSError(errno.EXDEV, "its file system is not the one of the start")

    def _append_looking(self, line: bytes, end: int) -> None:
        """Append to the file that is there now, until the line stands there.

        What went into a file since the last look, and then was deleted with it, is appended too.

        Args:
            line: what to append.
            end: of what this process wrote before; -1: not known.
        """
        for _ in range(_MAX_TRIES):
            if self._open_current():
                end = -1
            if not self.is_regular:
                return self._write_stream(line)
            text = self._deleted + line
            if self._is_distrusted:
                text = b"\n" + text
            written = os.write(self._descriptor, text)
            if self._is_settled(text, written, end):
                self._is_distrusted = False
                self._deleted = b""
                self._looked_at = self._end
                return None
            end = -1
        raise OSError(errno.EIO, "others write to it what are no lines")

    def _write_stream(self, line: bytes) -> None:
        """Write to a pipe or device, such as the standard output of a container."""
        while line:
            line = line[os.write(self._descriptor, line) :]

    def _is_settled(self, text: bytes, written: int, end: int) -> bool:
        """Whether the line stands whole in a file with a name; if not, it is to be written again.

        Args:
            text: what was to be written: the line, perhaps with a newline before it.
            written: how much of it `write` took.
            end: of what this process wrote before; a newline stands there. -1: not known.

        Raises:
            OSError: the rest did not fit; the piece is blanked.
        """
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR) - written
        if written < len(text) and not self._write_rest(text, written, start):
            return False
        found = os.fstat(self._descriptor)
        if not found.st_nlink or (found.st_dev, found.st_ino) != self._identity:
            return False
        self._end = start + len(text)
        if start in (0, end) or text.startswith(b"\n"):
            return True
        # Nothing stands there where somebody truncated the file meanwhile.
        if os.pread(self._descriptor, 1, start - 1) in (b"\n", b""):
            return True
        blank(self._descriptor, start, text)
        torn = read_torn(self._descriptor, start)
        blank(self._descriptor, start - len(torn), torn)
        return False

    def _write_rest(self, text: bytes, written: int, start: int) -> bool:
        """Write what a short `write` left; False where somebody else's line came between."""
        try:
            while written < len(text):
                count = os.write(self._descriptor, text[written:])
                place = os.lseek(self._descriptor, 0, os.SEEK_CUR) - count
                if place != start + written:
                    blank(self._descriptor, place, text[written : written + count])
                    blank(self._descriptor, start, text[:written])
                    return False
                written += count
        except OSError:
            blank(self._descriptor, start, text[:written])
            raise
        return True
