"""What is to be done with a partition next, from what is seen of it. Pure.

A partition is sealed in four steps, each judged anew from what the cluster and the journal show, so
that a crash between any two changes nothing in the end:

    BLOCK        it takes no more writes
    MERGE        it becomes few segments
    RECORD_SEAL  its digest and counts are computed and recorded
    SNAPSHOT     where a repository is set: it is copied, and that is recorded

and it goes in two, when the retention of all of it has passed, no hold touches it and all of the
above is done:

    DELETE            the index goes
    RECORD_DELETION   that is recorded; after a crash, by whoever looks next

An index of late events passes the same steps, all of them when it is to go: until then one more
event may come. A recorded partition that is gone and was not due, or was held, was taken by hand:
RECORD_MISSING. So it is when another index has its name by now; that one is sealed then, too.

Ages are those of the policy (`indexer.policy`), counted from a *birthday*: the end of the span less
the margin that the policy has for ISM. So we act exactly when a setting has passed since that end,
whenever the index was made.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal, Protocol

from msgspec import Struct

from indexer.names import IndexKind
from indexer.policy import Policy, events_policy, late_policy, margin_days
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import Span

NAMED_HOLDS: Final = 20

PlanState = Literal[
    "open",
    "blocked",
    "closed",
    "due",
    "sealed",
    "held",
    "restored",
    "gone",
    "missing",
    "unknown",
    "kept",
]


class Step(Enum):
    """The next thing to do with a partition."""

    BLOCK = "block"
    MERGE = "merge"
    RECORD_SEAL = "record seal"
    SNAPSHOT = "snapshot"
    DELETE = "delete"
    RECORD_DELETION = "record deletion"
    RECORD_MISSING = "record missing"


class Hold(Protocol):
    """What must be known of a legal hold: which window of events it keeps."""

    @property
    def id(self) -> str:
        """Its name in the journal."""
        ...

    @property
    def since(self) -> datetime:
        """The first instant that it keeps."""
        ...

    @property
    def until(self) -> datetime:
        """The first instant after it."""
        ...


class Observed(Struct, frozen=True, kw_only=True):
    """What the cluster and the journal show of one index."""

    name: str
    kind: IndexKind
    span: Span | None
    """None where its name says no time, and for the journal."""
    exists: bool = True
    """False for one that the journal knows and the cluster does not have."""
    uuid: str | None = None
    """Which index of that name it is; None when it is gone."""
    open: bool = True
    """False when it is closed: it cannot be read then."""
    red: bool = False
    """Whether no copy of it is there: to ask for it waits until there is one."""
    blocked: bool = False
    """Whether it refuses writes."""
    segments: int | None = None
    """Of its primary; None while that is not known."""
    events: int | None = None
    size_bytes: int | None = None
    """Of its primary."""
    first: datetime | None = None
    last: datetime | None = None
    sealed_record: bool = False
    """Whether the journal has the digest of this very index."""
    replaced: bool = False
    """Whether the digest that the journal has is of another index of this name, whose end nobody
    recorded: this one was put in its place."""
    returned: bool = False
    """Whether an index of this name is recorded as ended, and no restore of this one is: it may be
    one that is being restored."""
    sealed_at: datetime | None = None
    """When the digest of this very index was recorded."""
    sealed_retention_days: int | None = None
    """The longest retention under which what it holds was sealed."""
    archived: bool = False
    """Whether a snapshot of it is known to be good."""
    restored_until: datetime | None = None
    """Where it was brought back from a snapshot: until when it stays."""


class Plan(Struct, frozen=True, kw_only=True):
    """What becomes of one index, and why."""

    name: str
    state: PlanState
    seal_at: datetime | None
    """None where it is not sealed by its age: late events, the journal."""
    delete_at: datetime | None
    """None where it is never deleted."""
    held_by: tuple[str, ...]
    """Ids of the holds that touch it."""
    next_step: Step | None
    """None where nothing is to be done now."""
    why: str


class _Dates(Struct, frozen=True):
    seal_at: datetime | None
    """From when on it is sealed."""
    delete_at: datetime | None
    promised_days: int | None = None
    """The longer retention under which it was sealed, where it goes by that."""


class _Moment(_Dates, frozen=True, kw_only=True):
    held: tuple[str, ...]
    now: datetime

    @property
    def due_to_seal(self) -> bool:
        return self.seal_at is not None and self.now >= self.seal_at

    @property
    def due_to_delete(self) -> bool:
        return self.delete_at is not None and self.now >= self.delete_at


def plan(
    observed: Observed,
    policy: Policy,
    settings: IndexSettings,
    lifecycle: LifecycleSettings,
    *,
    holds: Sequence[Hold],
    now: datetime,
    accept_shorter_retention: bool = False,
) -> Plan:
    """What is to be done next with one index.

    Args:
        observed: what is seen of it.
        policy: of its kind (`policy.read_all`).
        settings: those that the policy was rendered from.
        lifecycle: its `mode` as it was resolved: with `ism` the plugin deletes, else we do.
        holds: the active ones, of all organisations.
        now: by this clock.
        accept_shorter_retention: delete also what was sealed under a longer one than the present.
    """
    span = observed.span
    if observed.kind == "journal":
        return _plan(observed, "kept", None, "the journal is kept for good")
    if span is None:
        return _plan(observed, "unknown", None, "its name says no time: it is left alone")
    dates = _dates(observed, span, policy, settings)
    # What is gone went before anybody could be asked whether that was accepted; ISM never asks.
    is_there = observed.exists and not observed.replaced
    if lifecycle.mode != "ism" and not (accept_shorter_retention and is_there):
        dates = _keep_promise(dates, observed, span)
    held = tuple(hold.id for hold in holds if span.meets(hold.since, hold.until))
    moment = _Moment(
        seal_at=dates.seal_at,
        delete_at=dates.delete_at,
        promised_days=dates.promised_days,
        held=held,
        now=now,
    )
    state, step, why = _judge(observed, policy, lifecycle, moment)
    return Plan(
        name=observed.name,
        state=state,
        seal_at=dates.seal_at if observed.kind == "events" else None,
        delete_at=dates.delete_at,
        held_by=held,
        next_step=step,
        why=why,
    )


_Verdict = tuple[PlanState, Step | None, str]


def _judge(
    observed: Observed, policy: Policy, lifecycle: LifecycleSettings, moment: _Moment
) -> _Verdict:
    if not observed.exists or observed.replaced:
        return _judge_gone(observed, moment)
    if not observed.open and not observed.sealed_record:
        return "closed", None, "closed by hand: open it, it cannot be read"
    if not moment.due_to_seal:
        if observed.blocked:
            return "blocked", None, "blocked by hand: it is not due to be sealed"
        return "open", None, f"takes events; {_after('sealed', moment.seal_at)}"
    step = _sealing_step(observed, policy)
    if step is not None:
        return "due", step, _WHY[step]
    return _judge_sealed(observed, lifecycle, moment)


def _judge_gone(observed: Observed, moment: _Moment) -> _Verdict:
    restored = observed.restored_until
    is_back = restored is not None and moment.now < restored
    if moment.due_to_delete and not moment.held and not is_back:
        return "gone", Step.RECORD_DELETION, "deleted when it was due; that is not recorded yet"
    reason = _held_by(moment.held) if moment.held else "not due"
    return "missing", Step.RECORD_MISSING, f"it is gone, and was {reason}: deleted by hand"


def _sealing_step(observed: Observed, policy: Policy) -> Step | None:
    """The first step of sealing that is not done.

    A closed index is passed over; so is the number of segments of one that is recorded, as
    something was computed of it already.
    """
    if observed.open and not observed.blocked:
        return Step.BLOCK
    if not observed.sealed_record:
        most = policy.merge_segments
        if most is not None and observed.segments is not None and observed.segments > most:
            return Step.MERGE
        return Step.RECORD_SEAL
    if policy.repository is not None and not observed.archived and observed.open:
        return Step.SNAPSHOT
    return None


def _judge_sealed(observed: Observed, lifecycle: LifecycleSettings, moment: _Moment) -> _Verdict:
    stays = _judge_staying(observed, lifecycle, moment)
    if stays is not None:
        return stays
    if not observed.open and lifecycle.snapshot_repository is not None and not observed.archived:
        return "closed", None, "closed by hand: open it, it must be copied before it is deleted"
    if lifecycle.mode == "ism" and observed.restored_until is None:
        return "due", None, "its retention has passed: the ISM plugin deletes it"
    return "due", Step.DELETE, _WHY[Step.DELETE]


def _judge_staying(
    observed: Observed, lifecycle: LifecycleSettings, moment: _Moment
) -> _Verdict | None:
    """Why a sealed one is not deleted now; None when nothing keeps it."""
    if moment.held:
        return "held", None, f"{_held_by(moment.held)}: not deleted, whatever its age"
    restored = observed.restored_until
    if restored is not None and moment.now < restored:
        return "restored", None, f"restored; {_stays(restored, moment.delete_at)}"
    if not moment.due_to_delete:
        when = _after("deleted", moment.delete_at)
        if moment.promised_days is None:
            return "sealed", None, f"takes no more events; {when}"
        under = f"sealed under a retention of {moment.promised_days} days"
        return "sealed", None, f"{under}; {when}, or when the shorter one is accepted"
    unended = _stays_until(observed, lifecycle)
    if unended is not None and moment.now < unended:
        why = "its name was deleted before, and no restore of it is recorded; stays until"
        return "restored", None, f"{why} {unended:%Y-%m-%d}"
    return None


def _held_by(holds: Sequence[str]) -> str:
    """Name the holds; of many a few, as a record has room for a text of some length only."""
    named, more = holds[:NAMED_HOLDS], len(holds) - NAMED_HOLDS
    return f"held by {', '.join(named)}" + (f" and {more} more" if more > 0 else "")


def _stays(restored_until: datetime, delete_at: datetime | None) -> str:
    """For how long: what was brought back before it was due stays as long as any other."""
    if delete_at is None or delete_at > restored_until:
        return _after("deleted", delete_at)
    return f"stays until {restored_until:%Y-%m-%d}"


def _stays_until(observed: Observed, lifecycle: LifecycleSettings) -> datetime | None:
    """Until when one stays that may be in the middle of a restore: as long as a restored one."""
    if not observed.returned or observed.sealed_at is None:
        return None
    return observed.sealed_at + timedelta(days=lifecycle.restored_days)


def _after(what: str, at: datetime | None) -> str:
    return f"never {what}" if at is None else f"{what} on {at:%Y-%m-%d}"


_WHY = {
    Step.BLOCK: "its time has come, and it takes events still",
    Step.MERGE: "sealed, and not merged yet",
    Step.RECORD_SEAL: "sealed; its digest is not recorded yet",
    Step.SNAPSHOT: "sealed and recorded; not copied into the repository yet",
    Step.DELETE: "its retention has passed, and nothing holds it",
}


def _dates(observed: Observed, span: Span, policy: Policy, settings: IndexSettings) -> _Dates:
    late = observed.kind == "late"
    policy_id = late_policy(settings) if late else events_policy(settings)
    margin = timedelta(days=margin_days(policy_id, settings))
    seal_at = _later(span.end, policy.seal_age, margin)
    delete_at = _later(span.end, policy.delete_age, margin)
    if late:
        return _Dates(delete_at, delete_at)
    if seal_at is not None and delete_at is not None:
        # A retention that is shorter than the seal age: nothing goes unsealed and unrecorded.
        delete_at = max(seal_at, delete_at)
    return _Dates(seal_at, delete_at)


def is_promised(observed: Observed, now: datetime) -> bool:
    """Whether it is younger than the retention under which it was sealed."""
    days = observed.sealed_retention_days
    if days is None or observed.span is None:
        return False
    until = _later(observed.span.end, _days(days), timedelta())
    return until is None or now < until


def _keep_promise(dates: _Dates, observed: Observed, span: Span) -> _Dates:
    """It stays at least as long as it was to stay when it was sealed."""
    days = observed.sealed_retention_days
    if days is None or dates.delete_at is None:
        return dates
    until = _later(span.end, _days(days), timedelta())
    if until is not None and until <= dates.delete_at:
        return dates
    return _Dates(until if observed.kind == "late" else dates.seal_at, until, days)


def _days(days: int) -> timedelta:
    return timedelta(days=min(days, timedelta.max.days))


def _later(end: datetime, age: timedelta | None, margin: timedelta) -> datetime | None:
    """When an index of that birthday has an age; None for never, and beyond the calendar."""
    if age is None:
        return None
    try:
        return end + (age - margin)
    except OverflowError:
        return None


def _plan(observed: Observed, state: PlanState, step: Step | None, why: str) -> Plan:
    return Plan(
        name=observed.name,
        state=state,
        seal_at=None,
        delete_at=None,
        held_by=(),
        next_step=step,
        why=why,
    )
