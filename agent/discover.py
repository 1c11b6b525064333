"""Which files the globs match right now, and what is no log at all."""

import fnmatch
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from agent import trail
from indexer.path_text import path_text

GZIP: Final = "gzip"
_MAGIC: Final = {
    b"\x1f\x8b": GZIP,
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
MAGIC_BYTES: Final = max(map(len, _MAGIC))

Found = dict[str, os.stat_result]


def scan(patterns: Sequence[str], excluded: str) -> Found:
    """Every regular file that a pattern matches, by path, with its `stat`.

    Symbolic links are followed, but by no `**`. What lies under the directory `excluded` (our own
    state) is left out: a glob such as `/var/lib/**` must not make the agent read its own dead
    letter. Its trail there is followed always, and by no glob of the settings.
    Cost: one `readdir` a directory (two below a `**`) and one `stat` a match.
    """
    found: Found = {}
    own = excluded.rstrip("/") + "/"
    trail_pattern = trail.pattern(excluded)
    for pattern in (*patterns, trail_pattern):
        for path in _expand(pattern):
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


def find_own(directory: str) -> set[tuple[int, int]]:
    """Device and inode of what the agent itself writes: its state, without the trail, and its log.

    A link leads to them past any comparison of names.
    """
    own = set[tuple[int, int]]()
    names = os.listdir(directory)  # noqa: PTH208  # as in `scan`
    files: list[int | str] = [1, 2, *(f"{directory}/{name}" for name in names)]
    for file in files:
        with suppress(OSError):
            # A status is replaced now and then, and nobody need have an output.
            status = os.stat(file)  # noqa: PTH116  # as in `scan`
            own.add((status.st_dev, status.st_ino))
    return own


def find_unmatched(patterns: Sequence[str], excluded: str) -> tuple[str, ...]:
    """The patterns that match no regular file outside of the directory `excluded`: a typing error?

    Cost: that of `scan` for those that match nothing, and up to the first match for the others.
    """
    own = excluded.rstrip("/") + "/"
    return tuple(
        pattern
        for pattern in patterns
        if not any(
            os.path.isfile(path) and not path.startswith(own)  # noqa: PTH113  # as in `scan`
            for path in _expand(pattern)
        )
    )


def _expand(pattern: str) -> Iterator[str]:
    """What a glob matches; a path may come twice.

    `glob` lets `**` follow links to directories: two of them to where they stand are 2^40 paths,
    and whoever may write a log could make them.
    """
    above, deep, below = (pattern + "/*" if pattern.endswith("/**") else pattern).partition("/**/")
    if not deep:
        yield from _expand_one(pattern)
        return
    for top in glob.iglob(above or "/"):  # noqa: PTH207  # as above
        for directory, inner, _ in os.walk(top):
            inner[:] = [name for name in inner if not name.startswith(".")]
            yield from _expand(f"{glob.escape(directory.rstrip('/'))}/{below}")


def _expand_one(pattern: str) -> Iterable[str]:
    """What a glob without `**` matches, as `glob.iglob` has it, for a third of its time.

    That goes through each name by itself; where the last part alone is a pattern (most are so), one
    call has all names. It is done each second on every host, whatever happens there.
    """
    directory, _, last = pattern.rpartition("/")
    if glob.has_magic(directory) or not glob.has_magic(last):
        return glob.iglob(pattern)  # noqa: PTH207  # Path.glob gives objects
    try:
        names = os.listdir(directory or "/")  # noqa: PTH208  # as in `scan`
    except OSError:
        return ()
    shown = names if last.startswith(".") else [name for name in names if name[0] != "."]
    return [f"{directory}/{name}" for name in fnmatch.filter(shown, last)]


def drop_unspeakable(found: Found) -> list[str]:
    """Take out what has a name that is not UTF-8, which no record can hold, and spell it."""
    unspeakable = [path for path in found if not path.isascii() and _is_not_utf8(path)]
    for path in unspeakable:
        del found[path]
    return [path_text(path) for path in unspeakable]


def _is_not_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return False


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


def archive_kind(head: bytes) -> str:
    """The kind of archive that a file with these first bytes is, empty if it is none."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def list_files(directory: str) -> dict[int, str]:
    """The files in a directory, by inode: where a renamed one is looked for."""
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
