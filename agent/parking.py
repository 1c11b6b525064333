"""Which files are open: as many as this process may have, the quiet ones closed first.

An open descriptor reads a file on after it was renamed out of every glob or deleted, so files stay
open as long as somebody may write to them. Closed are those that were rotated away, are settled and
quiet: nobody writes to them. Where the limit of open files is near, the ones that have been quiet
for longest are closed as well, instead of not reading others at all; what is appended to such a one
and taken away between two looks is missing then, and its `seq` tells.
"""

import errno
import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from agent.content import Plain, Unpacked
from agent.discover import list_files
from agent.tail import Tail
from agent.unreadable import Unreadable

RESERVE: Final = 64
"""Descriptors for everything else: the cluster, the checkpoint, looking at directories."""
_SHARE: Final = 8
"""One in so many of the files that may be closed is closed at a time, at least."""

_TOO_MANY: Final = frozenset({errno.EMFILE, errno.ENFILE})

_log = structlog.get_logger("agent")


class Parking:
    """Opens files, and closes those that are quiet where that is needed.

    Args:
        tails: all that are followed.
        is_busy: whether a tail waits for its turn to be read.
        unreadable: told what cannot be opened again.
    """

    def __init__(
        self,
        tails: Callable[[], Iterable[Tail]],
        is_busy: Callable[[Tail], bool],
        unreadable: Unreadable,
    ) -> None:
        self._tails, self._is_busy, self._unreadable = tails, is_busy, unreadable
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = max(soft - RESERVE, soft // 2)
        self.closed_early = 0
        """Files closed for want of descriptors while somebody may still write to them."""

    def open(self, path: str) -> int:
        """Open a file for reading.

        Raises:
            OSError: it cannot be.
        """
        try:
            descriptor = _open(path)
        except OSError as error:
            if error.errno not in _TOO_MANY or not self._make_room():
                raise
            return _open(path)
        # The kernel gives the lowest number that is free.
        if descriptor >= self._limit and not self._make_room():
            os.close(descriptor)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return descriptor

    def park(self, tail: Tail) -> None:
        """Close a file for as long as it does not change."""
        if self._is_idle(tail):
            tail.close()

    def is_reopened(self, tail: Tail, status: os.stat_result) -> bool:
        """Open a parked file again if it changed; whether it has its content still, reading tells.

        Args:
            tail: parked.
            status: of the file of its path now.
        """
        if tail.looked == (status.st_size, status.st_mtime_ns):
            return False
        try:
            return self._reopen(tail, tail.path)
        except OSError as error:
            self._unreadable.note(tail.path, error)
            return False

    def reopen_beside(self, tail: Tail) -> None:
        """Open a parked file again that has left the globs, if it is beside its former name."""
        path = list_files(tail.path.rpartition("/")[0] or "/").get(tail.inode)
        if path is not None and not tail.rotated:
            with suppress(OSError):
                self._reopen(tail, path)

    def _reopen(self, tail: Tail, path: str) -> bool:
        content = Plain(self.open(path))
        status = os.fstat(content.descriptor)
        if (status.st_dev, status.st_ino) != (tail.device, tail.inode):
            content.close()
            return False
        tail.content = content
        return True

    def _is_idle(self, tail: Tail) -> bool:
        return (
            tail.is_settled
            and not tail.has_half_line
            and not tail.has_more
            and not tail.looked_early
            and not isinstance(tail.content, Unpacked)
            and tail.descriptor >= 0
            and not self._is_busy(tail)
        )

    def _make_room(self) -> bool:
        idle = [tail for tail in self._tails() if self._is_idle(tail)]
        idle.sort(key=lambda tail: (not tail.rotated, tail.grown))
        for tail in idle[: len(idle) // _SHARE + 1]:
            tail.close()
            if not (tail.rotated or self.closed_early):
                _log.warning(
                    "open_files_limit_reached",
                    limit=self._limit,
                    hint="quiet files are closed and opened again when they change;"
                    " let the agent open more files (LimitNOFILE of its unit, ulimit -n)",
                )
            self.closed_early += not tail.rotated
        return bool(idle)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
