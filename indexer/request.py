"""How large a bulk request may be, and how pending rows are cut into requests.

Two limits. A 413 is a word on the size: half of it is remembered for a while. 429, 503, a timeout
or a connection that breaks may have to do with the size (a proxy that resets where it should answer
413 says nothing else), or not: the size is halved, down to a floor, and grows back by a step with
each success (AIMD). A step that led to a failure is halved, so that a hard limit that nobody states
is met ever more rarely.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

REMEMBERED_SECONDS: Final = 300.0
"""How long a size that was refused with 413 is remembered, before the full size is tried again."""
CONGESTED_FLOOR_BYTES: Final = 1 << 20
"""Smaller requests help no cluster that says that it is busy; they only make more of them."""
UNANSWERED_FLOOR_BYTES: Final = 64 << 10
"""About what one event may have: nothing in front of a cluster can take less."""
FIRST_STEP_BYTES: Final = 256 << 10
LEAST_STEP_BYTES: Final = 16 << 10


class RequestLimit:
    """The size that the cluster, or a proxy before it, was found to take. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stated: int | None = None
        self._until = 0.0
        self._found: int | None = None
        self._largest = 0
        self._step = FIRST_STEP_BYTES
        self._grew = False

    def current(self) -> int | None:
        """Bytes of a request at most, None while no limit is known."""
        with self._lock:
            if self._stated is not None and self._clock() >= self._until:
                self._stated = None
            limits = [one for one in (self._stated, self._found) if one is not None]
            return min(limits, default=None)

    def lower(self, limit_bytes: int) -> None:
        """Remember a smaller size for a while; a larger one than is known changes nothing."""
        with self._lock:
            known = self._stated
            self._stated = limit_bytes if known is None else min(known, limit_bytes)
            self._until = self._clock() + REMEMBERED_SECONDS

    def fail(self, sent_bytes: int, floor_bytes: int) -> None:
        """A request of this size went wrong, perhaps for its size."""
        with self._lock:
            self._largest = max(self._largest, sent_bytes)
            if self._grew:
                self._step = max(LEAST_STEP_BYTES, self._step // 2)
                self._grew = False
            half = max(floor_bytes, sent_bytes // 2)
            if half < sent_bytes:
                self._found = half if self._found is None else min(self._found, half)

    def succeed(self, sent_bytes: int) -> None:
        """A request of this size was answered; one much smaller than the limit proves nothing."""
        with self._lock:
            if self._found is None or sent_bytes < self._found // 2:
                return
            self._found += self._step
            self._grew = True
            if self._found >= self._largest:
                self._found, self._largest, self._step = None, 0, FIRST_STEP_BYTES


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
