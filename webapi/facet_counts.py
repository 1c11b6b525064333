"""Counting the events of a query by action, category, colour, actor and more, and over time."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar, get_args

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from audit_events.catalogue import Catalogue
from webapi.aggregation import Number, Relation, TermBucket, Terms, instant_of, terms
from webapi.errors import ParameterError, ParametersError
from webapi.histogram import (
    INTERVALS,
    MAX_BUCKETS,
    FoundHistogram,
    Histogram,
    Interval,
    fits,
    histogram_aggregation,
    read_histogram,
    sensible,
)
from webapi.names import newest
from webapi.people import (
    ACTOR,
    PeopleAnswer,
    Person,
    known,
    people_aggregation,
)
from webapi.query import EARLIEST, Query, ScopedSearch, filters, holdable
from webapi.reading import Reading

T = TypeVar("T")

HISTOGRAM: Final = "histogram"
FIELDS: Final[Mapping[str, str]] = {
    "actorType": "actor.type",
    "resourceType": "resource.type",
    "result": "result",
    "ip": "ipAddress",
}
"""Facets that are the values of one field."""
DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {"result": {"missing": "success"}}
"""What an event means that does not say."""
OfAction = Literal["action", "category", "colour"]
OF_ACTIONS: Final[tuple[OfAction, ...]] = get_args(OfAction)
"""Facets that follow from the action."""
FACETS: Final = (*OF_ACTIONS, "actor", *FIELDS, HISTOGRAM)
DEFAULT_VALUES: Final = 10
MAX_VALUES: Final = 200
ACTIONS: Final = 1000
"""Actions that are asked for: categories, colours and old ids are summed here."""


class FacetValue(Struct, frozen=True):
    """One value, and how many events have it."""

    value: str
    count: int


class ActorCount(Person, frozen=True, omit_defaults=True, kw_only=True):
    """One actor, as their newest event of the question says, and how many events are theirs."""

    count: int


class Facet(Struct, frozen=True, rename="camel", kw_only=True):
    """The values with most events, of a facet.

    Args:
        values: those with most events first.
        relation: their counts are exact (`eq`), or at least so high (`gte`).
        other_count: events with a value that is not listed.
        missing_count: events without any: no address, no known action. Too low where another
            application gave an event several values: it counts with each.
    """

    values: list[FacetValue]
    relation: Relation
    other_count: int
    missing_count: int


class ActorFacet(Struct, frozen=True, rename="camel", kw_only=True):
    """The same of actors, who are told apart by id, else email, else type."""

    values: list[ActorCount]
    relation: Relation
    other_count: int
    missing_count: int


class Facets(Struct, frozen=True, rename="camel", kw_only=True):
    """How many events there are, and of which; what was not asked for is left out."""

    total: int
    total_relation: Relation = "eq"
    action: Facet | UnsetType = UNSET
    category: Facet | UnsetType = UNSET
    colour: Facet | UnsetType = UNSET
    actor: ActorFacet | UnsetType = UNSET
    actor_type: Facet | UnsetType = UNSET
    resource_type: Facet | UnsetType = UNSET
    result: Facet | UnsetType = UNSET
    ip: Facet | UnsetType = UNSET
    histogram: Histogram | UnsetType = UNSET


class FoundFacets(Struct, frozen=True, rename="camel"):
    """The answer to `facet_search`."""

    action: Terms[TermBucket] = Terms()
    actor: PeopleAnswer[TermBucket] = PeopleAnswer()
    actor_type: Terms[TermBucket] = Terms()
    resource_type: Terms[TermBucket] = Terms()
    result: Terms[TermBucket] = Terms()
    ip: Terms[TermBucket] = Terms()
    histogram: FoundHistogram = FoundHistogram()


class FoundExtent(Struct, frozen=True):
    """When the first and the last event of a query are, in milliseconds."""

    first: Number = Number()
    last: Number = Number()


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetQuestion:
    """What is to be counted.

    Args:
        names: some of `FACETS`.
        values: how many of each, at most `MAX_VALUES`.
        interval: of the histogram; None for a sensible one.
    """

    names: tuple[str, ...] = FACETS
    values: int = DEFAULT_VALUES
    interval: Interval | None = None


def facets_of(reading: Reading, query: Query, question: FacetQuestion) -> Facets:
    """Count the events of a query; its page (limit, offset, place, order) makes no difference.

    Raises:
        ParametersError: the interval is too short for the window.
        UnavailableError, InternalError: as `Storage.search`.
    """
    interval = None
    if HISTOGRAM in question.names:
        since, until = window_of(reading, query)
        interval = question.interval or sensible(since, until)
        if not fits(interval, since, until):
            raise ParametersError((too_short(since, until).of("interval"),))
    answer = reading.over(facet_search(query, question, interval), query.since, query.until)
    total, found = answer.hits.total.value, answer.aggregated(FoundFacets)

    def wanted(name: str, make: Callable[[], T]) -> T | UnsetType:
        return make() if name in question.names else UNSET

    def field(name: str, answered: Terms[TermBucket]) -> Facet | UnsetType:
        counts = {one.key: one.doc_count for one in answered.buckets}
        return wanted(name, lambda: facet(counts, answered, question.values, total))

    def of_action(name: OfAction) -> Facet | UnsetType:
        counts = sums(found.action.buckets, query.catalogue, name)
        return wanted(name, lambda: facet(counts, found.action, question.values, total))

    return Facets(
        total=total,
        action=of_action("action"),
        category=of_action("category"),
        colour=of_action("colour"),
        actor=wanted("actor", lambda: _actors(reading, query, found.actor, question.values, total)),
        actor_type=field("actorType", found.actor_type),
        resource_type=field("resourceType", found.resource_type),
        result=field("result", found.result),
        ip=field("ip", found.ip),
        histogram=UNSET
        if interval is None
        else read_histogram(interval, found.histogram, query.since, query.until),
    )


def facet_search(query: Query, question: FacetQuestion, interval: Interval | None) -> ScopedSearch:
    """Return the search that counts; its answer holds no event, so OpenSearch remembers it."""
    aggregations: dict[str, object] = {
        name: terms(path, question.values, **DEFAULTS.get(name, {}))
        for name, path in FIELDS.items()
        if name in question.names
    }
    if not {*OF_ACTIONS}.isdisjoint(question.names):
        aggregations["action"] = terms("action", ACTIONS)
    if "actor" in question.names:
        aggregations["actor"] = people_aggregation(ACTOR, question.values)
    if interval is not None:
        aggregations[HISTOGRAM] = histogram_aggregation(interval, query.catalogue)
    return counting_search(query, aggregations)


def counting_search(query: Query, aggregations: Mapping[str, object]) -> ScopedSearch:
    """Return the search of aggregations over all events of a query, with their exact number."""
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=filters(query),
        rest={"size": 0, "track_total_hits": True, "aggs": aggregations},
    )


def window_of(reading: Reading, query: Query) -> tuple[datetime, datetime]:
    """Return the window of a query; where it is open, it reaches to the first or last event."""
    since, until = query.since, query.until
    if since is None or until is None:
        extent = {
            "first": {"min": {"field": "timestamp"}},
            "last": {"max": {"field": "timestamp"}},
        }
        found = reading.over(counting_search(query, extent), since, until).aggregated(FoundExtent)
        since = since or instant_of(found.first) or until or EARLIEST
        until = until or instant_of(found.last) or since
    since = holdable(since)
    return since, max(since, holdable(until))


def sums(buckets: Iterable[TermBucket], catalogue: Catalogue, attribute: OfAction) -> Counter[str]:
    """Return how many events there are by an attribute of their actions.

    Events of an old id are of today's; an uncatalogued action is nothing but an action.
    """
    counts: Counter[str] = Counter()
    for bucket in buckets:
        entry = catalogue.find(bucket.key)
        if entry is not None:
            counts[getattr(entry, attribute)] += bucket.doc_count
        elif attribute == "action":
            counts[bucket.key] += bucket.doc_count
    return counts


def facet(counts: Mapping[str, int], answered: Terms[TermBucket], values: int, total: int) -> Facet:
    """Return the values with most events, of the same number in the order of their names."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    listed = [FacetValue(value, count) for value, count in ordered[:values]]
    rest = sum(count for _, count in ordered[values:]) + answered.sum_other_doc_count
    return Facet(
        values=listed,
        relation=answered.relation,
        other_count=rest,
        missing_count=max(0, total - rest - sum(one.count for one in listed)),
    )


def _actors(
    reading: Reading, query: Query, found: PeopleAnswer[TermBucket], values: int, total: int
) -> ActorFacet:
    buckets = dict(list(found.buckets.items())[:values])
    people = newest(reading, query, ACTOR, buckets)
    return ActorFacet(
        values=[
            ActorCount(**asdict(known(key, people)), count=bucket.doc_count)
            for key, bucket in buckets.items()
        ],
        relation=found.relation,
        other_count=found.count - sum(bucket.doc_count for bucket in buckets.values()),
        missing_count=max(0, total - found.count),
    )


def too_short(since: datetime, until: datetime) -> ParameterError:
    """Return the refusal of an interval that cuts a window into too many buckets."""
    names = [name for name, one in INTERVALS.items() if fits(one, since, until)]
    reason = f"makes more than {MAX_BUCKETS} buckets of this window; take a longer one"
    return ParameterError("out_of_range", reason, allowed=tuple(names))
