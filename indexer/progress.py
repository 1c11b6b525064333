"""Where a batch stands while it is written: pure bookkeeping, no effects."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from audit_events.chain import is_same_event
from indexer.answer import ALL_STORED, ItemError, ItemResult, Outcome, Stored, judge
from indexer.batch import Batch
from indexer.late import AFTER_LOOK, Seals, Step, is_sealed

STORED: Final = 201
WAITING: Final = (Outcome.HALTED, Outcome.BLOCKED, Outcome.RETRY)
"""Outcomes after which a row is sent again, the one that is waited for longest first."""


class RefusedRow(Struct, frozen=True):
    """A row that will never be stored."""

    row: int
    status: int | None
    reason: str


class Progress:
    """Every row of a batch is in exactly one of pending, created, duplicates and refused.

    Args:
        batch: what is written.
        seals: what is known of sealed partitions.
        due: before which instant an event's partition is due to be sealed (`late.due_before`).
    """

    def __init__(self, batch: Batch, seals: Seals, due: str) -> None:
        self.batch = batch
        self.seals = seals
        rows, refused = range(len(batch)), batch.refused
        self.pending = [row for row in rows if row not in refused] if refused else list(rows)
        self.refused = [RefusedRow(row, None, reason) for row, reason in batch.refused.items()]
        self.steps: dict[int, Step] = {}
        """Of the pending rows that are not at `Step.PARTITION`, as nearly all are."""
        if self.pending and min(batch.timestamps) < due:
            for row in self.pending:
                self.move(row, seals.first_step(batch.timestamps[row], due))
        for row in batch.outside.keys() - refused.keys():
            self.move(row, Step.OUTSIDE_LATE)
        self.created = 0
        self.duplicates = 0
        self.moves = 0
        self.returned: set[int] = set()
        """Rows that were put back, now or before."""
        self.retries = 0
        self.failures = 0
        """Rounds in a row that brought no row further."""

    def advance(self) -> int:
        """How far all rows together are; it only grows."""
        return self.created + self.duplicates + len(self.refused) + self.moves

    def step(self, row: int) -> Step:
        """What is done next with a pending row."""
        return self.steps.get(row, Step.PARTITION)

    def move(self, row: int, step: Step) -> None:
        """The row goes on with this step."""
        if step is Step.PARTITION:
            self.steps.pop(row, None)
        else:
            self.steps[row] = step

    def by_step(self) -> list[tuple[Step, list[int]]]:
        """The pending rows of each step that there is."""
        if not self.steps:
            return [(Step.PARTITION, self.pending)] if self.pending else []
        rows: dict[Step, list[int]] = {}
        for row in self.pending:
            rows.setdefault(self.step(row), []).append(row)
        return list(rows.items())

    def refuse(self, row: int, status: int | None, reason: str) -> None:
        """The row goes to the dead letter."""
        self.refused.append(RefusedRow(row, status, reason))


class Round:
    """What one round of requests left to send again, and why.

    Args:
        progress: of the batch.
        due: see `Progress`; as of this round.
    """

    def __init__(self, progress: Progress, due: str) -> None:
        self.progress = progress
        self._due = due
        self._advance_before = progress.advance()
        self.again: list[int] = []
        self.outcomes: dict[Outcome, ItemError] = {}
        self.is_paced = False
        """Whether a whole request went wrong, for which all writers wait together."""

    @property
    def is_congested(self) -> bool:
        """Whether what was put back only has to wait until there is room for it."""
        return self.outcomes.keys() == {Outcome.RETRY}

    def end(self) -> None:
        """What was put back is pending; a round that brought no row further counts as failed."""
        progress = self.progress
        progress.pending = sorted(self.again)
        is_further = progress.advance() > self._advance_before
        progress.failures = 0 if is_further else progress.failures + 1

    def put_back(self, rows: Sequence[int], outcome: Outcome, error: ItemError) -> None:
        """Send these rows again; the first error of each outcome stands for the others."""
        self.return_rows(rows)
        self.outcomes.setdefault(outcome, error)

    def return_rows(self, rows: Sequence[int]) -> None:
        """Send these rows again at once: nothing has to be waited for."""
        self.again.extend(rows)
        self.progress.returned.update(rows)

    def put_back_paced(self, rows: Sequence[int], outcome: Outcome, error: ItemError) -> None:
        """As `put_back`, for a request of which nothing was said of any item."""
        self.is_paced = True
        self.put_back(rows, outcome, error)

    def go_on(self, row: int, step: Step) -> None:
        """The row is sent again without a wait, with another step."""
        progress = self.progress
        progress.move(row, step)
        progress.moves += 1
        self.again.append(row)

    def worst(self) -> tuple[Outcome, ItemError] | None:
        """The outcome that is waited for longest, None when nothing has to be waited for."""
        for outcome in WAITING:
            if outcome in self.outcomes:
                return outcome, self.outcomes[outcome]
        return None

    def sort_items(self, rows: Sequence[int], items: Sequence[ItemResult]) -> list[int]:
        """Take the items of an answer; returns the rows whose id is stored already (409)."""
        if items is ALL_STORED:
            self.progress.created += len(rows)
            return []
        conflicts: list[int] = []
        for row, item in zip(rows, items, strict=True):
            if item.status == STORED:
                # Nearly all are: judging them all took four times as long as reading the answer.
                self.progress.created += 1
                continue
            error = item.error or ItemError()
            outcome = judge(item.status, error.type, error.reason)
            if outcome is Outcome.CREATED:
                self.progress.created += 1
            elif outcome is Outcome.DUPLICATE:
                conflicts.append(row)
            elif outcome is Outcome.BLOCKED and self._meets_seal(row, error):
                self.progress.seals.remember(self.progress.batch.timestamps[row])
                self.go_on(row, Step.LOOK_SEALED)
            elif outcome in WAITING:
                self.put_back([row], outcome, error)
            else:
                self.progress.refuse(row, item.status, f"{error.type}: {error.reason}")
        return conflicts

    def _meets_seal(self, row: int, error: ItemError) -> bool:
        progress = self.progress
        return progress.step(row) is Step.PARTITION and is_sealed(
            error, progress.batch.timestamps[row], self._due
        )

    def sort_stored(
        self,
        rows: Sequence[int],
        ours: Sequence[bytes],
        stored: Sequence[Stored],
        *,
        too_large: bool,
    ) -> None:
        """Settle rows by what is stored under their ids; where nothing is, go on.

        Args:
            rows: whose ids were looked up.
            ours: the line of each row.
            stored: what is there, for each row.
            too_large: the cluster does not take these rows, so what is not stored never will be.
        """
        progress = self.progress
        for row, line, found in zip(rows, ours, stored, strict=True):
            after = AFTER_LOOK.get(progress.step(row))
            if isinstance(found, bytes):
                if is_same_event(line, found):
                    progress.duplicates += 1
                else:
                    progress.refuse(row, 409, "another event with this id is stored")
            elif found is not None:
                # Without a status of its own, only its type tells what to wait for.
                self.put_back([row], judge(0, found.type, found.reason), found)
            elif too_large:
                progress.refuse(row, 413, "the event alone is too large for the cluster")
            elif after is not None:
                self.go_on(row, after)
            elif progress.step(row) is Step.OUTSIDE:
                progress.refuse(row, None, progress.batch.outside[row])
            else:
                # It answered 409 and is gone: removed between the two requests.
                self.put_back([row], Outcome.RETRY, ItemError("not_stored"))
