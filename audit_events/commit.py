"""Group commit: events that wait for the disk at the same time share one sync.

    join -> settle: lead, or wait for the leader's verdict
    lead: everybody who waits by now -> their lines -> one sync -> verdicts, and the next leader

Whoever comes while nobody leads does. Only a leader writes, and one leads at a time, so no line of
an event that waits is ever written while a sync runs: the verdict of a sync is that of exactly the
lines that its leader wrote. A failed sync is therefore final for them, and no later one is believed
for them: the kernel may have dropped their pages, tells it once, and has nothing to say next time.

Who was just served comes back one by one, and the first would be synced alone. So the leader waits
for as many as there were last time, for a quarter of what that took at most.

`Queue` decides who leads and for whom, without effects. Nothing here waits for ever for a thread
that was thrown out by an exception from a signal handler: a leader gives its verdict on the way
out, and one that never began is replaced by whoever loses patience.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

_PATIENCE_SECONDS: Final = 1.0
"""How long a leader that was appointed and thrown out before it began can hold up the others."""
_GATHERING_SHARE: Final = 0.25
"""How long a leader waits for others, of how long the last commit took."""

Work = TypeVar("Work")


class Seat(Generic[Work]):
    """One event that waits: its work, whether it leads, and whether it is done with."""

    __slots__ = ("gate", "is_settled", "leads", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.leads = False
        self.is_settled = False
        self.gate = threading.Lock()
        self.gate.acquire()


class Queue(Generic[Work]):
    """Who waits, and who leads. The caller holds a lock."""

    def __init__(self) -> None:
        self._waiting: list[Seat[Work]] = []
        self._is_led = False
        self._expected = 1

    @property
    def is_gathered(self) -> bool:
        """Whether as many wait as were served last."""
        return len(self._waiting) >= self._expected

    def join(self, work: Work) -> Seat[Work]:
        """Take a seat, which leads if nobody does."""
        seat = Seat(work)
        seat.leads, self._is_led = not self._is_led, True
        self._waiting.append(seat)
        return seat

    def begin(self) -> list[Seat[Work]]:
        """Return everybody who waits by now."""
        batch, self._waiting = self._waiting, []
        self._expected = len(batch)
        return batch

    def end(self, batch: Sequence[Seat[Work]]) -> list[Seat[Work]]:
        """Settle the batch and appoint the next leader; return whom to wake, the leader first."""
        for seat in batch:
            seat.is_settled = True
        self._is_led = bool(self._waiting)
        if not self._waiting:
            return list(batch)
        self._waiting[0].leads = True
        return [self._waiting[0], *batch]


class GroupCommit(Generic[Work]):
    """Lets one of the threads that wait do the work of all.

    Args:
        commit: does the work of a batch in its order and notes on each what came of it; it raises
            nothing but what a signal handler throws into it.
    """

    def __init__(self, commit: Callable[[list[Work]], None]) -> None:
        self._commit = commit
        self._queue: Queue[Work] = Queue()
        self._lock = threading.Lock()
        self._leading = threading.Lock()
        self._gathering: Seat[Work] | None = None
        self._gathering_seconds = 0.0

    def join(self, make: Callable[[], Work]) -> Seat[Work]:
        """Queue what `make` returns; the order of these calls is the order of the work."""
        with self._lock:
            seat = self._queue.join(make())
            # Looked at once: the leader that gathers may lose patience at any moment.
            leader = self._gathering
            if leader is not None and self._queue.is_gathered:
                _wake(leader)
            return seat

    def settle(self, seat: Seat[Work]) -> None:
        """Return when the work is done, well or not."""
        while not seat.is_settled:
            if seat.leads:
                self._lead(seat)
            elif not seat.gate.acquire(timeout=_PATIENCE_SECONDS) and not self._leading.locked():
                seat.leads = True

    def _lead(self, seat: Seat[Work]) -> None:
        with self._leading:
            batch: list[Seat[Work]] = []
            try:
                self._gather(seat)
                with self._lock:
                    batch = self._queue.begin()
                begun = time.monotonic()
                self._commit([seat.work for seat in batch])
                self._gathering_seconds = (time.monotonic() - begun) * _GATHERING_SHARE
            finally:
                with self._lock:
                    woken = self._queue.end(batch)
                for other in woken:
                    if other is not seat:
                        _wake(other)

    def _gather(self, seat: Seat[Work]) -> None:
        with self._lock:
            if self._queue.is_gathered:
                return
            self._gathering = seat
        seat.gate.acquire(timeout=self._gathering_seconds)
        self._gathering = None


def _wake(seat: Seat[Work]) -> None:
    with contextlib.suppress(RuntimeError):  # it is awake
        seat.gate.release()
