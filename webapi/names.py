"""The names of people and resources, as their newest events have them."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

from msgspec import Struct

from webapi.aggregation import TermBucket, Terms, terms
from webapi.event_values import read_parts
from webapi.people import Key, Part, Person
from webapi.query import Clause, Query, ScopedSearch, event_order, filters
from webapi.reading import Reading
from webapi.storage_answer import Hit, Hits

NEWEST: Final[Mapping[str, object]] = {
    "size": 1,
    "sort": event_order(),
    "_source": ["actor", "targetUser", "resource"],
}


class NamedResource(Struct, frozen=True):
    """What an event says of its resource."""

    type: str = ""
    id: str = ""
    name: str | None = None


class Named(Struct, frozen=True, rename="camel"):
    """Who and what stands in an event."""

    actor: Person = Person()
    target_user: Person = Person()
    resource: NamedResource | None = None

    def of(self, part: Part) -> Person:
        """Return one of the people."""
        return self.actor if part.field == "actor" else self.target_user


class _Found(Struct, frozen=True):
    hits: Hits


class _Bucket(TermBucket, frozen=True):
    newest: _Found


class _Answer(Struct, frozen=True):
    values: Terms[_Bucket] = Terms()


def newest(reading: Reading, query: Query, part: Part, keys: Iterable[Key]) -> dict[Key, Person]:
    """Return what the newest event of a query says of each of some people.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    found: dict[Key, Person] = {}
    for kind, some in groupby(sorted(keys), key=lambda key: key.kind):
        if kind == "type":
            continue
        alone: Clause = {"bool": {"must_not": part.absent(kind)}}
        values = [key.value for key in some]
        hits = _newest_hits(reading, query, f"{part.field}.{kind}", values, alone)
        found |= people_of(part, hits)
    return found


def newest_resources(
    reading: Reading, query: Query, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return the names that resources have in the newest event of a query, where they have one.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    found: dict[tuple[str, str], str] = {}
    for kind, some in groupby(sorted(keys), key=lambda key: key[0]):
        alone: Clause = {"term": {"resource.type": kind}}
        ids = [key[1] for key in some]
        found |= resources_of(_newest_hits(reading, query, "resource.id", ids, alone))
    return found


def _newest_hits(
    reading: Reading, query: Query, field: str, values: list[str], alone: Clause
) -> list[Hit]:
    """Return the newest event of each value, with what it names alone.

    Not by `collapse`: of an event with two values in the field it makes no answer at all.
    """
    search = ScopedSearch(
        organization_id=query.organization_id,
        filters=[*filters(query), {"terms": {field: values}}, alone],
        rest={
            "size": 0,
            "track_total_hits": False,
            "aggs": {
                "values": {
                    **terms(field, len(values), include=values),
                    "aggs": {"newest": {"top_hits": NEWEST}},
                }
            },
        },
    )
    found = reading.over(search, query.since, query.until).aggregated(_Answer)
    hits = [hit for bucket in found.values.buckets for hit in bucket.newest.hits.hits]
    # What is of another organisation too would tell its names to both.
    return [hit for hit in hits if hit.sort[0] == query.organization_id]


def people_of(part: Part, hits: Iterable[Hit]) -> dict[Key, Person]:
    """Return the people of some events by their key, as the first event says that has them."""
    found: dict[Key, Person] = {}
    for hit in hits:
        person = read_parts(hit.source, Named).of(part)
        key = person.key(part)
        if key is not None:
            found.setdefault(key, person)
    return found


def resources_of(hits: Iterable[Hit]) -> dict[tuple[str, str], str]:
    """Return the names of the resources of some events, as the first event says that has one."""
    found: dict[tuple[str, str], str] = {}
    for hit in hits:
        resource = read_parts(hit.source, Named).resource
        if resource is not None and resource.name is not None:
            found.setdefault((resource.type, resource.id), resource.name)
    return found
