"""Which files the globs match right now, and what is no log at all."""

import fnmatch
import glob
import os
import stat
from collections.abc import Sequence
from typing import Final

from agent import trail

_MAGIC: Final = (
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\xfd7zXZ\x00",
    b"BZh",
    b"\x04\x22\x4d\x18",  # lz4
    b"PK\x03\x04",
)

Found = dict[str, os.stat_result]


def scan(patterns: Sequence[str], excluded: str) -> Found:
    """Every regular file that a pattern matches, by path, with its `stat`.

    Symbolic links are followed. What lies under the directory `excluded` (our own state) is left
    out: a glob such as `/var/lib/**` must not make the agent read its own dead letter. Its trail
    there is followed always, and by no glob of the settings.
    Cost: one `readdir` a directory and one `stat` a match.
    """
    found: Found = {}
    own = excluded.rstrip("/") + "/"
    trail_pattern = trail.pattern(excluded)
    for pattern in (*patterns, trail_pattern):
        for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207  # Path.rglob has another `**`
            if path in found or (path.startswith(own) and pattern is not trail_pattern):
                continue
            try:
                status = os.stat(path)  # noqa: PTH116  # ten thousand of them a second
            except OSError:
                # Gone since, or a link to nowhere: there is nothing to read.
                continue
            if stat.S_ISREG(status.st_mode):
                found[path] = status
    return found


def may_match(path: str, patterns: Sequence[str]) -> bool:
    """Whether a glob may match the path, judged by the last part of its name; errs on yes."""
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatch(name, pattern.rpartition("/")[2]) for pattern in patterns)


def base_directory(pattern: str) -> tuple[str, bool]:
    """The directory to watch for a glob, and whether all that is below it matters too.

    >>> base_directory("/var/log/app/*.log")
    ('/var/log/app', False)
    >>> base_directory("/srv/*/log/**/*.log")
    ('/srv', True)
    """
    directory, _, _ = pattern.rpartition("/")
    if not glob.has_magic(directory):
        return directory or "/", False
    parts: list[str] = []
    for part in directory.split("/"):
        if glob.has_magic(part):
            break
        parts.append(part)
    return "/".join(parts) or "/", True


def is_compressed(head: bytes) -> bool:
    """Whether a file's first bytes are those of an archive, which holds no lines."""
    return head.startswith(_MAGIC)


def beside(path: str) -> dict[int, str]:
    """The files in the directory of `path`, by inode: where a renamed one is looked for."""
    directory = path.rpartition("/")[0] or "/"
    try:
        with os.scandir(directory) as entries:
            return {entry.inode(): entry.path for entry in entries if entry.is_file()}
    except OSError:
        return {}


def is_still(path: str, key: tuple[int, int]) -> bool:
    """Whether the file of this device and inode is there under this name."""
    try:
        status = os.stat(path)  # noqa: PTH116  # as above
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == key
