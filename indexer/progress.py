"""Where a batch stands while it is written: pure bookkeeping, no effects."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from indexer.answer import ItemError, ItemResult, Outcome, judge
from indexer.batch import Batch

STORED: Final = 201
WAITING: Final = (Outcome.HALTED, Outcome.BLOCKED, Outcome.RETRY)
"""Outcomes after which a row is sent again, the one that is waited for longest first."""


class RefusedRow(Struct, frozen=True):
    """A row that will never be stored."""

    row: int
    status: int | None
    reason: str


class Progress:
    """Every row of a batch is in exactly one of pending, created, duplicates and refused."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.pending = [row for row in range(len(batch)) if row not in batch.refused]
        self.refused = [RefusedRow(row, None, reason) for row, reason in batch.refused.items()]
        self.created = 0
        self.duplicates = 0
        self.requests = 0
        self.failures = 0
        """Rounds in a row that settled nothing."""

    def settled(self) -> int:
        """How many rows need nothing more from the cluster."""
        return self.created + self.duplicates + len(self.refused)

    def refuse(self, row: int, status: int, reason: str) -> None:
        """The row goes to the dead letter."""
        self.refused.append(RefusedRow(row, status, reason))


class Round:
    """What one round of requests left to send again, and why."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._settled_before = progress.settled()
        self.again: list[int] = []
        self.outcomes: dict[Outcome, ItemError] = {}
        self.retry_after_seconds: float | None = None

    def end(self) -> None:
        """What was put back is pending; a round that settled nothing counts as failed."""
        progress = self.progress
        progress.pending = sorted(self.again)
        progress.failures = (
            0 if progress.settled() > self._settled_before else progress.failures + 1
        )

    def put_back(self, rows: Sequence[int], outcome: Outcome, error: ItemError) -> None:
        """Send these rows again; the first error of each outcome stands for the others."""
        self.again.extend(rows)
        self.outcomes.setdefault(outcome, error)

    def note_retry_after(self, seconds: float | None) -> None:
        """The longest `Retry-After` of the round counts."""
        if seconds is not None:
            self.retry_after_seconds = max(seconds, self.retry_after_seconds or 0.0)

    def worst(self) -> tuple[Outcome, ItemError] | None:
        """The outcome that is waited for longest, None when nothing has to be waited for."""
        for outcome in WAITING:
            if outcome in self.outcomes:
                return outcome, self.outcomes[outcome]
        return None

    def sort_items(self, rows: Sequence[int], items: Sequence[ItemResult]) -> list[int]:
        """Take the items of an answer; returns the rows whose id is stored already (409)."""
        conflicts: list[int] = []
        for row, item in zip(rows, items, strict=True):
            if item.status == STORED:
                # Nearly all are: judging them all took four times as long as reading the answer.
                self.progress.created += 1
                continue
            error = item.error or ItemError()
            outcome = judge(item.status, error.type)
            if outcome is Outcome.CREATED:
                self.progress.created += 1
            elif outcome is Outcome.DUPLICATE:
                conflicts.append(row)
            elif outcome in WAITING:
                self.put_back([row], outcome, error)
            else:
                self.progress.refuse(row, item.status, f"{error.type}: {error.reason}")
        return conflicts

    def sort_stored(
        self,
        rows: Sequence[int],
        ours: Sequence[str],
        stored: Sequence[str | None],
        *,
        too_large: bool = False,
    ) -> None:
        """Settle rows by the `hash` that is stored under their ids, None where nothing is.

        Args:
            rows: whose ids were looked up.
            ours: the `hash` of each row.
            stored: the stored `hash` for each row.
            too_large: the cluster does not take these rows, so what is not stored never will be.
        """
        for row, our_hash, stored_hash in zip(rows, ours, stored, strict=True):
            if stored_hash == our_hash:
                self.progress.duplicates += 1
            elif stored_hash is not None:
                self.progress.refuse(row, 409, "another event with this id is stored")
            elif too_large:
                self.progress.refuse(row, 413, "the event alone is too large for the cluster")
            else:
                # Gone between the two requests, or not yet seen by the copy that was asked.
                self.put_back([row], Outcome.RETRY, ItemError("not_stored"))
