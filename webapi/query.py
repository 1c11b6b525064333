"""What is asked, and the one place where it becomes a search of OpenSearch.

Pure. A `Query` says what a person wants; `ScopedSearch` is the only way from here to the cluster,
and it cannot be made without an organisation: the filter is joined in `ScopedSearch.body`, in
filter context, around whatever else is asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.event import UUID_CHARACTERS
from audit_events.instant import format_instant
from indexer.document_id import possible_document_ids
from webapi.addresses import Span, network_span
from webapi.field_selection import Selection
from webapi.question import Node

Clause = Mapping[str, object]

TOTAL_CAP: Final = 10_000
"""Totals are exact up to here; beyond, `totalRelation` is `gte`."""
MAX_PAGE_DEPTH: Final = 10_000
"""`index.max_result_window` of OpenSearch: offset + limit."""
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "targetUserId": "targetUser.id",
        "actorId": "actor.id",
        "actorEmail": "actor.email",
        "resourceType": "resource.type",
        "resourceId": "resource.id",
        "ip": "ipAddress",
        "correlationId": "correlationId",
    }
)
"""Parameters that ask for one of several values of one indexed field."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2262, 4, 11, tzinfo=UTC)
"""What `date_nanos` can hold; a bound outside is a 400 of OpenSearch, and means the same."""
LATEST_NS: Final = 2**63 - 1
MOST_ID_CHARACTERS: Final = UUID_CHARACTERS + 1
"""That a cursor holds: one more than an id of an event has, so that none begins with them."""
_TIMED: Final[Clause] = {"exists": {"field": "timestamp"}}
"""Sorted in a page that it ends, what has no timestamp leaves a search without any answer (3.4.0).
Where all have one this costs nothing: Lucene leaves it out."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the total order (timestamp, id); events never move.

    Args:
        timestamp_ns: nanoseconds since the epoch.
        id: of the event; None for what others stored without one, last at its instant either way.
    """

    timestamp_ns: int
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFilter:
    """What `q` asks; made by `webapi.search_text.read_text`.

    Args:
        text: as it was written.
        node: what it means.
        clause: how OpenSearch is asked for it.
    """

    text: str
    node: Node
    clause: Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question to the list; different fields AND, values of one field OR.

    Args:
        organization_id: whose events; always of the token or of an operator, never of a request.
        actions: exact actions, or `noun.*` for all that begin so.
        categories: of the catalogue.
        colours: of the catalogue.
        results: `success` includes events that do not say.
        equal: parameter (a key of `FIELDS`) to the values asked for.
        since: first instant, included.
        until: last instant, not included.
        text: what `q` asks.
        about: what else must hold; of an address that asks for more than its parameters say.
        highlight: tell for each event where the text matched.
        fields: which parts of each event are answered; all where None.
        newest_first: the order.
        limit: events of one page.
        offset: events to leave out before the page.
        after: continue behind this place.
        identified: leave out what others stored without an id. As that is last at its instant
            either way, who reads backwards would never get past it.
        catalogue: what categories, colours and old ids of actions mean.
    """

    organization_id: str
    actions: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    equal: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    since: datetime | None = None
    until: datetime | None = None
    text: TextFilter | None = None
    about: Clause | None = None
    highlight: bool = False
    fields: Selection | None = None
    newest_first: bool = True
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: Position | None = None
    identified: bool = False
    catalogue: Catalogue = field(default=CATALOGUE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedSearch:
    """A search that only sees one organisation.

    Args:
        organization_id: whose events.
        filters: clauses in filter context, all of which must hold.
        rest: the other members of the body (`size`, `sort`, …); `query` is not for it to say.
        alone: leave out what is of another organisation too, and would be sorted as that one's.
    """

    organization_id: str
    filters: Sequence[Clause] = ()
    rest: Mapping[str, object] = field(default_factory=dict[str, object])
    alone: bool = False

    def body(self, timeout_seconds: float) -> dict[str, object]:
        """Return the whole search body; `timeout_seconds` is how long each shard may take."""
        scope: Clause = {"term": {"organizationId": self.organization_id}}
        query: dict[str, object] = {"filter": [scope, _TIMED, *self.filters]}
        if self.alone:
            query["must_not"] = {"range": {"organizationId": {"lt": self.organization_id}}}
        return {
            **self.rest,
            "timeout": f"{round(timeout_seconds * 1000)}ms",
            "query": {"bool": query},
        }


def list_search(query: Query) -> ScopedSearch:
    """Return the search of one page, sorted exactly as the index is."""
    rest: dict[str, object] = {
        # One more than the page tells whether there is another, where the window has room for it.
        "size": min(query.limit + 1, MAX_PAGE_DEPTH - query.offset),
        "sort": event_order(newest_first=query.newest_first),
        "track_total_hits": TOTAL_CAP,
    }
    clauses = filters(query)
    if query.after is not None:
        rest["search_after"] = [query.organization_id, query.after.timestamp_ns, query.after.id]
        clauses += _beside(query.after)
    elif query.offset:
        rest["from"] = query.offset
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=clauses,
        rest=rest,
        # What stands before the offset cannot be looked at.
        alone=bool(query.offset),
    )


def _beside(place: Position) -> list[Clause]:
    """Leave out what begins as an id that a cursor shortened; oldest first it would come again."""
    if place.id is None or len(place.id) < MOST_ID_CHARACTERS:
        return []
    return [{"bool": {"must_not": {"prefix": {"id": place.id[:MOST_ID_CHARACTERS]}}}}]


def event_order(*, newest_first: bool = True) -> list[Clause]:
    """Return the total order of an organisation's events, that of the index, or its reverse."""
    order = "desc" if newest_first else "asc"
    return [{"organizationId": "asc"}, {"timestamp": order}, {"id": order}]


def total_search(query: Query) -> ScopedSearch:
    """Return the search that counts all events of a question, however many."""
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=filters(query),
        rest={"size": 0, "track_total_hits": True},
    )


def count_search(query: Query, indices: int) -> ScopedSearch:
    """Return the search that counts in each of some indices, to one more than the cap.

    Its answer holds no event, so OpenSearch remembers it for each shard until that changes.
    """
    by_index = {"terms": {"field": "_index", "size": indices}}
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=filters(query),
        rest={
            "size": 0,
            "track_total_hits": False,
            "terminate_after": TOTAL_CAP + 1,
            "aggs": {"indices": by_index},
        },
    )


def event_search(organization_id: str, event_id: str) -> ScopedSearch:
    """Return the search of one event; another organisation's is not found."""
    return ScopedSearch(
        organization_id=organization_id,
        filters=[
            {"ids": {"values": possible_document_ids(event_id)}},
            # Else what others stored under the same name, with another id or none, would hide it.
            {"term": {"id": event_id}},
        ],
        rest={
            "size": 1,
            "sort": event_order(),
            "track_total_hits": False,
        },
    )


def earlier_search(organization_id: str, instant: datetime) -> ScopedSearch:
    """Return the search of the last event before an instant."""
    return ScopedSearch(
        organization_id=organization_id,
        filters=[between(None, instant)],
        rest={
            "size": 1,
            "sort": event_order(),
            "track_total_hits": False,
        },
    )


def present_search(organization_id: str, actions: Collection[str]) -> ScopedSearch:
    """Return the search that counts, for each action or `noun.*`, the organisation's events."""
    return ScopedSearch(
        organization_id=organization_id,
        rest={
            "size": 0,
            "track_total_hits": False,
            "aggs": {
                "present": {"filters": {"filters": {name: any_action([name]) for name in actions}}}
            },
        },
    )


def filters(query: Query) -> list[Clause]:
    """Return the clauses of a query, the organisation's excepted."""
    clauses: list[Clause] = []
    if query.actions:
        clauses.append(any_action(stored_as(query.catalogue, query.actions)))
    if query.categories:
        named = catalogued(query.catalogue, "category", query.categories)
        clauses.append(any_action(named))
    if query.colours:
        clauses.append(any_action(catalogued(query.catalogue, "colour", query.colours)))
    if query.results:
        clauses.append(any_result(query.results))
    clauses += [_any_value(name, values) for name, values in sorted(query.equal.items())]
    if query.since is not None or query.until is not None:
        clauses.append(between(query.since, query.until))
    others = (
        None if query.text is None else query.text.clause,
        query.about,
        {"exists": {"field": "id"}} if query.identified else None,
    )
    clauses += [one for one in others if one is not None]
    return clauses


def any_action(actions: Sequence[str]) -> Clause:
    """Return the clause for any of these actions; `noun.*` is a prefix with its dot."""
    exact = [name for name in actions if not name.endswith(".*")]
    clauses: list[Clause] = [{"terms": {"action": exact}}] if exact else []
    clauses += [{"prefix": {"action": name[:-1]}} for name in actions if name.endswith(".*")]
    return any_of(clauses)


def unix_ns(instant: datetime) -> int:
    """Return whole nanoseconds since the epoch, exactly (a float would not be)."""
    since_epoch = instant - EARLIEST
    return (
        since_epoch.days * 86_400 + since_epoch.seconds
    ) * 10**9 + since_epoch.microseconds * 1000


def holdable(instant: datetime) -> datetime:
    """Return the instant, or the nearest one that `date_nanos` can hold."""
    return min(max(instant, EARLIEST), _LATEST)


def stored_as(catalogue: Catalogue, actions: Sequence[str]) -> list[str]:
    """Return what was asked for with every id under which its events may be stored."""
    stored: list[str] = []
    for name in actions:
        if name.endswith(".*"):
            others = [one for one in catalogue.under(name[:-2]) if not one.startswith(name[:-1])]
            stored += [name, *others]
        else:
            stored += catalogue.names_of(name)
    return list(dict.fromkeys(stored))


def catalogued(catalogue: Catalogue, attribute: str, values: Sequence[str]) -> list[str]:
    """Return the known actions of some categories or colours, old ids too."""
    return [
        name
        for entry in catalogue.entries.values()
        if getattr(entry, attribute) in values
        for name in (entry.action, *entry.aliases)
    ]


def any_result(results: Sequence[str]) -> Clause:
    """Return the clause for any of these results; what does not say succeeded."""
    clauses: list[Clause] = [{"terms": {"result": list(results)}}]
    if "success" in results:
        clauses.append({"bool": {"must_not": [{"exists": {"field": "result"}}]}})
    return any_of(clauses)


def _any_value(name: str, values: Sequence[str]) -> Clause:
    path = FIELDS[name]
    if name == "ip":
        # As terms, OpenSearch refuses blocks such as `::ffff:0:0/96`.
        spans = [network_span(value) for value in values if "/" in value]
        whole = [value for value in values if "/" not in value]
        clauses: list[Clause] = [{"terms": {path: whole}}] if whole else []
        return any_of([*clauses, *(between_addresses(one) for one in spans if one is not None)])
    if name == "targetUserId":
        # A UUID is the same in any case, and applications write it in several.
        return any_of(
            [{"term": {path: {"value": value, "case_insensitive": True}}} for value in values]
        )
    return {"terms": {path: list(values)}}


def between(since: datetime | None, until: datetime | None) -> Clause:
    """Return the clause for `[since, until)`."""
    bounds = {
        name: format_instant(holdable(bound))
        for name, bound in (("gte", since), ("lt", until))
        if bound is not None
    }
    return {"range": {"timestamp": bounds}}


def between_addresses(span: Span) -> Clause:
    """Return the clause for the addresses of a span; in one of IPv6 there are none of IPv4."""
    clause: Clause = {"range": {"ipAddress": {"gte": span.first, "lte": span.last}}}
    if not span.surrounds_ipv4:
        return clause
    ipv4: Clause = {"term": {"ipAddress": "0.0.0.0/0"}}
    return {"bool": {"filter": [clause], "must_not": [ipv4]}}


def any_of(clauses: Sequence[Clause]) -> Clause:
    """Return the clause that holds where one of these does."""
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}
