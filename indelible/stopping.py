"""Being asked to stop: once politely, a second time at once."""

import signal
import time
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS: Final = 0.1
REPEAT_SECONDS: Final = 0.5
"""Wrappers such as `make` may pass on the signal that the terminal sent already: no second one."""


class StopAsked(Exception):  # noqa: N818  # not a failure: the operator wants it
    """The operator asked to stop: end everything in order."""


class StopAtOnce(Exception):  # noqa: N818  # as above
    """The operator asked again: end everything now."""


class Stopping:
    """Whether this process was asked to stop.

    The first signal only sets a flag, which `check` and `wait` turn into `StopAsked`: an exception
    in the middle of starting a child would lose that child. The second raises at once.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None

    def install(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP from now on."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > REPEAT_SECONDS:
            raise StopAtOnce

    def check(self) -> None:
        """Raise `StopAsked` when a signal came."""
        if self._asked_at is not None:
            raise StopAsked

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a signal."""
        deadline = time.monotonic() + seconds
        self.check()
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))
            self.check()
