"""Who and what took part in some events: actors, targets, resources, addresses, user agents. Pure.

Each dimension has keys of its own kind: a person's `Key`, the type and id of a resource, else the
value. What one search found can be asked for again, and alone, in another span of time: then every
count is exact, as each shard tells of just these.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from msgspec import Struct

from webapi.aggregation import SHARD_VALUES, Number, Relation, TermBucket, Terms, terms
from webapi.people import ACTOR, TARGET, Key, PeopleAnswer, people_aggregation

CONSIDERED: Final = 500
"""Keys of each dimension that are looked at."""
MOST_PAIRS: Final = 10_000

Dimension = Literal["action", "actor", "target", "resource", "ip", "userAgent"]
FIELDS: Final[Mapping[Dimension, str]] = {
    "action": "action",
    "ip": "ipAddress",
    "userAgent": "userAgent",
}
PARTS: Final = {"actor": ACTOR, "target": TARGET}
DIMENSIONS: Final[tuple[Dimension, ...]] = (*FIELDS, "actor", "target", "resource")
Resource = tuple[str, str]
"""Type and id."""
AnyKey = str | Key | Resource
Keys = Mapping[Dimension, Collection[AnyKey]]
TIMES: Final[Mapping[str, object]] = {
    "first": {"min": {"field": "timestamp"}},
    "last": {"max": {"field": "timestamp"}},
}


class TimedBucket(TermBucket, frozen=True):
    """The events with one value, and the first and the last of them where it was asked."""

    first: Number = Number()
    last: Number = Number()


class ResourceBucket(Struct, frozen=True):
    """The events of one resource."""

    key: Resource
    doc_count: int
    first: Number = Number()
    last: Number = Number()


Buckets = dict[AnyKey, TimedBucket | ResourceBucket]


class Resources(Struct, frozen=True):
    """The answer for resources."""

    values: Terms[ResourceBucket] = Terms()


class Tally(Struct, frozen=True):
    """What one dimension has.

    Args:
        buckets: those with most events first.
        other_count: events of others.
        relation: whether counts are exact.
    """

    buckets: Buckets
    other_count: int
    relation: Relation

    def count(self, key: AnyKey) -> int:
        """Return how many events have a key."""
        found = self.buckets.get(key)
        return 0 if found is None else found.doc_count


class FoundParticipants(Struct, frozen=True, rename="camel"):
    """The answer to `participant_aggregations`."""

    action: Terms[TimedBucket] = Terms()
    ip: Terms[TimedBucket] = Terms()
    user_agent: Terms[TimedBucket] = Terms()
    actor: PeopleAnswer[TimedBucket] = PeopleAnswer()
    target: PeopleAnswer[TimedBucket] = PeopleAnswer()
    resource: Resources = Resources()

    def of(self, dimension: Dimension) -> Tally:
        """Return what a dimension has."""
        if dimension in PARTS:
            people = self.actor if dimension == "actor" else self.target
            listed = sum(bucket.doc_count for bucket in people.buckets.values())
            return Tally(Buckets(people.buckets.items()), people.count - listed, people.relation)
        if dimension == "resource":
            found: Terms[TimedBucket] | Terms[ResourceBucket] = self.resource.values
        else:
            found = {"action": self.action, "ip": self.ip, "userAgent": self.user_agent}[dimension]
        return Tally(
            {bucket.key: bucket for bucket in found.buckets},
            found.sum_other_doc_count,
            found.relation,
        )


def participant_aggregations(
    inner: Mapping[str, object] | None = None, only: Keys | None = None
) -> dict[str, object]:
    """Return the aggregations that count the events of each key of every dimension.

    Args:
        inner: aggregations of the events of each key.
        only: these keys, and no others; what has none of a dimension is not asked for.
    """
    asked: list[Dimension] = [one for one in DIMENSIONS if only is None or only[one]]
    return {one: _dimension(one, inner, None if only is None else only[one]) for one in asked}


def _dimension(
    dimension: Dimension, inner: Mapping[str, object] | None, only: Collection[AnyKey] | None
) -> dict[str, object]:
    if dimension in PARTS:
        people = None if only is None else [key for key in only if isinstance(key, Key)]
        return people_aggregation(PARTS[dimension], CONSIDERED, inner, people)
    if dimension == "resource":
        return _resources(inner, only)
    include = {} if only is None else {"include": list(only)}
    counted = terms(FIELDS[dimension], CONSIDERED, **include)
    return {**counted, "aggs": inner} if inner else counted


def _resources(
    inner: Mapping[str, object] | None, only: Collection[AnyKey] | None
) -> dict[str, object]:
    """Count pairs of type and id; which pairs is said by a filter, as `include` cannot."""
    scope: dict[str, object] = {"match_all": {}}
    size = CONSIDERED
    if only is not None:
        types, ids = {key[0] for key in only}, {key[1] for key in only}
        size = min(len(types) * len(ids), MOST_PAIRS)
        both = [{"terms": {"resource.type": list(types)}}, {"terms": {"resource.id": list(ids)}}]
        scope = {"bool": {"filter": both}}
    fields = [{"field": "resource.type"}, {"field": "resource.id"}]
    counted: dict[str, object] = {
        "multi_terms": {"terms": fields, "size": size, "shard_size": max(size, SHARD_VALUES)}
    }
    if inner:
        counted["aggs"] = inner
    return {"filter": scope, "aggs": {"values": counted}}
