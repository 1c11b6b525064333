"""What one round of the executor comes to: the steps that were taken, and the problems."""

from dataclasses import dataclass, field
from typing import Final

import structlog
from msgspec import Struct

from audit_events.errors import AuditEventError
from indexer.errors import DeletionBlockedError, IndexerError, NoAnswerError
from indexer.plan import Plan, Step

MOST_UNANSWERED: Final = 3
"""So many steps without an answer one after the other end a round: the cluster is not there."""

_log = structlog.get_logger("indexer")


class Taken(Struct, frozen=True):
    """A step that was taken."""

    partition: str
    step: str


class Problem(Struct, frozen=True, rename="camel"):
    """A step that could not be taken, and what its reader can do."""

    partition: str
    step: str
    what: str
    hint: str
    is_blocked: bool = False
    """Nothing is wrong with the partition: this process lacks a right."""


class Round(Struct, frozen=True):
    """What one round came to."""

    plans: tuple[Plan, ...]
    """As they were in the end."""
    taken: tuple[Taken, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Notes:
    """What happened so far in a round."""

    taken: list[Taken] = field(default_factory=list[Taken])
    problems: list[Problem] = field(default_factory=list[Problem])
    tried: set[tuple[str, Step]] = field(default_factory=set[tuple[str, Step]])
    blocked: DeletionBlockedError | None = None
    """Why nothing can be deleted in this round."""
    unanswered: int = 0

    def is_new(self, plan: Plan) -> bool:
        """Whether the step was not tried in this round: one that changes nothing comes once."""
        return plan.next_step is not None and (plan.name, plan.next_step) not in self.tried

    def take(self, name: str, step: Step) -> None:
        """A step was taken."""
        self.taken.append(Taken(name, step.value))
        _log.info("lifecycle_step_taken", partition=name, step=step.value)

    def fail(self, error: IndexerError | AuditEventError, name: str, step: str) -> None:
        """A step could not be taken; raises the error when the cluster seems not to be there."""
        is_blocked = isinstance(error, DeletionBlockedError)
        if isinstance(error, DeletionBlockedError):
            self.blocked = error
        self.problems.append(Problem(name, step, str(error), error.hint, is_blocked))
        _log.error(
            "lifecycle_step_failed",
            partition=name,
            step=step,
            cause=str(error),
            hint=error.hint,
        )
        if isinstance(error, NoAnswerError):
            self.unanswered += 1
            if self.unanswered >= MOST_UNANSWERED:
                raise error
