"""Trouble that lasts is logged when it begins and when it ends, and not at every attempt.

It ends by `bulk_resumed` when what waited for it goes on, and by `bulk_interrupted` when nobody
waits any more (the agent stops, or other settings take over): that is no all-clear.
"""

import threading
import time
from typing import Final

import structlog
from msgspec import Struct

from indexer.answer import ItemError, Outcome

_log = structlog.get_logger("indexer")

MESSAGES = {
    Outcome.RETRY: "bulk_retrying",
    Outcome.BLOCKED: "bulk_blocked",
    Outcome.HALTED: "bulk_halted",
}
HINTS = {
    Outcome.RETRY: "it is tried again until it succeeds; look at the cluster if this lasts",
    Outcome.BLOCKED: "the data is kept; free disk, or take off the block (of the index or the"
    " cluster) or the pipeline",
    Outcome.HALTED: "the data is kept; check credentials and roles, and `indelible indices apply`",
}

SEVERITY: Final = (Outcome.HALTED, Outcome.BLOCKED, Outcome.RETRY)
"""The worst first: what only a person mends, what somebody has to make room for, what passes."""


class Trouble(Struct, frozen=True):
    """What holds batches up; `since` is monotonic seconds."""

    outcome: Outcome
    error_type: str
    since: float


class Alarms:
    """Which trouble is going on, and which batches it holds up. Thread-safe.

    Two batches that meet the same trouble raise one alarm; it ends when neither is held up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[Outcome, str], set[int]] = {}
        self._since: dict[tuple[Outcome, str], float] = {}

    def begin(self, batch: int, outcome: Outcome, error: ItemError) -> None:
        """Note that `batch` (any number of its own) waits because of this."""
        key = (outcome, error.type)
        with self._lock:
            new = key not in self._held
            self._held.setdefault(key, set()).add(batch)
            self._since.setdefault(key, time.monotonic())
        if not new:
            return
        # The reason of the cluster speaks of users and indices here, never of an event's content.
        report = _log.warning if outcome is Outcome.RETRY else _log.error
        report(MESSAGES[outcome], error_type=error.type, reason=error.reason, hint=HINTS[outcome])

    def end(self, batch: int) -> None:
        """Note that `batch` waits for nothing any more, as the cluster took it."""
        for outcome, error_type in self._drop(batch):
            _log.info("bulk_resumed", after=MESSAGES[outcome], error_type=error_type)

    def interrupt(self, batch: int) -> None:
        """Note that `batch` is given up before it was settled; it will be sent again."""
        for outcome, error_type in self._drop(batch):
            _log.info(
                "bulk_interrupted",
                after=MESSAGES[outcome],
                error_type=error_type,
                hint="nothing is lost, and nothing has got better: it is sent again later",
            )

    def _drop(self, batch: int) -> list[tuple[Outcome, str]]:
        """Forget a batch; the trouble that holds no other one up."""
        with self._lock:
            ended: list[tuple[Outcome, str]] = []
            for key, batches in list(self._held.items()):
                batches.discard(batch)
                if not batches:
                    del self._held[key], self._since[key]
                    ended.append(key)
        return ended

    def worst(self) -> Trouble | None:
        """What is worst of the trouble that goes on, and since when; None while all is well."""
        with self._lock:
            going_on = sorted(
                self._since.items(), key=lambda one: (SEVERITY.index(one[0][0]), one[1])
            )
        for (outcome, error_type), since in going_on:
            return Trouble(outcome, error_type, since)
        return None
