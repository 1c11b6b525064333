"""Waiting for a part of the index whose first copy starts, where that is all that is wrong.

A partition that is made can be asked only when its primary has started: 0.05 to 0.8 s later (3.4.0,
on two busy cores). Whoever asks then would get a refusal once a day or a month, for nothing. One
that stays without a copy is trouble: it is told right away, once it has lasted.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from webapi.errors import NoCopyError

T = TypeVar("T")

START_SECONDS: Final = 2.0
STEP_SECONDS: Final = 0.05
QUIET_SECONDS: Final = 60.0
"""Without any trouble for so long, the next is another one."""


class Patience:
    """How long to wait, for all who ask together. Thread-safe.

    Args:
        clock: seconds, monotonic.
        sleep: lets so many seconds pass.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._begun = 0.0
        self._last = -float("inf")

    def answer(self, asking: Callable[[], T]) -> T:
        """Return what is answered, asked anew while a part has no copy and that is young.

        Raises:
            NoCopyError: it has none for `START_SECONDS`, whoever asked first.
        """
        waited = False
        while True:
            try:
                found = asking()
            except NoCopyError:
                if not self._is_young():
                    raise
                waited = True
                self._sleep(STEP_SECONDS)
            else:
                if waited:
                    self._end()
                return found

    def _is_young(self) -> bool:
        with self._lock:
            now = self._clock()
            if now - self._last > QUIET_SECONDS:
                self._begun = now
            self._last = now
            return now - self._begun < START_SECONDS

    def _end(self) -> None:
        with self._lock:
            self._last = -float("inf")
