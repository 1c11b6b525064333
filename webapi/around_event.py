"""What came before and after one event: in all, of one thing, and in the order of its source."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from msgspec import Struct

from audit_events.event import UUID_PATTERN
from webapi.answered import StoredEvent
from webapi.errors import ParameterError, ParametersError
from webapi.event_values import read_parts
from webapi.names import NamedResource
from webapi.order import position_of
from webapi.people import ACTOR, TARGET, Part, Person
from webapi.query import Clause, Query, ScopedSearch, event_order
from webapi.reading import Reading
from webapi.storage_answer import Hit

By = Literal["organization", "actor", "target", "resource", "ip", "correlation"]
BY: Final[tuple[By, ...]] = get_args(By)
DEFAULT_EVENTS: Final = 20
MAX_EVENTS: Final = 100
NEIGHBOURS: Final = 10
"""Of one `seq` there is one event; more only where a source was imitated."""


class SourcePlace(Struct, frozen=True):
    """Where an event stands in the order of its source."""

    id: str
    seq: int


class Seen(Struct, frozen=True, rename="camel"):
    """What an event has in common with others."""

    actor: Person = Person()
    target_user: Person = Person()
    resource: NamedResource | None = None
    ip_address: str | None = None
    correlation_id: str | None = None
    source: SourcePlace | None = None


class SurroundingEvent(Struct, frozen=True, rename="camel"):
    """An event as it was written, and how far from the one that was asked for, with its sign."""

    distance_milliseconds: float
    is_center: bool
    event: StoredEvent


class Surroundings(Struct, frozen=True, rename="camel", kw_only=True):
    """The events around one, oldest first.

    Args:
        event_id: the one in the middle.
        by: what the others have in common with it.
        events: some before it, it, and some after it.
        more_before: whether there are earlier ones.
        more_after: whether there are later ones.
    """

    event_id: str
    by: By
    events: list[SurroundingEvent]
    more_before: bool
    more_after: bool


class Neighbours(Struct, frozen=True):
    """The ids of the events just before and after one in its source; None: not yours, or none."""

    previous: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundingsQuestion:
    """What is asked of an event.

    Args:
        by: what the others have in common with it.
        before: how many before it.
        after: how many after it.
    """

    by: By = "organization"
    before: int = DEFAULT_EVENTS
    after: int = DEFAULT_EVENTS


def surroundings_of(
    reading: Reading, organization_id: str, center: Hit, question: SurroundingsQuestion
) -> Surroundings:
    """Return the events around one, in the total order (timestamp, id).

    Raises:
        ParametersError: the event has nothing of the kind that the others should share.
        UnavailableError, InternalError: as `Storage.search`.
    """
    ways = ways_of(center)
    if question.by not in ways:
        reason = f"the event has no {question.by}, so no other has the same"
        error = ParameterError("conflict", reason, allowed=tuple(ways))
        raise ParametersError((error.of("by"),))
    place = position_of(center)
    query = Query(organization_id=organization_id, about=ways[question.by], after=place)
    earlier = _following(reading, replace(query, newest_first=True), question.before)
    later = _following(reading, replace(query, newest_first=False), question.after)
    hits = [*reversed(earlier[: question.before]), center, *later[: question.after]]
    return Surroundings(
        event_id=str(place.id),
        by=question.by,
        events=[
            SurroundingEvent(
                distance_milliseconds=(hit.sort[1] - place.timestamp_ns) / 1_000_000,
                is_center=hit is center,
                event=hit.source,
            )
            for hit in hits
        ],
        more_before=len(earlier) > question.before,
        more_after=len(later) > question.after,
    )


def _following(reading: Reading, query: Query, events: int) -> Sequence[Hit]:
    """Return so many events behind a place, and one more where there is one."""
    return reading.page(replace(query, limit=max(events, 1))).hits.hits


def ways_of(center: Hit) -> Mapping[By, Clause | None]:
    """Return what other events can have in common with one, and how they are found."""
    seen = read_parts(center.source, Seen)
    ways: dict[By, Clause | None] = {"organization": None}
    actor, target = _person(ACTOR, seen.actor), _person(TARGET, seen.target_user)
    if actor is not None:
        ways["actor"] = actor
    if target is not None:
        ways["target"] = target
    if seen.resource is not None:
        type_and_id = {"resource.type": seen.resource.type, "resource.id": seen.resource.id}
        ways["resource"] = _all(type_and_id)
    if seen.ip_address is not None:
        ways["ip"] = _all({"ipAddress": seen.ip_address})
    if seen.correlation_id is not None:
        ways["correlation"] = _all({"correlationId": seen.correlation_id})
    return ways


def neighbours_of(reading: Reading, organization_id: str, center: Hit) -> Neighbours:
    """Return the events before and after one in its source, where they are the organisation's.

    A source writes for many organisations; of the others' events nothing can be told.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    source = read_parts(center.source, Seen).source
    if source is None:
        return Neighbours()
    search = ScopedSearch(
        organization_id=organization_id,
        filters=[
            {"term": {"source.id": source.id}},
            {"terms": {"source.seq": [source.seq - 1, source.seq + 1]}},
        ],
        rest={
            "size": NEIGHBOURS,
            "sort": event_order(),
            "track_total_hits": False,
            "_source": ["source"],
        },
    )
    found: dict[int, str] = {}
    for hit in reading.over(search, None, None).hits.hits:
        place = read_parts(hit.source, Seen).source
        if place is not None and re.fullmatch(UUID_PATTERN, hit.sort[2] or "", re.ASCII):
            found.setdefault(place.seq - source.seq, str(hit.sort[2]))
    return Neighbours(previous=found.get(-1), next=found.get(1))


def _person(part: Part, person: Person) -> Clause | None:
    key = person.key(part)
    if key is None:
        return None
    term: Clause = {"term": {f"{part.field}.{key.kind}": key.value}}
    return {"bool": {"filter": [term], "must_not": part.absent(key.kind)}}


def _all(values: Mapping[str, str]) -> Clause:
    return {"bool": {"filter": [{"term": {field: value}} for field, value in values.items()]}}
