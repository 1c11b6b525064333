"""One process's work on the lifecycle: rounds by turns, as long as it is not asked to end.

    take the lease ── round, the lease renewed meanwhile ── give it back ── wait `interval_seconds`
         └─ somebody else has it: look again in a quarter of `lease_seconds`

Whatever goes wrong is logged and tried again, ever more slowly: a cluster that is down ends
nothing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from msgspec import Struct

from audit_events.errors import AuditEventError
from audit_events.instant import format_instant
from indexer.backoff import Backoff, delay_seconds
from indexer.beat import Asked
from indexer.control import LastRound
from indexer.errors import IndexerError, Interrupted, LeaseLostError
from indexer.lease import RENEWALS, Lease, renewed
from indexer.lifecycle import Executor
from indexer.round import Round

POLL_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 1.0
"""Between two looks at the lease of another process, which tell whether that one lives."""
MOST_CHARACTERS: Final = 500
"""Of a problem's words in the control document."""
BACKOFF: Final = Backoff(first_seconds=2.0, longest_seconds=60.0)

_log = structlog.get_logger("indexer")


class Standby(Struct, frozen=True):
    """Another process looks after the partitions, and was seen to do so."""

    holder: str


def work(
    open_executor: Callable[[], Executor],
    lease: Lease,
    *,
    interval_seconds: float,
    stop: Asked,
) -> None:
    """Take rounds until `stop` is set.

    Args:
        open_executor: makes the executor of one round; may ask the cluster.
        lease: of this process.
        interval_seconds: between two rounds of this process.
        stop: ends it before the next step.
    """
    failures = 0
    while not stop.is_set():
        wait_seconds = interval_seconds
        try:
            if _take_turn(open_executor, lease) is None:
                wait_seconds = min(interval_seconds, lease.lease_seconds / RENEWALS)
            failures = 0
        except Interrupted:
            return
        except (IndexerError, AuditEventError) as error:
            failures += 1
            wait_seconds = min(interval_seconds, delay_seconds(failures, BACKOFF))
            # Once may be a node that starts again.
            tell = _log.warning if failures == 1 else _log.error
            tell("lifecycle_round_failed", cause=str(error), hint=error.hint)
        _wait(wait_seconds, stop)


def work_once(
    open_executor: Callable[[], Executor],
    lease: Lease,
    *,
    stop: Asked,
    accept_journal: bool,
) -> Round | Standby:
    """Take one round; where somebody has the lease, wait until it is seen that he lives or not.

    Raises:
        Interrupted: `stop` was set.
        LeaseLostError, RefusedError, NoAnswerError, JournalError: the round could not be ended.
    """
    first_seen: str | None = None
    while True:
        found = _take_turn(open_executor, lease, accept_journal=accept_journal)
        if found is not None:
            return found
        seen = lease.control
        if first_seen is not None and seen.renewed_at != first_seen:
            return Standby(seen.holder)
        first_seen = seen.renewed_at
        _wait(LOOK_SECONDS, stop)
        if stop.is_set():
            raise Interrupted


def _take_turn(
    open_executor: Callable[[], Executor], lease: Lease, *, accept_journal: bool = False
) -> Round | None:
    if not lease.take():
        return None
    with renewed(lease):
        try:
            found = open_executor().take_round(accept_journal=accept_journal)
        except LeaseLostError as error:
            _log.warning("lease_lost", cause=str(error), hint=error.hint)
            raise
        except (IndexerError, AuditEventError) as error:
            if not isinstance(error, Interrupted):
                lease.note_round(_ended(1, str(error), error.hint))
            raise
        first = found.problems[0] if found.problems else None
        what = "" if first is None else f"{first.partition}: {first.step}: {first.what}"
        hint = "" if first is None else first.hint
        lease.note_round(_ended(len(found.problems), what, hint))
    _log.info(
        "lifecycle_round_done",
        partitions=len(found.plans),
        taken=len(found.taken),
        problems=len(found.problems),
    )
    return found


def _ended(problems: int, what: str, hint: str) -> LastRound:
    now = format_instant(datetime.now(UTC))
    return LastRound(now, problems, what[:MOST_CHARACTERS], hint[:MOST_CHARACTERS])


def _wait(seconds: float, stop: Asked) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stop.is_set():
        time.sleep(POLL_SECONDS)
