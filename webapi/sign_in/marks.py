"""What happened once and must be remembered: a ticket that was used, a session that was ended.

A mark is an empty file in a directory of the host, made with O_CREAT|O_EXCL: the kernel lets one
of all processes and threads make it, so of two workers that are handed the same ticket at once one
sees that it was first, and no lock, server or memory is shared between them. It is on the disk
(fsync of file and directory) before the caller goes on: a crash forgets no mark that counted. On
NFS this needs version 3 or newer (open(2)).

Marks are of this host. Where several hosts serve the page, each of them takes a ticket once, and a
session that was ended on one lives on at the others until it expires, unless they share the
directory. A mark that nothing can ask for any more is removed when the next one is made.
"""

import os
import re
import time
from pathlib import Path
from typing import Final

from indexer.durable import sync

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Marks:
    """Marks of one kind.

    Args:
        directory: where they lie; made when the first one is.
        keep_seconds: for how long a mark can matter.
    """

    def __init__(self, directory: Path, keep_seconds: int) -> None:
        self._directory = directory
        self._keep_seconds = keep_seconds

    def put(self, name: str) -> bool:
        """Remember `name`; False where it was remembered before.

        Raises:
            OSError: it cannot be remembered.
            ValueError: it is no name: 16 to 64 characters of base64url.
        """
        path = self._path(name)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync(self._directory)
        return True

    def has(self, name: str) -> bool:
        """Whether `name` is remembered.

        Raises:
            OSError: nobody can tell.
        """
        try:
            self._path(name).stat()
        except FileNotFoundError:
            return False
        return True

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise ValueError("a mark's name is 16 to 64 characters of base64url")
        return self._directory / name

    def _sweep(self) -> None:
        oldest = time.time() - self._keep_seconds
        with os.scandir(self._directory) as entries:
            for entry in entries:
                try:
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        Path(entry.path).unlink()
                except FileNotFoundError:
                    continue  # another worker sweeps, too
