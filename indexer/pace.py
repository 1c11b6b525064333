"""How often and how many at once all writers together may ask: one pace for one cluster.

Trouble of a whole request (no answer, 429, 503, bad credentials) is trouble of the cluster, or of
what stands before it. So all writers wait for it together: whoever failed last says until when, and
then one asks first. A cluster that is down for ten minutes meets some fifty attempts, however many
requests may be in flight. The number at a time is halved by such a failure and grows back by one
for as many successes as it has (AIMD, as TCP does). Requests that were under way together fail as
one. Trouble of single items is their batch's own (`indexer.bulk`).
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from indexer.answer import Outcome
from indexer.backoff import Backoff, delay_seconds, halted_delay_seconds
from indexer.errors import Interrupted

LOOK_SECONDS = 0.2
"""How often one that waits for its turn looks whether it is to stop."""


class Turn:
    """One request under way."""

    __slots__ = ("_pace", "began")

    def __init__(self, pace: "Pace", began: float) -> None:
        self._pace = pace
        self.began = began

    def succeed(self) -> None:
        """The cluster answered."""
        self._pace.note_success(self)

    def fail(self, outcome: Outcome, retry_after_seconds: float | None) -> None:
        """The request as a whole went wrong."""
        self._pace.note_failure(self, outcome, retry_after_seconds)


class Pace:
    """Lets requests through. Thread-safe.

    Args:
        backoff: how long to wait after failures.
        at_once: requests at a time, at most.
        stop: ends a wait.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        backoff: Backoff,
        at_once: int,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = backoff
        self._at_once = at_once
        self._stop = stop
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way = 0
        self._failures = 0
        self._failed_at = -1.0
        self._not_before = 0.0
        self.window = float(at_once)
        """Requests at a time, for now."""

    @contextmanager
    def turn(self) -> Generator[Turn]:
        """Wait for a turn and hold it.

        Raises:
            Interrupted: `stop` was set before it came.
        """
        began = self._begin()
        try:
            yield Turn(self, began)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify()

    def note_success(self, turn: Turn) -> None:
        """See `Turn.succeed`."""
        with self._changed:
            self.window = min(self._at_once, self.window + 1 / self.window)
            if turn.began > self._failed_at:
                self._failures = 0
            self._changed.notify()

    def note_failure(self, turn: Turn, outcome: Outcome, retry_after_seconds: float | None) -> None:
        """See `Turn.fail`."""
        with self._changed:
            now = self._clock()
            is_new = turn.began > self._failed_at
            if is_new:
                self._failures += 1
                self._failed_at = now
                self.window = max(1.0, self.window / 2)
            if is_new or retry_after_seconds is not None:
                seconds = self._delay(outcome, retry_after_seconds)
                self._not_before = max(self._not_before, now + seconds)

    def note_congestion(self) -> None:
        """The cluster answered, and took nothing of a request: fewer at a time, and no wait."""
        with self._changed:
            self.window = max(1.0, self.window / 2)

    def _delay(self, outcome: Outcome, retry_after_seconds: float | None) -> float:
        if outcome is Outcome.HALTED:
            return halted_delay_seconds(self._failures, self._backoff)
        return delay_seconds(self._failures, self._backoff, retry_after_seconds=retry_after_seconds)

    def _begin(self) -> float:
        while True:
            if self._stop.is_set():
                raise Interrupted
            with self._changed:
                now = self._clock()
                wait = self._not_before - now
                if wait <= 0:
                    if self._under_way < self._allowed():
                        self._under_way += 1
                        return now
                    self._changed.wait(LOOK_SECONDS)
                    continue
            self._stop.wait(wait)

    def _allowed(self) -> int:
        # After a failure one asks first; the others follow when it was answered.
        return 1 if self._failures else int(self.window)
