"""A file system in memory that forgets what was not synced: what a power cut may leave.

`Disk` stands in for the module `os` of the code that is tested, with the calls that it models and
no others: a new kind of call fails the test until the model knows it. The model is harsher than
file systems of today (POSIX promises no more): of what was written and not fsynced, any prefix may
be there, or zeros, or what stood there before; of what was done to the directory and not fsynced,
any part may have happened, in any order.
"""

import errno
import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Final

O_WRONLY, O_CREAT, O_TRUNC = os.O_WRONLY, os.O_CREAT, os.O_TRUNC


class PowerCutError(BaseException):
    """The machine stops here; nothing that is tested may catch it."""


class Inode:
    """Content as processes see it, and as it is on the platter."""

    def __init__(self) -> None:
        self.data = b""
        self.synced = b""
        self.is_dirty = False

    def change(self, data: bytes) -> None:
        self.data = data
        self.is_dirty = True

    def survivors(self) -> list[bytes]:
        """Every kind of content that may be found after a power cut."""
        if not self.is_dirty:
            return [self.synced]
        size = len(self.data)
        torn = [self.data[: size // 2], self.data[:-1], b"", b"\0" * size]
        holed = self.data[: size // 3] + b"\0" * (size // 3) + self.data[size // 3 * 2 :]
        return list(dict.fromkeys([self.data, self.synced, holed, *torn]))


Change = tuple[str, str | None, Inode]
"""A name that the directory gains, the one that it loses by it, and what it points to."""
Survivor = dict[str, bytes]


class Disk:
    """One directory.

    Args:
        fault: asked before each call with its number and name; it may raise `PowerCutError` or
            `OSError`, or return how many bytes a write takes (at least 1).
    """

    O_WRONLY: Final = os.O_WRONLY
    O_RDONLY: Final = os.O_RDONLY
    O_CREAT: Final = os.O_CREAT
    O_TRUNC: Final = os.O_TRUNC
    O_CLOEXEC: Final = os.O_CLOEXEC
    O_DIRECTORY: Final = os.O_DIRECTORY

    def __init__(self, fault: Callable[[int, str], int | None] | None = None) -> None:
        self.fault = fault or (lambda _number, _name: None)
        self.calls: list[str] = []
        self.names: dict[str, Inode] = {}
        self.synced_names: dict[str, Inode] = {}
        self.changes: list[Change] = []
        self._descriptors: dict[int, Inode | None] = {}

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        del mode
        self._call("open")
        inode: Inode | None = None
        if not flags & os.O_DIRECTORY:
            inode = self._open_file(Path(path).name, flags)
        descriptor = 1000 + len(self.calls)
        self._descriptors[descriptor] = inode
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        room = self._call("write")
        taken = bytes(data)[:room]
        inode = self._descriptors[descriptor]
        assert inode is not None
        inode.change(inode.data + taken)
        return len(taken)

    def fsync(self, descriptor: int) -> None:
        self._call("fsync")
        inode = self._descriptors[descriptor]
        if inode is None:
            self.synced_names = dict(self.names)
            self.changes.clear()
        else:
            inode.synced, inode.is_dirty = inode.data, False

    def close(self, descriptor: int) -> None:
        del self._descriptors[descriptor]
        self._call("close")

    def replace(self, source: str | Path, target: str | Path) -> None:
        self._call("replace")
        old, new = Path(source).name, Path(target).name
        inode = self.names.pop(old)
        self.names[new] = inode
        self.changes.append((new, old, inode))

    def survivors(self) -> Iterator[Survivor]:
        """Every directory that may be found after a power cut now, fsck and all."""
        for done in product((False, True), repeat=len(self.changes)):
            names = dict(self.synced_names)
            for (new, old, inode), is_done in zip(self.changes, done, strict=True):
                if is_done:
                    names.pop(old or "", None)
                    names[new] = inode
            inodes = list(names.values())
            for contents in product(*(inode.survivors() for inode in inodes)):
                yield dict(zip(names, contents, strict=True))

    def restart(self, directory: Path) -> None:
        """Go on with what is in a real directory, all of it durable."""
        self.names = {}
        for path in directory.iterdir():
            inode = self.names[path.name] = Inode()
            inode.data = inode.synced = path.read_bytes()
        self.synced_names = dict(self.names)
        self.changes.clear()
        self._descriptors.clear()

    def _open_file(self, name: str, flags: int) -> Inode:
        inode = self.names.get(name)
        if inode is None:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            inode = self.names[name] = Inode()
            self.changes.append((name, None, inode))
        elif flags & os.O_TRUNC and inode.data:
            inode.change(b"")
        return inode

    def _call(self, name: str) -> int | None:
        number = len(self.calls)
        self.calls.append(name)
        return self.fault(number, name)


def put(directory: Path, survivor: Survivor) -> None:
    """Make a real directory hold just that."""
    for path in directory.iterdir():
        path.unlink()
    for name, data in survivor.items():
        (directory / name).write_bytes(data)
