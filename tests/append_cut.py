"""What a power cut may leave of files that are only appended to: harsher than the disks of today.

The files are real, and so is every call; only `os.write` and `os.fsync` are looked at on their way.
Of what was not synced each block of 512 bytes may be there, or not, or in part; what is missing in
the middle is zeros, as ext4 and xfs leave it, or what stood there before; the end may be missing,
or be zeros. Names that were not synced may be missing, in the order in which they came: all file
systems with a journal keep that.

A sync may fail, and so may the kernel's own writing, of which nobody is told at once. Then each
block is on the platter or dropped: the kernel takes those for clean, and no later sync writes them,
unless somebody writes there. Each process is told by a sync of its own, once; that goes further
than Linux in one point: a process that opens the file when all others were told is told as well.
"""

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

BLOCK: Final = 512

Choose = Callable[[int], int]
"""Draws a number from 0 up to before the one given."""


class KilledError(BaseException):
    """The process ends here; nothing that is tested may catch it."""


class PowerCutError(BaseException):
    """The machine ends here; as above."""


class Platter:
    """What is on the disk of one file."""

    def __init__(self) -> None:
        self.data = b""
        self._dropped: dict[int, bytes] = {}
        """By number, the blocks that the kernel takes for clean, as they were then."""

    def sync(self, content: bytes) -> None:
        """All of it is there, but for what was dropped before and not written since."""
        self._write(content, self.dirty(content))

    def fail(self, content: bytes, choose: Choose) -> None:
        """Of each block that was to be written, either it is there or it is dropped."""
        dirty = self.dirty(content)
        dropped = {number for number in dirty if choose(2)}
        self._write(content, [number for number in dirty if number not in dropped])
        self._dropped |= {number: _block(content, number) for number in dropped}

    def dirty(self, content: bytes) -> list[int]:
        """The blocks that a sync would write."""
        numbers = range((max(len(content), len(self.data)) + BLOCK - 1) // BLOCK)
        return [
            number
            for number in numbers
            if _block(content, number) != _block(self.data, number)
            and _block(content, number) != self._dropped.get(number)
        ]

    def forget(self, content: bytes) -> bytes:
        """What is read once the kernel has dropped from its memory what it takes for clean."""
        blocks = {number: _block(self.data, number) for number in self._dropped}
        kept = [number for number in blocks if _block(content, number) == self._dropped[number]]
        return _put(content, {number: blocks[number] for number in kept}, len(content))

    def survivor(self, content: bytes, choose: Choose) -> bytes:
        """What may be found after a power cut."""
        shortest = min(len(self.data), len(content))
        size = shortest + choose(len(content) - shortest + 1)
        blocks = {number: self._tear(content, number, choose) for number in self.dirty(content)}
        return _put(self.data, blocks, size)

    def _tear(self, content: bytes, number: int, choose: Choose) -> bytes:
        old, new = (_block(text, number).ljust(BLOCK, b"\0") for text in (self.data, content))
        kept = (0, BLOCK, choose(BLOCK))[choose(3)]
        return new[:kept] + old[kept:]

    def _write(self, content: bytes, numbers: Iterable[int]) -> None:
        blocks = {number: _block(content, number) for number in numbers}
        for number in blocks:
            self._dropped.pop(number, None)
        self.data = _put(self.data, blocks, len(content))


def _block(text: bytes, number: int) -> bytes:
    return text[number * BLOCK : (number + 1) * BLOCK]


def _put(text: bytes, blocks: dict[int, bytes], size: int) -> bytes:
    """The text with these blocks, cut off or extended with zeros."""
    out = bytearray(text[:size].ljust(size, b"\0"))
    for number, block in blocks.items():
        begin = number * BLOCK
        out[begin : begin + len(block)] = block
    return bytes(out[:size])


class CutDisk:
    """One directory of files that are appended to and renamed.

    Args:
        directory: a real one.
        choose: draws what happens.
    """

    def __init__(self, directory: Path, choose: Choose) -> None:
        self.directory = directory
        self.choose = choose
        self.written: set[bytes] = set()
        """Every line that was given to a file."""
        self.writer = 0
        """Which process it is that writes."""
        self.room: int | None = None
        """How many bytes the next write takes before the process is killed, or the disk is full."""
        self.end: BaseException | None = None
        """What comes then."""
        self.fails = False
        """Whether the next sync does."""
        self.calls_left = -1
        """How many calls there are until the power goes; negative: it stays."""
        self._real = os.write, os.fsync
        self._platters: dict[int, Platter] = {}
        self._failures: dict[int, int] = {}
        """By inode."""
        self._told: dict[tuple[int, int], int] = {}
        """The last failure of an inode that a writer was told of."""
        self._synced = self._names()
        self._history = [self._synced]

    def write(self, descriptor: int, data: bytes) -> int:
        """Stand in for `os.write`."""
        if not self._is_ours(descriptor):
            return self._real[0](descriptor, data)
        self._call()
        self.written.update(data.split(b"\n"))
        room, self.room = self.room, None
        if room is None:
            self._end()
            return self._real[0](descriptor, data)
        taken = self._real[0](descriptor, data[:room]) if room else 0
        if not taken or isinstance(self.end, KilledError):
            self._end()
        return taken

    def fsync(self, descriptor: int) -> None:
        """Stand in for `os.fsync`."""
        if not self._is_ours(descriptor):
            self._real[1](descriptor)
            return
        self._call()
        found = os.fstat(descriptor)
        if _path(descriptor) == self.directory:
            self._synced = self._names()
            self._history = [self._synced]
            return
        platter = self._platters.setdefault(found.st_ino, Platter())
        content = os.pread(descriptor, found.st_size, 0)
        if self.fails:
            self.fails = False
            self._fail(found.st_ino, content)
        else:
            platter.sync(content)
        failures = self._failures.get(found.st_ino, 0)
        if self._told.get((found.st_ino, self.writer), 0) < failures:
            self._told[found.st_ino, self.writer] = failures
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def note(self) -> None:
        """Look at the names, as they may be found."""
        names = self._names()
        if names != self._history[-1]:
            self._history.append(names)

    def fail(self, path: Path) -> None:
        """Let the kernel fail to write a file of which nobody asked for it."""
        self._fail(path.stat().st_ino, path.read_bytes())

    def forget(self) -> None:
        """Let the kernel drop what it could not write, of all files."""
        for name, inode in self._names().items():
            path = self.directory / name
            content = path.read_bytes()
            left = self._platters.setdefault(inode, Platter()).forget(content)
            if left != content:
                with path.open("r+b") as file:
                    file.write(left)

    def cut(self) -> None:
        """Lose power, and start again with what was left, all of it durable."""
        self.note()
        contents = {
            inode: self._platters.setdefault(inode, Platter()).survivor(
                (self.directory / name).read_bytes(), self.choose
            )
            for name, inode in self._names().items()
        }
        names = self._history[self.choose(len(self._history))]
        for path in self.directory.iterdir():
            path.unlink()
        self._platters.clear()
        self._failures.clear()
        self._told.clear()
        for name, inode in names.items():
            path = self.directory / name
            path.write_bytes(contents[inode])
            platter = self._platters[path.stat().st_ino] = Platter()
            platter.data = contents[inode]
        self._synced = self._names()
        self._history = [self._synced]
        self.room, self.end, self.fails, self.calls_left = None, None, False, -1

    def line_with(self, text: str) -> bytes:
        """The line with this text as it was given to a file, whole."""
        found = [line for line in self.written if text.encode() in line]
        (line,) = (line for line in found if line.startswith(b"{"))
        return line

    def lines(self) -> list[bytes]:
        """Every line, in the order of rotation, without empty ones."""
        paths = sorted(self.directory.iterdir(), key=lambda path: path.suffix or ".~")
        text = b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in paths)
        return [line for line in text.split(b"\n") if line]

    def _fail(self, inode: int, content: bytes) -> None:
        self._platters.setdefault(inode, Platter()).fail(content, self.choose)
        self._failures[inode] = self._failures.get(inode, 0) + 1

    def _end(self) -> None:
        end, self.end = self.end, None
        if end is not None:
            raise end

    def _call(self) -> None:
        self.note()
        if self.calls_left == 0:
            raise PowerCutError
        self.calls_left -= 1

    def _names(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in self.directory.iterdir()}

    def _is_ours(self, descriptor: int) -> bool:
        path = _path(descriptor)
        return self.directory in (path, path.parent)


def _path(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()
