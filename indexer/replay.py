"""Replay: open dead letters that are events go to the cluster again, by the way of all events.

One batch after the other: written, then what was refused for another reason than before is made
durable as a new record, then the marks are. As id and index follow from the event, a crash between
any two of these steps stores nothing twice. A record that is refused as before stays as it is, so
that a hopeless replay does not make the dead letter grow.

What is no event is never replayed: a line that was corrected by hand is another event than the one
its source chained, and would be taken for a forgery.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from audit_events.instant import format_instant
from indexer.batch import Batch
from indexer.bulk import BulkWriter
from indexer.dead_letter import DeadLetter, Grave, Refusal
from indexer.dead_marks import Mark, Outcome, append_marks
from indexer.dead_records import Record
from indexer.errors import Interrupted, ReplayError
from indexer.settings import IndexSettings

LOCK_NAME: Final = "dead-letter-replay.lock"
BATCH_RECORDS: Final = 500
BATCH_BYTES: Final = 4 << 20
WAIT_SECONDS: Final = 60.0

Place = tuple[str, int, bytes]


class Result(Struct, rename="camel"):
    """What a replay came to, in records."""

    stored: int = 0
    """Stored by it or before it: whoever counts lines cares for nothing else."""
    replaced: int = 0
    """Refused for another reason than before, which is a record of its own now."""
    unchanged: int = 0
    """Refused as before."""
    no_events: int = 0
    """Not sent: what they hold is no event."""

    def is_complete(self) -> bool:
        """Whether all that was meant is stored."""
        return self.replaced + self.unchanged + self.no_events == 0


class Refused:
    """Takes the refusals of one batch, instead of the dead letter."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    def append(self, records: Sequence[Refusal], /) -> None:
        """Keep them for the replay to look at."""
        self.refusals.extend(records)

    def take(self) -> dict[Place, Refusal]:
        """Those since the last call, by where they stand."""
        taken, self.refusals = self.refusals, []
        return {(one.path, one.offset, one.line or b""): one for one in taken}


@contextmanager
def hold(directory: Path) -> Generator[None]:
    """Let no other replay work on this dead letter meanwhile.

    Raises:
        ReplayError: another one does.
    """
    path = directory / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReplayError(
                f"another replay works on {directory}", hint="wait until it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)


def cut(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records in batches, in their order; never more than one of them in memory."""
    batch: list[Record] = []
    room = BATCH_BYTES
    for record in records:
        size = len(record.line or b"")
        if batch and (size > room or len(batch) == BATCH_RECORDS):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(record)
        room -= size
    if batch:
        yield batch


class Replay:
    """Sends records again and marks what became of them.

    Args:
        directory: of the dead letter.
        letter: key of its first record.
        index: how events are laid into indices.
        connect: makes the writer, given what takes refusals and what ends its waits.
        wait_seconds: how long a batch may take before the replay gives up.
    """

    def __init__(
        self,
        directory: Path,
        letter: str,
        index: IndexSettings,
        connect: Callable[[Grave, threading.Event], BulkWriter],
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._directory = directory
        self._letter = letter
        self._index = index
        self._refused = Refused()
        self._stop = threading.Event()
        self._writer = connect(self._refused, self._stop)
        self._wait_seconds = wait_seconds
        self.result = Result()

    def send(self, records: Iterable[Record], advance: Callable[[int], None]) -> None:
        """Replay records; `result` counts what became of them.

        Args:
            records: open ones; read as they are needed.
            advance: called with the number of records that were done.

        Raises:
            ReplayError: the cluster took nothing for too long; the rest stays open.
            DeadLetterError: what became of a batch could not be made durable.
        """
        for batch in cut(records):
            events = [record for record in batch if record.envelope is not None]
            self.result.no_events += len(batch) - len(events)
            if events:
                self._send(events)
            advance(len(batch))

    def _send(self, records: list[Record]) -> None:
        self._write(batch_of(records, self._index))
        refused = self._refused.take()
        marks: list[Mark] = []
        anew: dict[Place, Refusal] = {}
        for record in records:
            place = _place(record)
            refusal = refused.get(place)
            if refusal is None:
                self.result.stored += 1
                marks.append(self._mark(record, "stored"))
            elif (refusal.status, refusal.reason) == (record.fields.status, record.fields.reason):
                self.result.unchanged += 1
            else:
                self.result.replaced += 1
                anew[place] = refusal
                marks.append(self._mark(record, "replaced"))
        DeadLetter(self._directory).append(list(anew.values()))
        append_marks(self._directory, marks)

    def _write(self, batch: Batch) -> None:
        timer = threading.Timer(self._wait_seconds, self._stop.set)
        timer.daemon = True
        timer.start()
        try:
            self._writer.write(batch)
        except Interrupted as error:
            raise ReplayError(
                f"the cluster did not take a batch within {self._wait_seconds:.0f} s",
                hint="what was not stored is still open: mend what the log above says, and repeat",
            ) from error
        finally:
            timer.cancel()

    def _mark(self, record: Record, outcome: Outcome) -> Mark:
        return Mark(letter=self._letter, record=record.key, outcome=outcome, time=_now())


def acknowledge(directory: Path, letter: str, records: Iterable[Record], note: str) -> int:
    """Mark records as read by somebody, so that they count as open no more; returns how many.

    Raises:
        DeadLetterError: none of them is marked.
    """
    marks = [
        Mark(letter=letter, record=one.key, outcome="acknowledged", time=_now(), note=note)
        for one in records
    ]
    append_marks(directory, marks)
    return len(marks)


def batch_of(records: Iterable[Record], index: IndexSettings) -> Batch:
    """A batch of records that are events."""
    batch = Batch(index, _now())
    for record in records:
        envelope, line = record.envelope, record.line
        if envelope is not None and line is not None:
            path, offset = record.fields.path, record.fields.offset
            batch.extend([line], [envelope.id], [envelope.timestamp], path, offset)
    return batch


def _place(record: Record) -> Place:
    return record.fields.path, record.fields.offset, record.line or b""


def _now() -> str:
    return format_instant(datetime.now(UTC))
