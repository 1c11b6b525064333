"""The lease: one process at a time looks after the partitions, whatever the hosts' clocks say.

Whoever takes it writes its name into the control document, and renews it by writing again. Nobody
reads a time that another host wrote:

    the holder believes in its lease until `lease_seconds * BELIEVED` after it *sent* the last write
    that was answered
    whoever waits takes it when it has seen the same version of the document for `lease_seconds`,
    by its own monotonic clock, counted from the *answer* to its first look

The holder's time begins before the other's and is shorter, so it ends before, as long as the two
clocks run equally fast within `BELIEVED`. A write is refused when somebody else wrote in between,
so of several that take at once one has it. A write without an answer is looked up; until that
succeeds, the lease ends when the last answered one does.

What no lease can do is stop a request that was sent already: it is checked right before each one
that matters, and `deleting` stays until it is known what became of it.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from audit_events.instant import format_instant
from indexer.control import Control, LastRound, Version
from indexer.errors import IndexerError, LeaseLostError

BELIEVED: Final = 0.75
"""The part of the lease that its holder believes in; the rest is for clocks that differ in pace."""
RENEWALS: Final = 4
"""How often in `lease_seconds` it is renewed."""

_log = structlog.get_logger("indexer")


class Document(Protocol):
    """Where the lease is written (`indexer.control.ControlDocument`)."""

    def read(self) -> tuple[Control, Version] | None:
        """Read what it says now."""
        ...

    def write(self, control: Control, expected: Version | None) -> Version | None:
        """Write in the place of `expected`; None when somebody else was first."""
        ...


class Lease:
    """One process's view of the lease. Thread-safe.

    Args:
        document: where it is written.
        holder: a name that no other process ever has.
        lease_seconds: how long the others wait.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        document: Document,
        *,
        holder: str,
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder
        self.lease_seconds = lease_seconds
        self._document = document
        self._clock = clock
        self._lock = threading.RLock()
        self._version: Version | None = None
        self._control = Control()
        self._until = float("-inf")
        self._seen: tuple[Version, float] | None = None

    @property
    def control(self) -> Control:
        """What the document said when this process wrote or read it last."""
        return self._control

    def is_held(self) -> bool:
        """Whether this process may act now."""
        return self._clock() < self._until

    def check(self) -> None:
        """Raise `LeaseLostError` unless this process may act now."""
        if not self.is_held():
            raise LeaseLostError(f"the lease of {self.holder} is no longer its own")

    def take(self) -> bool:
        """Take the lease if it is free or its holder is gone; one look and at most one write.

        Raises:
            RefusedError, NoAnswerError: nobody can tell; it is not taken.
        """
        with self._lock:
            if self.is_held():
                return True
            found = self._document.read()
            if found is None:
                return self._write(Control(), None)
            control, version = found
            if control.holder in ("", self.holder) or self._is_abandoned(version):
                return self._write(control, version)
            self._control = control
            return False

    def _is_abandoned(self, version: Version) -> bool:
        """Whether this version was there for as long as a lease lasts."""
        now = self._clock()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
        return now - self._seen[1] >= self.lease_seconds

    def renew(self, *, deleting: str | UnsetType | None = UNSET) -> None:
        """Write the document again; with another intent, if one is given.

        Raises:
            LeaseLostError: somebody else has it, or it ended before.
            RefusedError, NoAnswerError: nobody can tell; it lasts as long as before.
        """
        with self._lock:
            self.check()
            control = self._control
            if deleting is not UNSET:
                control = replace(control, deleting=deleting)
            if not self._write(control, self._version) and not self._adopt(control):
                self._until = float("-inf")
                raise LeaseLostError(f"somebody else took the lease from {self.holder}")

    def note_journal(self, uuid: str) -> None:
        """Write down which journal there is."""
        with self._lock:
            self._control = replace(self._control, journal=uuid)
            self.renew()

    def note_round(self, ended: LastRound) -> None:
        """Have it written down with the next write, which is the release at the latest."""
        with self._lock:
            self._control = replace(self._control, last_round=ended)

    def _adopt(self, control: Control) -> bool:
        """After a refused write: the version in the way may be an own one without an answer."""
        found = self._document.read()
        if found is None or found[0].holder != self.holder:
            return False
        return self._write(control, found[1])

    def _write(self, control: Control, expected: Version | None) -> bool:
        sent_at = self._clock()
        own = replace(control, holder=self.holder, renewed_at=format_instant(datetime.now(UTC)))
        version = self._document.write(own, expected)
        if version is None:
            return False
        self._control, self._version = own, version
        self._until = sent_at + self.lease_seconds * BELIEVED
        self._seen = None
        return True

    def release(self) -> None:
        """Give it back, so that the next one need not wait; what goes wrong is left to time."""
        with self._lock:
            if self.is_held():
                free = replace(self._control, holder="")
                self._until = float("-inf")
                try:
                    self._document.write(free, self._version)
                except IndexerError as error:
                    _log.info("lease_not_released", cause=str(error))


@contextmanager
def renewed(lease: Lease) -> Generator[None]:
    """Renew a lease that is held in a thread of its own, while the body works; then release it."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(lease.lease_seconds / RENEWALS):
            try:
                lease.renew()
            except LeaseLostError:
                return
            except IndexerError as error:
                _log.warning("lease_not_renewed", cause=str(error), hint=error.hint)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        lease.release()
