"""How large a bulk request may be, and how pending rows are cut into requests."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

REMEMBERED_SECONDS: Final = 300.0
"""How long a size that was refused with 413 is remembered, before the full size is tried again."""


class RequestLimit:
    """The size that the cluster, or a proxy before it, was found to take. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bytes: int | None = None
        self._until = 0.0

    def current(self) -> int | None:
        """Bytes of a request at most, None while no limit is known."""
        with self._lock:
            if self._bytes is not None and self._clock() >= self._until:
                self._bytes = None
            return self._bytes

    def lower(self, limit_bytes: int) -> None:
        """Remember a smaller size for a while; a larger one than is known changes nothing."""
        with self._lock:
            known = self._bytes
            self._bytes = limit_bytes if known is None else min(known, limit_bytes)
            self._until = self._clock() + REMEMBERED_SECONDS


def split(sizes: Sequence[int], rows: Sequence[int], limit_bytes: int | None) -> list[list[int]]:
    """Cut `rows` into requests of at most `limit_bytes` each, a larger row alone in its own.

    Args:
        sizes: bytes of each row, indexed by row.
        rows: what is to be sent, in this order.
        limit_bytes: None for one request.
    """
    if limit_bytes is None or not rows:
        return [list(rows)] if rows else []
    requests: list[list[int]] = [[]]
    room = limit_bytes
    for row in rows:
        if requests[-1] and sizes[row] > room:
            requests.append([])
            room = limit_bytes
        requests[-1].append(row)
        room -= sizes[row]
    return requests
