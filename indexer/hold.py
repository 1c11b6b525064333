"""Legal holds: what must not be deleted, whatever its age.

There is no list of holds that somebody could edit: a hold is the event `audit_log.hold_placed` in
the journal, its end the event `audit_log.hold_released`, and the active ones follow from those. A
partition is shared by all organisations, so a hold keeps whole partitions, for everybody.

`_system` has the record that counts; the organisation's auditors have a copy each, which is made
up for where a crash came between the two (`copy_to_organizations`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from audit_events.event import SYSTEM_ORGANIZATION, Actor, Event, Resource
from audit_events.instant import format_instant, parse_instant
from indexer.errors import JournalError
from indexer.journal import Journal, Key, person
from indexer.records import is_told
from indexer.span import Span

PLACED: Final = "audit_log.hold_placed"
RELEASED: Final = "audit_log.hold_released"
OPEN_END: Final = datetime.max.replace(tzinfo=UTC)
"""The end of a hold that has none."""
_RESOURCE: Final = "legal_hold"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class End(Struct, frozen=True):
    """Who released a hold, when, and why."""

    by: str
    at: datetime
    reason: str


class Hold(Struct, frozen=True, kw_only=True):
    """One hold on what lies in `[since, until)`."""

    id: str
    organization_id: str
    since: datetime
    until: datetime
    """`OPEN_END` where it has no end."""
    reason: str
    placed_by: str
    placed_at: datetime
    end: End | None = None
    """None while it is active."""


class Holds(Struct, frozen=True):
    """All holds that there ever were, each part oldest first."""

    active: tuple[Hold, ...]
    released: tuple[Hold, ...]


def sort_holds(events: Iterable[Event], organization_id: str = SYSTEM_ORGANIZATION) -> Holds:
    """The holds that these events speak of, in whatever order they come. Pure.

    Args:
        events: from the journal, of `PLACED` and `RELEASED`.
        organization_id: whose records count: the log's own, or an organisation's copies; others
            are passed over.

    Raises:
        JournalError: a record of a hold cannot be read, so nobody can tell what it keeps.
    """
    ours = [event for event in events if event.organization_id == organization_id]
    placed = [_read(event) for event in ours if event.action == PLACED]
    ends = _ends(event for event in ours if event.action == RELEASED)
    placed.sort(key=lambda hold: (hold.placed_at, hold.id))
    holds = [replace(hold, end=ends.get((hold.id, hold.organization_id))) for hold in placed]
    return Holds(
        tuple(hold for hold in holds if hold.end is None),
        tuple(hold for hold in holds if hold.end is not None),
    )


def _ends(events: Iterable[Event]) -> dict[tuple[str, str], End]:
    """The first release of each hold."""
    ends: dict[tuple[str, str], End] = {}
    for event in events:
        record = _context(event, _Release)
        end = End(event.actor.name or "unknown", _moment(event), record.reason)
        # Of the same organisation: that one is told, and whoever is not told released nothing.
        key = (record.hold_id, record.organization_id)
        known = ends.setdefault(key, end)
        if end.at < known.at:
            ends[key] = end
    return ends


def touches(hold: Hold, span: Span) -> bool:
    """Whether a partition of this span is kept by the hold."""
    return span.meets(hold.since, hold.until)


def read_holds(journal: Journal) -> list[Hold]:
    """The active holds: see `read_all_holds`."""
    return list(read_all_holds(journal).active)


def read_all_holds(journal: Journal) -> Holds:
    """The holds, as of everything that was acknowledged before.

    Raises:
        JournalError, RefusedError, NoAnswerError: nobody can tell, so nothing may be deleted.
    """
    return sort_holds(journal.read((PLACED, RELEASED)))


def place(journal: Journal, hold: Hold) -> None:
    """Record a hold: from now on no deletion that is not decided yet touches it.

    Raises:
        JournalError, RefusedError, NoAnswerError: it may not be recorded.
    """
    context: dict[str, object] = {
        "holdId": hold.id,
        "organizationId": hold.organization_id,
        "from": format_instant(hold.since),
        "reason": hold.reason,
    }
    if hold.until != OPEN_END:
        context["until"] = format_instant(hold.until)
    _record(journal, PLACED, hold, person(hold.placed_by), context, at=hold.placed_at)


def release(journal: Journal, hold: Hold, *, by: str, reason: str, at: datetime) -> None:
    """Record the end of a hold.

    Raises:
        JournalError, RefusedError, NoAnswerError: it may not be recorded.
    """
    context: dict[str, object] = {
        "holdId": hold.id,
        "organizationId": hold.organization_id,
        "reason": reason,
        "placedBy": hold.placed_by,
        "placedAt": format_instant(hold.placed_at),
    }
    _record(journal, RELEASED, hold, person(by), context, at=at)


def copy_to_organizations(journal: Journal) -> int:
    """Record for its organisation what only `_system` has; how many that were."""
    events = journal.read((PLACED, RELEASED), organization_id=None)
    copied = {
        (event.action, _context(event, _Release).hold_id, event.organization_id)
        for event in events
        if event.organization_id != SYSTEM_ORGANIZATION
    }
    count = 0
    for event in events:
        record = _context(event, _Release)
        if (
            event.organization_id == SYSTEM_ORGANIZATION
            and (event.action, record.hold_id, record.organization_id) not in copied
            and is_told(record.organization_id)
        ):
            journal.record(
                event.action,
                organization_id=record.organization_id,
                key=_key(record.hold_id),
                context=event.context or {},
                actor=event.actor,
                resource=event.resource,
                at=_moment(event),
            )
            count += 1
    return count


def _record(
    journal: Journal,
    action: str,
    hold: Hold,
    actor: Actor,
    context: dict[str, object],
    *,
    at: datetime,
) -> None:
    for organization_id in (SYSTEM_ORGANIZATION, hold.organization_id):
        journal.record(
            action,
            organization_id=organization_id,
            key=_key(hold.id),
            context=context,
            actor=actor,
            resource=Resource(type=_RESOURCE, id=hold.id),
            at=at,
        )


def _key(hold_id: str) -> Key:
    """What each record of a hold is told apart by: its id, which begins with its moment."""
    try:
        milliseconds = int(hold_id.replace("-", "")[:12], 16)
        instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError):
        # An id of somebody else's making: the journal has it for good, so it must stop nothing.
        instant = _EPOCH
    return Key(hold_id, instant)


class _Subject(Struct, frozen=True, kw_only=True, rename="camel"):
    hold_id: str
    organization_id: str


class _Release(_Subject, frozen=True, kw_only=True, rename="camel"):
    reason: str = ""
    """Whoever leaves it out has released the hold all the same."""


class _Placement(_Subject, frozen=True, kw_only=True, rename="camel"):
    reason: str
    since: str = msgspec.field(name="from")
    until: str | None = None


_Shape = TypeVar("_Shape", bound=_Subject)


def _context(event: Event, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(event.context, shape)
    except msgspec.ValidationError as error:
        raise _unreadable(event, error) from None


def _moment(event: Event) -> datetime:
    try:
        return parse_instant(event.timestamp)
    except ValueError as error:
        raise _unreadable(event, error) from None


def _unreadable(event: Event, error: Exception) -> JournalError:
    return JournalError(
        f"the journal's record {event.id} of a hold cannot be read: {error}",
        hint="a newer version may have written it; nothing is deleted until it can be read",
    )


def _read(event: Event) -> Hold:
    context = _context(event, _Placement)
    try:
        return Hold(
            id=context.hold_id,
            organization_id=context.organization_id,
            since=parse_instant(context.since),
            until=OPEN_END if context.until is None else parse_instant(context.until),
            reason=context.reason,
            placed_by=event.actor.name or "unknown",
            placed_at=_moment(event),
        )
    except ValueError as error:
        raise _unreadable(event, error) from None
