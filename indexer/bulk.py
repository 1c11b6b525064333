"""The bulk writer: a batch goes in, and comes back only when every line of it is settled.

Settled is: stored now (201), stored before with the same content (409, looked up), or durable in
the dead letter. Everything else is sent again, item by item, until it is settled or `stop` is set.
What an answer means is decided in `indexer.answer`, how long to wait in `indexer.backoff`; here is
what acts on it. A crash at any point leaves a part of the batch stored; as the id and the partition
follow from the event, sending all of it again stores nothing twice.

Dead letters are written last, when the rest of the batch is settled: a batch that is interrupted
and read again does not bury the same line twice.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.instant import format_instant
from indexer.answer import Outcome, read_items, read_stored
from indexer.backoff import Backoff, delay_seconds, halted_delay_seconds
from indexer.batch import Batch
from indexer.burial import bury
from indexer.dead_letter import Grave, Refusal
from indexer.document_id import possible_document_ids
from indexer.errors import Interrupted
from indexer.exchange import BULK, MGET, Exchange, Failure
from indexer.figures import Figures, dead_reason
from indexer.late import IN_LATE, LOOKS, Seals, Step, due_before
from indexer.names import late_name, partition_name
from indexer.progress import Progress, RefusedRow, Round
from indexer.request import split
from indexer.settings import IndexSettings

REQUESTS_AT_ONCE: Final = 2
LEFTOVER_SHARE: Final = 4
"""A batch of which at most one part in so many is left holds no other batch up."""
ROW_OVERHEAD_BYTES: Final = 160
"""Action line and `ingestedAt` around a line, roughly."""

_log = structlog.get_logger("indexer")


class Settlement(Struct, frozen=True):
    """What became of a batch; the first three counts add up to its lines."""

    created: int
    duplicates: int
    dead: int
    retries: int
    """Bulk requests that sent a line again."""


class StoredEvent(Struct, frozen=True):
    """An event that is stored: its `id`, and its timestamp, by which it has its place."""

    id: str
    timestamp: str


def _ignore(_change: int) -> None:
    """Nobody has other batches."""


class BulkWriter:
    """Writes batches; several threads may write at once.

    Args:
        client: of the role `writer`.
        settings: how events are laid into indices.
        dead_letter: takes what will never be stored.
        stop: when set, a wait ends at once and the write raises `Interrupted`; a request under way
            is not cut, as what it stored would be unknown, and lasts `timeout_seconds` of the
            client's settings at most (for which reason these are less than the agent's shutdown).
        backoff: the pace of attempts.
        at_once: requests under way at a time, at most; more writes may wait.
        figures: where requests, dead letters and lasting trouble are counted.
        tells_refusals: whether the log says what was refused; not where the caller does.
    """

    def __init__(
        self,
        client: OpenSearch,
        settings: IndexSettings,
        dead_letter: Grave,
        *,
        stop: threading.Event,
        backoff: Backoff | None = None,
        at_once: int = REQUESTS_AT_ONCE,
        figures: Figures | None = None,
        tells_refusals: bool = True,
    ) -> None:
        self._settings = settings
        self._dead_letter = dead_letter
        self._stop = stop
        self._tells_refusals = tells_refusals
        self._backoff = backoff or Backoff()
        self._figures = figures or Figures()
        self._exchange = Exchange(client, self._backoff, at_once, stop, self._figures)
        self._seals = Seals(settings)
        self._alarms = self._figures.alarms

    def write(self, batch: Batch, carry: Callable[[int], None] = _ignore) -> Settlement:
        """Settle every line of the batch, however long it takes.

        Args:
            batch: what is written.
            carry: called with 1 when a wait begins that is for a few items of it, and with -1 when
                that ends: whoever has other batches may send them meanwhile.

        Raises:
            Interrupted: `stop` was set before; nothing of the batch may be checkpointed, although
                a part of it may be stored.
        """
        progress = Progress(batch, self._seals, self._due())
        try:
            while progress.pending:
                this_round = Round(progress, self._due())
                self._send_round(this_round)
                this_round.end()
                self._pause(this_round, carry)
            self._bury(progress)
        except BaseException:
            self._alarms.interrupt(id(progress))
            raise
        self._alarms.end(id(progress))
        return Settlement(
            created=progress.created,
            duplicates=progress.duplicates,
            dead=len(progress.refused),
            retries=progress.retries,
        )

    def missing(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return those of some events that are neither in their partition nor among late events.

        One of which the cluster does not say so is not returned.

        Raises:
            Interrupted: `stop` was set before.
        """
        ids = [possible_document_ids(one.id) for one in events]
        docs = [
            {"_index": name(one.timestamp, self._settings), "_id": stored_id}
            for one, of_event in zip(events, ids, strict=True)
            for name in (partition_name, late_name)
            for stored_id in of_event
        ]
        asked = msgspec.json.encode({"docs": docs})
        stored = self._exchange.ask(
            MGET, [asked], lambda text: read_stored(text, [2 * of_event for of_event in ids])
        )
        if isinstance(stored, Failure):
            return []
        return [one for one, found in zip(events, stored, strict=True) if found is None]

    def _due(self) -> str:
        return due_before(format_instant(datetime.now(UTC)), self._settings)

    def _send_round(self, this_round: Round) -> None:
        """Send what is pending once; a request that goes wrong as a whole ends the round."""
        progress = this_round.progress
        limit = self._exchange.limit.current()
        sizes = [_sent_bytes(line) for line in progress.batch.lines()] if limit else []
        requests = [
            (step, rows)
            for step, pending in progress.by_step()
            for rows in split(sizes, pending, limit)
        ]
        for number, (step, rows) in enumerate(requests):
            if not self._take_step(step, rows, this_round):
                for _, unsent in requests[number + 1 :]:
                    this_round.again.extend(unsent)
                break

    def _take_step(self, step: Step, rows: list[int], this_round: Round) -> bool:
        """Send one request and sort its items; False when nothing was said of any item."""
        progress = this_round.progress
        late = step in IN_LATE
        if step in LOOKS:
            return self._look_up(rows, this_round, late=late)
        progress.retries += not progress.returned.isdisjoint(rows)
        count = len(rows)
        body = progress.batch.body(rows, late=late)
        items = self._exchange.ask(BULK, body, lambda text: read_items(text, count))
        if isinstance(items, Failure):
            self._meet(items, rows, this_round, late=late)
            return False
        put_back = len(this_round.again)
        conflicts = this_round.sort_items(rows, items)
        is_most = count * LEFTOVER_SHARE > len(progress.batch)
        if is_most and len(this_round.again) - put_back == count and this_round.is_congested:
            self._exchange.note_congestion(len(body))
        return not conflicts or self._look_up(conflicts, this_round, late=late)

    def _look_up(
        self, rows: list[int], this_round: Round, *, late: bool, too_large: bool = False
    ) -> bool:
        """Sort rows by what is stored under their ids; False when nothing was said of them."""
        batch = this_round.progress.batch
        name = late_name if late else partition_name
        # A seal lies on what older versions stored, too: there nothing else refuses a second time.
        ids = [possible_document_ids(batch.ids[row]) for row in rows]
        docs = [
            {"_index": name(batch.timestamps[row], self._settings), "_id": stored_id}
            for row, of_event in zip(rows, ids, strict=True)
            for stored_id in of_event
        ]
        stored = self._exchange.ask(
            MGET, [msgspec.json.encode({"docs": docs})], lambda text: read_stored(text, ids)
        )
        if isinstance(stored, Failure):
            self._meet(stored, rows, this_round, late=None)
            return False
        lines = batch.lines()
        ours = [lines[row] for row in rows]
        this_round.sort_stored(rows, ours, stored, too_large=too_large)
        return True

    def _meet(
        self, failure: Failure, rows: list[int], this_round: Round, *, late: bool | None
    ) -> None:
        """Put back the rows of a request that went wrong as a whole.

        Args:
            failure: what it met.
            rows: that it held.
            this_round: takes them.
            late: whether it was to store them as late events; None when it only looked them up.
        """
        if failure.outcome is not Outcome.TOO_LARGE:
            this_round.put_back_paced(rows, failure.outcome, failure.error)
        elif len(rows) > 1:
            lines = this_round.progress.batch.lines()
            self._exchange.limit.lower(sum(_sent_bytes(lines[row]) for row in rows) // 2)
            this_round.return_rows(rows)
        elif late is not None:
            # It may be stored all the same, by an attempt whose answer was lost.
            self._look_up(rows, this_round, late=late, too_large=True)
        else:
            this_round.put_back(rows, Outcome.RETRY, failure.error)

    def _pause(self, this_round: Round, carry: Callable[[int], None]) -> None:
        """Wait as long as the worst that single items met asks for.

        What met whole requests is waited for by all writers together (`indexer.pace`).
        """
        progress = this_round.progress
        worst = this_round.worst()
        if worst is None:
            self._alarms.end(id(progress))
            return
        outcome, error = worst
        self._alarms.begin(id(progress), outcome, error)
        if this_round.is_paced:
            return
        delay = halted_delay_seconds if outcome is Outcome.HALTED else delay_seconds
        seconds = delay(max(1, progress.failures), self._backoff)
        if len(progress.pending) * LEFTOVER_SHARE > len(progress.batch):
            self._wait(seconds)
            return
        carry(1)
        try:
            self._wait(seconds)
        finally:
            carry(-1)

    def _bury(self, progress: Progress) -> None:
        if not progress.refused:
            return
        refusals = _refusals(progress)
        bury(self._dead_letter, refusals, stop=self._stop, backoff=self._backoff)
        self._figures.note_dead(dead_reason(refusal.status) for refusal in refusals)
        if not self._tells_refusals:
            return
        # One entry a batch, and without the reason: the cluster quotes what it could not read.
        first = refusals[0]
        _log.warning(
            "events_refused",
            count=len(refusals),
            first_path=first.path,
            first_offset=first.offset,
            first_status=first.status,
            hint="they are in the dead letter: `indelible dead-letter list`",
        )

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Interrupted


def _refusals(progress: Progress) -> list[Refusal]:
    now = format_instant(datetime.now(UTC))
    refused = sorted(progress.refused, key=_by_row)
    located = progress.batch.located([one.row for one in refused])
    return [
        Refusal(path=path, offset=offset, reason=one.reason, time=now, status=one.status, line=line)
        for one, (path, offset, line) in zip(refused, located, strict=True)
    ]


def _by_row(refused: RefusedRow) -> int:
    return refused.row


def _sent_bytes(line: bytes) -> int:
    return len(line) + ROW_OVERHEAD_BYTES
