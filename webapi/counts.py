"""How many events of a question are in each steady index: counted once, then remembered.

What stands for an index (`Index.steady`) is another text as soon as it holds anything else. All the
same a count is believed for an hour at most, so that no mistake lasts. Bounded; what was asked
longest ago goes.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

REMEMBERED_SECONDS: Final = 3600.0
MAX_COUNTS: Final = 200_000
"""About 20 MB."""


class Counts:
    """Counts by question, and by what stands for an index. Thread-safe.

    Args:
        most: counts to keep.
        clock: seconds.
    """

    def __init__(self, most: int = MAX_COUNTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, dict[str, int]]] = OrderedDict()
        self._size = 0

    def of(self, question: bytes) -> Mapping[str, int]:
        """Return what is known of a question, by what stands for an index."""
        with self._lock:
            kept = self._kept.get(question)
            if kept is None:
                return {}
            begun, counts = kept
            if self._clock() - begun >= REMEMBERED_SECONDS:
                self._drop(question)
                return {}
            self._kept.move_to_end(question)
            return counts.copy()

    def keep(self, question: bytes, counts: Mapping[str, int]) -> None:
        """Remember counts of a question."""
        with self._lock:
            _, kept = self._kept.setdefault(question, (self._clock(), {}))
            before = len(kept)
            kept.update(counts)
            self._size += len(kept) - before
            self._kept.move_to_end(question)
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def _drop(self, question: bytes) -> None:
        _, counts = self._kept.pop(question)
        self._size -= len(counts)
