"""The bulk writer: a batch goes in, and comes back only when every line of it is settled.

Settled is: stored now (201), stored before with the same `hash` (409, looked up), or durable in
the dead letter. Everything else is sent again, item by item, until it is settled or `stop` is set.
What an answer means is decided in `indexer.answer`, how long to wait in `indexer.backoff`; here is
what acts on it. A crash at any point leaves a part of the batch stored; as the id and the partition
follow from the event, sending all of it again stores nothing twice.

Dead letters are written last, when the rest of the batch is settled: a batch that is interrupted
and read again does not bury the same line twice.
"""

import threading
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.instant import format_instant
from indexer.answer import (
    BULK_FILTER,
    STORED_FILTER,
    ItemError,
    Outcome,
    judge_request,
    read_error,
    read_items,
    read_stored,
)
from indexer.backoff import Backoff, delay_seconds, halted_delay_seconds, retry_after_seconds
from indexer.batch import Batch
from indexer.client import ask
from indexer.dead_letter import DeadLetter, Refusal
from indexer.errors import DeadLetterError, Interrupted, NoAnswerError
from indexer.figures import Figures, dead_reason
from indexer.names import partition_name
from indexer.progress import Progress, RefusedRow, Round
from indexer.request import RequestLimit, split
from indexer.settings import IndexSettings

ROW_OVERHEAD_BYTES: Final = 160
"""Action line and `ingestedAt` around a line, roughly."""
FILTERS: Final = {"/_bulk": BULK_FILTER, "/_mget": STORED_FILTER}
NOT_AN_ANSWER: Final = ItemError("not_an_answer", "the answer is cut, or is not OpenSearch's")

_log = structlog.get_logger("indexer")


class Settlement(Struct, frozen=True):
    """What became of a batch; the first three counts add up to its lines."""

    created: int
    duplicates: int
    dead: int
    retries: int
    """Bulk requests beyond the first."""


class _Hash(Struct, frozen=True):
    hash: str = ""


_decode_hash = msgspec.json.Decoder(_Hash).decode


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
        figures: where requests, dead letters and lasting trouble are counted.
    """

    def __init__(
        self,
        client: OpenSearch,
        settings: IndexSettings,
        dead_letter: DeadLetter,
        *,
        stop: threading.Event,
        backoff: Backoff | None = None,
        figures: Figures | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._dead_letter = dead_letter
        self._stop = stop
        self._backoff = backoff or Backoff()
        self._limit = RequestLimit()
        self._figures = figures or Figures()
        self._alarms = self._figures.alarms

    def write(self, batch: Batch) -> Settlement:
        """Settle every line of the batch, however long it takes.

        Raises:
            Interrupted: `stop` was set before; nothing of the batch may be checkpointed, although
                a part of it may be stored.
        """
        progress = Progress(batch)
        try:
            while progress.pending:
                self._check_stop()
                this_round = Round(progress)
                self._send_round(this_round)
                this_round.end()
                self._pause(this_round)
            self._bury(progress)
        finally:
            self._alarms.end(id(progress))
        return Settlement(
            created=progress.created,
            duplicates=progress.duplicates,
            dead=len(progress.refused),
            retries=max(0, progress.requests - 1),
        )

    def _send_round(self, this_round: Round) -> None:
        """Send what is pending once; a request that goes wrong as a whole ends the round."""
        progress = this_round.progress
        limit = self._limit.current()
        sizes = [_sent_bytes(line) for line in progress.batch.lines] if limit else []
        requests = split(sizes, progress.pending, limit)
        for number, rows in enumerate(requests):
            if not self._send(rows, this_round) or self._stop.is_set():
                for unsent in requests[number + 1 :]:
                    this_round.again.extend(unsent)
                break

    def _send(self, rows: list[int], this_round: Round) -> bool:
        """Send one request and sort its items; False when nothing was said of any item."""
        progress = this_round.progress
        progress.requests += 1
        text = self._ask("/_bulk", progress.batch.body(rows), rows, this_round)
        if text is None:
            return False
        items = read_items(text, len(rows))
        self._figures.note_request("none" if items is None else "ok")
        if items is None:
            this_round.put_back(rows, Outcome.RETRY, NOT_AN_ANSWER)
            return False
        conflicts = this_round.sort_items(rows, items)
        if conflicts:
            self._look_up(conflicts, this_round)
        return True

    def _look_up(self, rows: list[int], this_round: Round, *, too_large: bool = False) -> None:
        """Settle rows by what is stored under their ids: the same event, another one, nothing?"""
        batch = this_round.progress.batch
        docs = [
            {
                "_index": partition_name(batch.timestamps[row], self._settings),
                "_id": batch.ids[row],
                "_source": ["hash"],
            }
            for row in rows
        ]
        text = self._ask("/_mget", msgspec.json.encode({"docs": docs}), rows, this_round)
        if text is None:
            return
        stored = read_stored(text, [batch.ids[row] for row in rows])
        self._figures.note_request("none" if stored is None else "ok")
        if stored is None:
            this_round.put_back(rows, Outcome.RETRY, NOT_AN_ANSWER)
            return
        ours = [_decode_hash(batch.lines[row]).hash for row in rows]
        this_round.sort_stored(rows, ours, stored, too_large=too_large)

    def _ask(self, path: str, body: bytes, rows: list[int], this_round: Round) -> str | None:
        """The text of a 200 answer; after anything else None, and the rows are put back."""
        params = {"filter_path": FILTERS[path]}
        try:
            reply = ask(self._client, "POST", path, params=params, body=body)
        except NoAnswerError as error:
            self._figures.note_request("none")
            this_round.put_back(rows, Outcome.RETRY, ItemError("no_answer", str(error)))
            return None
        this_round.note_retry_after(retry_after_seconds(reply.headers.get("retry-after")))
        if reply.status == HTTPStatus.OK:
            return reply.text
        why = read_error(reply.text)
        outcome = judge_request(reply.status, why.type)
        self._figures.note_request(outcome.name.lower())
        named = ItemError(why.type or f"status_{reply.status}", why.reason)
        if outcome is not Outcome.TOO_LARGE:
            this_round.put_back(rows, outcome, named)
        elif len(rows) > 1:
            self._halve(rows, this_round)
        elif path == "/_bulk":
            # It may be stored all the same, by an attempt whose answer was lost.
            self._look_up(rows, this_round, too_large=True)
        else:
            this_round.put_back(rows, Outcome.RETRY, named)
        return None

    def _halve(self, rows: list[int], this_round: Round) -> None:
        lines = this_round.progress.batch.lines
        self._limit.lower(sum(_sent_bytes(lines[row]) for row in rows) // 2)
        this_round.again.extend(rows)

    def _pause(self, this_round: Round) -> None:
        """Wait as long as the worst that the round met asks for."""
        progress = this_round.progress
        worst = this_round.worst()
        if worst is None:
            self._alarms.end(id(progress))
            return
        outcome, error = worst
        self._alarms.begin(id(progress), outcome, error)
        attempt = max(1, progress.failures)
        if outcome is Outcome.HALTED:
            seconds = halted_delay_seconds(attempt, self._backoff)
        else:
            seconds = delay_seconds(
                attempt, self._backoff, retry_after_seconds=this_round.retry_after_seconds
            )
        self._wait(seconds)

    def _bury(self, progress: Progress) -> None:
        """Write what was refused to the dead letter, however long its disk stays full."""
        if not progress.refused:
            return
        refusals = _refusals(progress)
        failures = 0
        while True:
            try:
                self._dead_letter.append(refusals)
            except DeadLetterError as error:
                failures += 1
                if failures == 1:
                    _log.error("dead_letter_not_written", reason=str(error), hint=error.hint)
                self._wait(delay_seconds(failures, self._backoff))
            else:
                break
        self._figures.note_dead(dead_reason(refusal.status) for refusal in refusals)
        for refusal in refusals:
            # Without the reason: the cluster quotes the value that it could not read.
            _log.warning(
                "event_refused", path=refusal.path, offset=refusal.offset, status=refusal.status
            )

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Interrupted

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted


def _refusals(progress: Progress) -> list[Refusal]:
    batch = progress.batch
    now = format_instant(datetime.now(UTC))
    return [
        Refusal(
            path=batch.paths[row],
            offset=batch.offsets[row],
            reason=refused.reason,
            time=now,
            status=refused.status,
            line=batch.lines[row],
        )
        for refused in sorted(progress.refused, key=_by_row)
        for row in [refused.row]
    ]


def _by_row(refused: RefusedRow) -> int:
    return refused.row


def _sent_bytes(line: bytes) -> int:
    return len(line) + ROW_OVERHEAD_BYTES
