"""A witness outside of the cluster: what this host shipped and was told to be stored, is it still?

Of each partition that is not due to be sealed the agent remembers the last event of the last batch
that was stored whole, and asks for it at its start and every `LOOK_SECONDS`. Until the seal no
journal says what a partition has, and who takes it away as a whole, or puts an older copy or an
empty cluster in its place, leaves no gap in any `seq`. After the seal the lifecycle watches it.

The loop never waits for the cluster, so a thread asks. Where nothing is answered, nothing is told.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from agent.findings import Finding
from audit_events.instant import format_instant
from indexer.batch import Batch
from indexer.bulk import Settlement, StoredEvent
from indexer.errors import Interrupted
from indexer.late import due_before
from indexer.names import partition_name
from indexer.settings import IndexSettings

LOOK_SECONDS: Final = 600.0
LIMIT: Final = 32
"""Partitions, the newest; as days, some ten are not due."""

Missing = Callable[[Sequence[StoredEvent]], Sequence[StoredEvent]]
"""Returns those of some events that are stored no more (`indexer.bulk.BulkWriter.missing`)."""

_log = structlog.get_logger("agent")


class Witness:
    """One stored event of each partition that may still be written; the loop owns it.

    Args:
        known: by the name of their partition, as a checkpoint has them; those that are laid into
            another one by now, as settings changed, are let go.
        index: which event lies where, and when that is due to be sealed.
        now: monotonic.
        instant: the canonical instant of now.
    """

    def __init__(
        self,
        known: Mapping[str, StoredEvent],
        index: IndexSettings,
        now: float,
        instant: Callable[[], str] = lambda: format_instant(datetime.now(UTC)),
    ) -> None:
        self._known = {
            name: event
            for name, event in known.items()
            if partition_name(event.timestamp, index) == name
        }
        self._index = index
        self._instant = instant
        self._next_look = now
        self._thread: threading.Thread | None = None
        self._found: queue.SimpleQueue[StoredEvent] = queue.SimpleQueue()

    def states(self) -> dict[str, StoredEvent]:
        """What a checkpoint has to hold."""
        return dict(self._known)

    def note(self, batch: Batch, settlement: Settlement) -> None:
        """Remember the last event of a batch, where all of it is stored."""
        if settlement.dead or not len(batch):
            return
        self._known[partition_name(batch.timestamps[-1], self._index)] = StoredEvent(
            batch.ids[-1], batch.timestamps[-1]
        )
        if len(self._known) > LIMIT:
            self._forget()

    def look(self, now: float, missing: Missing) -> None:
        """Ask for all of them, if it is time and nobody asks yet."""
        if now < self._next_look or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_look = now + LOOK_SECONDS
        self._forget()
        if self._known:
            asked = list(self._known.values())
            self._thread = threading.Thread(
                target=self._ask, args=(asked, missing), name="witness", daemon=True
            )
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait so long at most for who asks."""
        if self._thread is not None:
            self._thread.join(seconds)

    def take(self) -> dict[str, StoredEvent]:
        """Return those that were found missing since the last call, by partition; once each."""
        found: dict[str, StoredEvent] = {}
        while not self._found.empty():
            event = self._found.get()
            name = partition_name(event.timestamp, self._index)
            found[name] = event
            # Another one may have been stored there meanwhile.
            if self._known.get(name) == event:
                del self._known[name]
        return found

    def _ask(self, asked: Sequence[StoredEvent], missing: Missing) -> None:
        try:
            for event in missing(asked):
                self._found.put(event)
        except Interrupted:
            _log.debug("witness_interrupted")

    def _forget(self) -> None:
        due = due_before(self._instant(), self._index)
        newest = sorted(self._known.items(), key=lambda one: one[1].timestamp)[-LIMIT:]
        self._known = {name: event for name, event in newest if event.timestamp >= due}


def tell_gone(partition: str, event: StoredEvent) -> Finding:
    """Return the finding about an event that is stored no more."""
    return Finding(
        "gone",
        source_id="",
        path="",
        offset=0,
        first=0,
        last=0,
        events=1,
        partition=partition,
        event_id=event.id,
        timestamp=event.timestamp,
    )
