"""Appending to a file of records, one a line, so that what counts as written is on the disk.

Threads and processes may append to one file: each append holds its `flock`. What a crash leaves is
at most a torn last line that nobody was told of; the next append starts a new line behind it.

What failed is cut off again, after a failed sync too: nothing is there as often as it was tried,
and the next attempt writes anew the very pages that the kernel may have dropped.
"""

import contextlib
import fcntl
import os
from pathlib import Path


def append_durably(path: Path, text: bytes) -> int:
    """Append whole lines, made durable with the file's name; returns the file's size then.

    A new file is for its owner alone. Made by root, it belongs to whom its directory belongs: a
    command that an operator runs must not lock the agent out.

    Raises:
        OSError: nothing of it counts as written; calling again is safe.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size == 0:
            _give_to_owner(descriptor, path.parent)
        elif os.pread(descriptor, 1, size - 1) != b"\n":
            text = b"\n" + text
        _append(descriptor, text, size, path.parent)
    finally:
        os.close(descriptor)
    return size + len(text)


def sync(path: Path) -> None:
    """Make durable what a file holds, or which names a directory has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner(descriptor: int, directory: Path) -> None:
    if os.geteuid() == 0:
        owner = directory.stat()
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _append(descriptor: int, text: bytes, size: int, directory: Path) -> None:
    written = 0
    try:
        while written < len(text):
            written += os.write(descriptor, text[written:])
        os.fsync(descriptor)
        # Each time: whoever made the file may have been killed before it came to that.
        sync(directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
