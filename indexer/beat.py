"""Work that takes long: it says again and again that it goes on, and may be ended then."""

import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

FIRST_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 5.0


class Asked(Protocol):
    """Whether the work is to end: a `threading.Event`, or a flag that a signal handler may set."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...


Beat = Callable[[], None]
"""Called before each of many changes, and after each wait; raises when the work must end."""


def pauses(beat: Beat) -> Iterator[None]:
    """Wait before each look at what the cluster does, ever longer, and without an end."""
    seconds = FIRST_SECONDS
    while True:
        time.sleep(seconds)
        seconds = min(2 * seconds, LONGEST_SECONDS)
        beat()
        yield
