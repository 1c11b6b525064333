"""The agent's status, gathered from its parts: the one source of file, metrics and health."""

import os
import time
from datetime import UTC, datetime

import msgspec

from agent.follow import Follower
from agent.keeper import Keeper
from agent.lag import Lags
from agent.shipment import Counters
from agent.status import SourcesStatus, State, Status, Totals, Waiting, list_files
from agent.watch import Watch
from audit_events.instant import format_instant
from indexer.figures import Figures, Snapshot
from indexer.path_text import path_text


class Reporter:
    """Makes a status now and then.

    Args:
        totals: what the loop counts.
        figures: what the writers count.
    """

    def __init__(self, totals: Totals, figures: Figures) -> None:
        self._totals = totals
        self._figures = figures
        self._lags = Lags()
        self._started = format_instant(datetime.now(UTC))
        self.config_problems: tuple[str, ...] = ()
        self.trail_problem = ""
        self.dead_letter_problem = ""
        self.sources = SourcesStatus()

    def report(
        self,
        state: State,
        *,
        follower: Follower,
        counters: Counters,
        in_flight: int,
        watch: Watch,
        keeper: Keeper,
    ) -> Status:
        """Everything as it is now."""
        tails = follower.tails.values()
        since = self._lags.measure(follower.contents())
        figures = self._figures.take()
        self._count(counters, figures, follower, watch)
        return Status(
            pid=os.getpid(),
            state=state,
            started_at=self._started,
            updated_at=format_instant(datetime.now(UTC)),
            file_count=len(tails),
            lag_bytes=follower.lag_bytes(),
            oldest_unshipped=min(filter(None, since.values()), default=""),
            in_flight=in_flight,
            totals=msgspec.structs.replace(self._totals),
            files=list_files(tails, since),
            unreadable={path_text(path): why for path, why in follower.unreadable.items()},
            unwatched={path_text(path): why for path, why in watch.failures.items()},
            checkpoint_problem=keeper.problem,
            checkpoint_saved_at=_instant(keeper.saved_at),
            waiting=_waiting(figures),
            last_answer=figures.last_answer,
            last_success_at=_instant(figures.last_success_at),
            config_problems=self.config_problems,
            sources=self.sources,
            trail_problem=self.trail_problem,
            dead_letter_problem=self.dead_letter_problem,
        )

    def _count(
        self, counters: Counters, figures: Snapshot, follower: Follower, watch: Watch
    ) -> None:
        totals = self._totals
        for name in counters.__struct_fields__:
            setattr(totals, name, getattr(counters, name))
        totals.truncations = follower.truncations
        totals.watch_overflows = watch.overflows
        totals.requests = figures.requests
        totals.dead_letters_by_reason = figures.dead


def _waiting(figures: Snapshot) -> Waiting | None:
    trouble = figures.trouble
    if trouble is None:
        return None
    since = time.time() - (time.monotonic() - trouble.since)
    return Waiting(trouble.outcome.name.lower(), trouble.error_type, _instant(since))


def _instant(unix_seconds: float) -> str:
    return format_instant(datetime.fromtimestamp(unix_seconds, UTC)) if unix_seconds else ""
