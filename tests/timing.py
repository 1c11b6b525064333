"""Times that a test compares with a bound, on a machine that others use too."""

import time
from collections.abc import Callable
from typing import TypeVar

TRIES = 3
T = TypeVar("T")


def measure(work: Callable[[], T], enough: float) -> tuple[T, float]:
    """Return what it returned first, and how many seconds it takes.

    Where that was more than `enough` it is done again, and the least counts: the machine may have
    stood still meanwhile, and what is slow by itself is slow each time.
    """
    begun = time.monotonic()
    first = work()
    least = time.monotonic() - begun
    for _ in range(TRIES - 1):
        if least <= enough:
            break
        begun = time.monotonic()
        work()
        least = min(least, time.monotonic() - begun)
    return first, least
