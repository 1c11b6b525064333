"""Being asked to stop: once politely, a second time at once.

A closed terminal asks too, but not by a signal that can be relied on: SIGHUP goes to the session's
leader and the jobs it knows, so under `make up` it may end `make` alone. So the terminal itself is
looked at, which says of every descriptor that it is no terminal any more.
"""

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from agent.flag import Flag

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS: Final = 0.1
REPEAT_SECONDS: Final = 0.5
"""Wrappers such as `make` may pass on the signal that the terminal sent already: no second one."""


class StopAsked(Exception):  # noqa: N818  # not a failure: the operator wants it
    """The operator asked to stop: end everything in order."""


class StopAtOnce(Exception):  # noqa: N818  # as above
    """The operator asked again: end everything now."""


def stop_on_signals(stop: Flag) -> None:
    """Set the flag at SIGTERM and SIGINT; a second one ends the process at once.

    For work that loses nothing by that: what was not settled is sent again, and the next round of
    the lifecycle goes on from wherever it was.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


class Breaking:
    """Whether this process was asked to stop: told at once while it waits, and else when it waits.

    So what it does in between is done in whole, unless it is asked again, which ends the process:
    for work that loses nothing by that.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._waits = False

    def install(self) -> None:
        """Take SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._is_asked = True
        if self._waits:
            raise StopAsked

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Raise `StopAsked` wherever in the block a signal comes, or if one came before it."""
        self._waits = True
        try:
            if self._is_asked:
                raise StopAsked
            yield
        finally:
            self._waits = False


def find_terminals() -> tuple[int, ...]:
    """Return the standard descriptors that are a terminal."""
    return tuple(number for number in (0, 1, 2) if os.isatty(number))


def silence(descriptors: tuple[int, ...]) -> None:
    """Lead descriptors of a terminal that went away to nowhere: writing there is an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Stopping:
    """Whether this process was asked to stop.

    The first signal only sets a flag, which `check` and `wait` turn into `StopAsked`: an exception
    in the middle of starting a child would lose that child. The second raises at once, unless it is
    SIGHUP: a shell and the system may both tell of one closed terminal.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._terminals: tuple[int, ...] = ()

    def install(self) -> None:
        """Take SIGINT, SIGTERM and, unless `nohup` has it ignored, SIGHUP from now on."""
        hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        for number in SIGNALS:
            if number is not signal.SIGHUP or hangs_up:
                signal.signal(number, self._handle)
        self._terminals = find_terminals() if hangs_up else ()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > REPEAT_SECONDS and number != signal.SIGHUP:
            raise StopAtOnce

    def check(self) -> None:
        """Raise `StopAsked` when a signal came, or the terminal went away."""
        if self._terminals and not any(os.isatty(one) for one in self._terminals):
            silence(self._terminals)
            self._terminals = ()
            self._asked_at = self._asked_at or time.monotonic()
        if self._asked_at is not None:
            raise StopAsked

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a signal."""
        deadline = time.monotonic() + seconds
        self.check()
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))
            self.check()
