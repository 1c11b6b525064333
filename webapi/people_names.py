"""The names of people, as their newest events have them."""

from collections.abc import Iterable
from itertools import groupby

import msgspec

from webapi.people import Key, Named, Part, Person
from webapi.query import Query, ScopedSearch, filters
from webapi.reading import Reading
from webapi.storage import Hit


def newest(reading: Reading, query: Query, part: Part, keys: Iterable[Key]) -> dict[Key, Person]:
    """Return what the newest event of a query says of each of some people.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    found: dict[Key, Person] = {}
    for kind, some in groupby(sorted(keys), key=lambda key: key.kind):
        values = [key.value for key in some]
        if kind != "type":
            search = newest_search(query, part, kind, values)
            hits = reading.over(search, query.since, query.until).hits.hits
            found |= people_of(part, hits)
    return found


def newest_search(query: Query, part: Part, kind: str, values: list[str]) -> ScopedSearch:
    """Return the search of the newest event of each value, with what it says of people alone."""
    field = f"{part.field}.{kind}"
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=[
            *filters(query),
            {"terms": {field: values}},
            {"bool": {"must_not": part.absent(kind)}},
        ],
        rest={
            "size": len(values),
            "sort": [{"organizationId": "asc"}, {"timestamp": "desc"}, {"id": "desc"}],
            "track_total_hits": False,
            "collapse": {"field": field},
            "_source": ["actor", "targetUser"],
        },
    )


def people_of(part: Part, hits: Iterable[Hit]) -> dict[Key, Person]:
    """Return the people of some events by their key, as the first event says that has them."""
    found: dict[Key, Person] = {}
    for hit in hits:
        person = msgspec.json.decode(hit.source, type=Named).of(part)
        key = person.key(part)
        if key is not None:
            found.setdefault(key, person)
    return found
