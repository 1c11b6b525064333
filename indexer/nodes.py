"""Whose turn it is, of several nodes, where some may have failed.

One that failed is left out for a while, then tried by one request alone; the others do without it
until that was answered. The library's own pool lets all of them in when the time is over, to wait
as the first did; and where all had failed, it goes on with the one that answers next, and has no
other to turn to when that one fails.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from opensearchpy import Connection, ConnectionPool
from typing_extensions import override

LEFT_OUT_SECONDS: Final = 5
DOUBLINGS: Final = 2
"""A node that fails again and again is left out for 5, 10, then 20 s: one request in so many
seconds is what it costs to see that it is back."""

_log = logging.getLogger("opensearch")


class Nodes(ConnectionPool):
    """Hands out the connections by turns. Thread-safe.

    Args:
        connections: with their options, as the library has them.
    """

    def __init__(self, connections: Sequence[tuple[Connection, object]], **_: object) -> None:
        super().__init__(connections)
        self._lock = threading.Lock()
        self._turns: deque[Connection] = deque(self.connections)
        self._failures: dict[Connection, int] = {}
        self._out_until: dict[Connection, float] = {}

    @override
    def get_connection(self) -> Connection:
        """Return the next that is not left out; where all are, the one that had no turn longest."""
        with self._lock:
            now = time.monotonic()
            there = (one for one in self._turns if self._out_until.get(one, now) <= now)
            chosen = next(there, self._turns[0])
            self._turns.remove(chosen)
            self._turns.append(chosen)
            if chosen in self._failures:
                self._leave_out(chosen, now)
            return chosen

    @override
    def mark_dead(self, connection: Connection, now: float | None = None) -> None:
        """Leave it out, unless that is so already: many may have asked it at once."""
        with self._lock:
            begun = time.monotonic()
            if self._out_until.get(connection, begun) > begun:
                return
            seconds = self._leave_out(connection, begun)
        _log.warning("%r has failed, and is left out for %s s", connection, seconds)

    @override
    def mark_live(self, connection: Connection) -> None:
        """It answered, so it has its turns again."""
        with self._lock:
            self._failures.pop(connection, None)
            self._out_until.pop(connection, None)

    def _leave_out(self, connection: Connection, now: float) -> float:
        failures = self._failures.get(connection, 0)
        self._failures[connection] = failures + 1
        seconds: float = LEFT_OUT_SECONDS * 2 ** min(failures, DOUBLINGS)
        self._out_until[connection] = now + seconds
        return seconds
