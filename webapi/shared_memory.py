"""Memory that a process and those that it forks later share, and a lock for each step in it.

A file without a name: it leaves nothing behind, however the processes end, and the kernel opens the
lock of one that is killed.
"""

import fcntl
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager


class SharedMemory:
    """Bytes that begin as zeros. Safe between threads, and processes forked after it was made."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._file, name = tempfile.mkstemp(prefix="indelible-")
        os.unlink(name)  # noqa: PTH108  # mkstemp gives a text
        os.truncate(self._file, size)
        self.view = mmap.mmap(self._file, size)
        weakref.finalize(self, os.close, self._file)

    @contextmanager
    def locked(self) -> Generator[mmap.mmap]:
        """Keep all others out until the end of the block."""
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield self.view
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
