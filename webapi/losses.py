"""What the log tells of itself as missing or altered, and between which instants that lies. Pure.

    audit_log.gap_detected        an agent read on, and events before were not there
    audit_log.gap_closed          some of these arrived after all
    audit_log.chain_broken        events are not what the process wrote
    audit_log.event_missing       an event that was stored is not any more, nor its partition
    audit_log.partition_missing   a partition is gone, and had not to go
    audit_log.partition_restored  it is back, from the archive
    audit_log.backlog_detected    an agent has not shipped what was written since an instant
    audit_log.backlog_cleared     it has

Such an event says which numbers of a process are concerned, and when that was found. When they
happened say the heartbeats of the process before and behind them: events of `_system` as these are,
so nothing of another tenant is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from audit_events.event import SYSTEM_ORGANIZATION
from audit_events.instant import parse_instant
from indexer.records import MISSING, RESTORED
from indexer.settings import IndexSettings
from indexer.span import Span, span_of
from webapi.aggregation import Number, instant_of
from webapi.query import EARLIEST, ScopedSearch

GAP: Final = "audit_log.gap_detected"
GAP_CLOSED: Final = "audit_log.gap_closed"
BREAK: Final = "audit_log.chain_broken"
GONE: Final = "audit_log.event_missing"
SILENT: Final = "audit_log.source_silent"
BEHIND: Final = "audit_log.backlog_detected"
CAUGHT_UP: Final = "audit_log.backlog_cleared"
OF_LOSSES: Final = (GAP, GAP_CLOSED, BREAK, GONE, MISSING, RESTORED)
OF_SILENCE: Final = (SILENT,)
OF_BACKLOGS: Final = (BEHIND, CAUGHT_UP)

Kind = Literal["gap", "altered", "event_missing", "partition_missing"]
KINDS: Final[Mapping[str, Kind]] = {
    GAP: "gap", BREAK: "altered", GONE: "event_missing", MISSING: "partition_missing",
}  # fmt: skip

Range = tuple[int, int]
"""Of `seq`, both ends included."""


class Place(Struct, frozen=True):
    """Numbers of a process, of which it is asked when they were."""

    source_id: str
    first: int
    last: int


class Loss(Struct, frozen=True, kw_only=True):
    """Something that is missing, or altered.

    Args:
        kind: what it is.
        events: how many events; 0 where nobody can say.
        found_at: when it was recorded.
        place: of a process's events; None of anything else, and where too many were told as one.
        span: of a partition's; None likewise.
    """

    kind: Kind
    events: int
    found_at: datetime
    place: Place | None = None
    span: Span | None = None


class _Resource(Struct, frozen=True):
    type: str = ""
    id: str = ""


class _Context(Struct, frozen=True, rename="camel"):
    events: int | str = 0
    ranges: list[str] = []
    event_timestamp: str = ""
    settled_until: str = ""


class Told(Struct, frozen=True):
    """What is read of an event that tells of a finding."""

    timestamp: str
    action: str
    resource: _Resource = _Resource()
    context: _Context = _Context()


def read_told(lines: Iterable[bytes | Raw]) -> list[Told]:
    """Return the findings, the oldest first; a foreign document is none."""
    found: list[Told] = []
    for line in lines:
        try:
            one = msgspec.json.decode(line, type=Told)
            parse_instant(one.timestamp)
        except (msgspec.MsgspecError, ValueError):
            continue
        found.append(one)
    return sorted(found, key=lambda one: one.timestamp)


def silent_of(told: Sequence[Told]) -> dict[str, datetime]:
    """Return when each process was last told to be silent."""
    return {one.resource.id: parse_instant(one.timestamp) for one in told if one.action == SILENT}


def backlogs_of(told: Sequence[Told]) -> list[datetime]:
    """Return until when all is stored, by each backlog that is not cleared.

    Args:
        told: the oldest first.
    """
    backlogs: dict[str, datetime] = {}
    for one in told:
        if one.action == CAUGHT_UP:
            backlogs.pop(one.resource.id, None)
        elif one.action == BEHIND:
            # Told again, it is the same one, as far as it is by now.
            backlogs[one.resource.id] = _instant_or(one.context.settled_until, EARLIEST)
    return list(backlogs.values())


def losses_of(told: Sequence[Told], index: IndexSettings) -> list[Loss]:
    """Return what is missing or altered still, in the order in which it was found.

    Args:
        told: the oldest first.
        index: what names of partitions mean.
    """
    closed: dict[str, list[Range]] = {}
    restored: dict[str, str] = {}
    for one in told:
        if one.action == GAP_CLOSED:
            closed.setdefault(one.resource.id, []).extend(_ranges(one))
        elif one.action == RESTORED:
            restored[one.resource.id] = one.timestamp
    losses: list[Loss] = []
    for one in told:
        loss = None
        if one.action in {GAP, BREAK}:
            # Told again after a crash, it is the same gap.
            known = closed.setdefault(one.resource.id, []) if one.action == GAP else []
            loss = _numbers_loss(one, known)
            known += _ranges(one)
        elif one.action in {GONE, MISSING} and restored.get(one.resource.id, "") < one.timestamp:
            loss = _partition_loss(one, index)
        if loss is not None:
            losses.append(loss)
    return losses


def _numbers_loss(told: Told, known: Sequence[Range]) -> Loss | None:
    found_at, kind = parse_instant(told.timestamp), KINDS[told.action]
    events = told.context.events if isinstance(told.context.events, int) else 0
    ranges = _ranges(told)
    if not ranges or told.resource.type != "source":
        return Loss(kind=kind, events=events, found_at=found_at)
    rest = subtract(ranges, known)
    # Beyond the ranges that the event has room for, events are only counted.
    unlisted = max(0, events - count(ranges))
    if not rest and not unlisted:
        return None
    placed = rest or ranges
    place = Place(told.resource.id, placed[0][0], placed[-1][1])
    return Loss(kind=kind, events=count(rest) + unlisted, found_at=found_at, place=place)


def _partition_loss(told: Told, index: IndexSettings) -> Loss:
    span = span_of(told.resource.id, index)
    if span is None and told.context.event_timestamp:
        instant = _instant_or(told.context.event_timestamp, parse_instant(told.timestamp))
        span = Span(instant, instant)
    return Loss(
        kind=KINDS[told.action], events=0, found_at=parse_instant(told.timestamp), span=span
    )


def _instant_or(text: str, otherwise: datetime) -> datetime:
    try:
        return parse_instant(text)
    except ValueError:
        return otherwise


def _ranges(told: Told) -> list[Range]:
    ranges: list[Range] = []
    for text in told.context.ranges:
        first, _, last = text.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            ranges.append((int(first), int(last or first)))
    return sorted(one for one in ranges if one[0] <= one[1])


def subtract(ranges: Sequence[Range], known: Sequence[Range]) -> list[Range]:
    """Return what of some ranges is in none of the others, in order."""
    rest: list[Range] = []
    others = _join(known)
    begin = 0
    for first, last in sorted(ranges):
        at = first
        # Those that end before this one end before all that follow.
        while begin < len(others) and others[begin][1] < first:
            begin += 1
        for low, high in islice(others, begin, None):
            if low > last:
                break
            if low > at:
                rest.append((at, low - 1))
            at = max(at, high + 1)
        if at <= last:
            rest.append((at, last))
    return rest


def _join(ranges: Sequence[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers there are in ranges that do not overlap."""
    return sum(last - first + 1 for first, last in ranges)


class _At(Struct, frozen=True):
    at: Number = Number()


class Sides(Struct, frozen=True):
    """What `place_search` is answered of one place."""

    before: _At = _At()
    behind: _At = _At()


def place_search(places: Sequence[Place]) -> ScopedSearch:
    """Return the search for the heartbeats before and behind numbers of processes, by position."""

    def beside(place: Place) -> dict[str, object]:
        asked = (("before", {"lt": place.first}, "max"), ("behind", {"gt": place.last}, "min"))
        return {
            "filter": {"term": {"source.id": place.source_id}},
            "aggs": {
                name: {
                    "filter": {"range": {"source.seq": side}},
                    "aggs": {"at": {nearest: {"field": "timestamp"}}},
                }
                for name, side, nearest in asked
            },
        }

    return ScopedSearch(
        organization_id=SYSTEM_ORGANIZATION,
        filters=[{"terms": {"source.id": sorted({one.source_id for one in places})}}],
        rest={
            "size": 0,
            "track_total_hits": False,
            "aggs": {str(at): beside(place) for at, place in enumerate(places)},
        },
    )


def window_of(loss: Loss, sides: Sides) -> tuple[datetime | None, datetime]:
    """Return between which instants it lies; None where it may lie anywhere before.

    Args:
        loss: what is missing or altered.
        sides: of its place; as empty ones where it has none, or nobody asked.
    """
    if loss.span is not None:
        return loss.span.start, loss.span.end
    after, behind = instant_of(sides.before.at), instant_of(sides.behind.at)
    # It was there, or not there, when it was found.
    before = loss.found_at if behind is None else min(behind, loss.found_at)
    # A clock that was set back meanwhile says nothing.
    return (
        (after, before) if after is None or after <= before else (None, max(after, loss.found_at))
    )
