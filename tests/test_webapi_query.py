"""What a question becomes, and that it never leaves its organisation."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.catalogue import CATALOGUE
from tests.test_audit_events_catalogue import WITH_ALIASES
from webapi import query
from webapi.query import Query, ScopedSearch

ORG = Query(organization_id="org_a")
SCOPE = {"term": {"organizationId": "org_a"}}


def filter_of(search: ScopedSearch) -> list[Mapping[str, object]]:
    body = search.body(10)["query"]
    assert isinstance(body, dict)
    return cast("dict[str, dict[str, list[Mapping[str, object]]]]", body)["bool"]["filter"]


@pytest.mark.parametrize(
    "search",
    [
        query.list_search(ORG),
        query.event_search("org_a", str(uuid.uuid4())),
        query.present_search("org_a", ["a.b"]),
        query.count_search(ORG, 3),
        query.total_search(ORG),
        query.earlier_search("org_a", datetime(2026, 3, 15, tzinfo=UTC)),
        ScopedSearch(organization_id="org_a", rest={"query": {"match_all": {}}}),
    ],
    ids=[
        "list",
        "event",
        "present",
        "count",
        "total",
        "earlier",
        "a rest that brings a query of its own",
    ],
)
def test_every_search_is_scoped(search: ScopedSearch) -> None:
    assert filter_of(search)[0] == SCOPE
    assert list(cast("dict[str, object]", search.body(1)["query"])) == ["bool"]


def test_every_maker_of_a_search_is_in_the_test_above() -> None:
    makers = {name for name, member in vars(query).items() if returns_search(member)}
    assert makers == {
        "list_search", "event_search", "present_search", "count_search", "total_search",
        "earlier_search",
    }  # fmt: skip


def returns_search(member: object) -> bool:
    annotations = getattr(member, "__annotations__", {})
    return callable(member) and annotations.get("return") is ScopedSearch


def test_the_list_is_sorted_as_the_index_is() -> None:
    body = query.list_search(ORG).body(10)
    assert body["sort"] == [{"organizationId": "asc"}, {"timestamp": "desc"}, {"id": "desc"}]
    assert body["size"] == 51, "one more than the page"
    assert body["timeout"] == "10000ms"
    assert body["track_total_hits"] == 10_000
    assert "from" not in body


def test_the_last_page_by_offset_stays_within_the_window_of_results() -> None:
    body = query.list_search(replace(ORG, limit=200, offset=9800)).body(10)
    assert (body["from"], body["size"]) == (9800, 200)


def test_a_cursor_continues_behind_its_place() -> None:
    body = query.list_search(replace(ORG, after=query.Position(5, "x"))).body(10)
    assert body["search_after"] == ["org_a", 5, "x"]


CASES: list[tuple[str, Query, list[object]]] = [
    ("action", replace(ORG, actions=("a.b", "c.d")), [{"terms": {"action": ["a.b", "c.d"]}}]),
    (
        "prefix keeps its dot",
        replace(ORG, actions=("member.*",)),
        [{"prefix": {"action": "member."}}],
    ),
    (
        "both",
        replace(ORG, actions=("a.b", "member.*")),
        [
            {
                "bool": {
                    "should": [{"terms": {"action": ["a.b"]}}, {"prefix": {"action": "member."}}],
                    "minimum_should_match": 1,
                }
            }
        ],
    ),
    ("denied", replace(ORG, results=("denied",)), [{"terms": {"result": ["denied"]}}]),
    (
        "an event that does not say succeeded",
        replace(ORG, results=("success",)),
        [
            {
                "bool": {
                    "should": [
                        {"terms": {"result": ["success"]}},
                        {"bool": {"must_not": [{"exists": {"field": "result"}}]}},
                    ],
                    "minimum_should_match": 1,
                }
            }
        ],
    ),
    (
        "window",
        replace(
            ORG, since=datetime(2026, 3, 15, tzinfo=UTC), until=datetime(2026, 3, 16, tzinfo=UTC)
        ),
        [
            {
                "range": {
                    "timestamp": {
                        "gte": "2026-03-15T00:00:00.000000Z",
                        "lt": "2026-03-16T00:00:00.000000Z",
                    }
                }
            }
        ],
    ),
    (
        "instants that no index can hold",
        replace(ORG, since=datetime(1, 1, 1, tzinfo=UTC), until=datetime(9999, 1, 1, tzinfo=UTC)),
        [
            {
                "range": {
                    "timestamp": {
                        "gte": "1970-01-01T00:00:00.000000Z",
                        "lt": "2262-04-11T00:00:00.000000Z",
                    }
                }
            }
        ],
    ),
    (
        "fields AND, values OR",
        replace(ORG, equal={"actorId": ("x", "y"), "ip": ("1.2.3.4", "::1")}),
        [{"terms": {"actor.id": ["x", "y"]}}, {"terms": {"ipAddress": ["1.2.3.4", "::1"]}}],
    ),
    (
        "a block",
        replace(ORG, equal={"ip": ("1.2.3.0/24",)}),
        [{"range": {"ipAddress": {"gte": "1.2.3.0", "lte": "1.2.3.255"}}}],
    ),
]


@pytest.mark.parametrize(("asked", "clauses"), [pytest.param(q, c, id=i) for i, q, c in CASES])
def test_clauses(asked: Query, clauses: list[object]) -> None:
    assert query.filters(asked) == clauses


@pytest.mark.parametrize("attribute", ["category", "colour"])
def test_categories_and_colours_are_those_of_the_catalogue(attribute: str) -> None:
    value = "Member Management" if attribute == "category" else "red"
    categories, colours = ((value,), ()) if attribute == "category" else ((), (value,))
    asked = replace(ORG, categories=categories, colours=colours)
    (clause,) = query.filters(asked)
    wanted = [a for a, entry in CATALOGUE.entries.items() if getattr(entry, attribute) == value]
    assert clause == {"terms": {"action": wanted}}


ALL_IDS = {"invoice.approved", "invoice.accepted", "bill.accepted"}


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        pytest.param("invoice.approved", ALL_IDS, id="of today"),
        pytest.param("bill.accepted", ALL_IDS, id="an old id"),
        pytest.param("zebra.danced", {"zebra.danced"}, id="uncatalogued"),
    ],
)  # fmt: skip
def test_an_action_is_asked_for_by_all_its_ids(asked: str, stored: set[str]) -> None:
    (clause,) = query.filters(replace(ORG, actions=(asked,), catalogue=WITH_ALIASES))
    assert clause == {"terms": {"action": list(WITH_ALIASES.names_of(asked))}}
    assert set(WITH_ALIASES.names_of(asked)) == stored


@pytest.mark.parametrize(
    ("noun", "others"),
    [
        pytest.param("invoice", ["bill.accepted"], id="its old ids of another noun"),
        pytest.param("bill", ["invoice.approved", "invoice.accepted"], id="a noun that is no more"),
    ],
)
def test_a_noun_is_asked_for_with_what_was_called_otherwise(noun: str, others: list[str]) -> None:
    (clause,) = query.filters(replace(ORG, actions=(f"{noun}.*",), catalogue=WITH_ALIASES))
    clauses = [{"terms": {"action": others}}, {"prefix": {"action": f"{noun}."}}]
    assert clause == {"bool": {"should": clauses, "minimum_should_match": 1}}


def test_a_category_has_the_old_ids_of_its_actions() -> None:
    asked = replace(ORG, categories=("Billing & Subscriptions",), catalogue=WITH_ALIASES)
    (clause,) = query.filters(asked)
    assert "bill.accepted" in str(clause)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1)))  # noqa: DTZ001  # made aware below
def test_nanoseconds_are_exact(moment: datetime) -> None:
    nanoseconds = query.unix_ns(moment.replace(tzinfo=UTC))
    assert nanoseconds % 1000 == 0
    seconds, rest = divmod(nanoseconds, 10**9)
    assert (
        datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000, tzinfo=None)
        == moment
    )
