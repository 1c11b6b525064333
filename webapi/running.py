"""How many slow requests of a kind run in this process, and of whom.

An export keeps a thread for as long as its client takes, and whoever waits for an event keeps one
until it comes. One organisation has at most half of the places, so that clients of one which read
slowly, or wait all the time, leave some to the others.
"""

import threading
from collections import Counter


class Running:
    """What runs now. Thread-safe.

    Args:
        most: how many may run at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most // 2)
        self._lock = threading.Lock()
        self._of: Counter[str] = Counter()

    def begin(self, organization_id: str) -> bool:
        """Take a place for an organisation, which gives it back with `end`; False if it may not."""
        with self._lock:
            if self._of.total() >= self._most or self._of[organization_id] >= self._most_of_one:
                return False
            self._of[organization_id] += 1
            return True

    def end(self, organization_id: str) -> None:
        """Give a place back."""
        with self._lock:
            self._of[organization_id] -= 1
            if not self._of[organization_id]:
                del self._of[organization_id]
