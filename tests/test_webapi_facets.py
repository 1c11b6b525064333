"""Facets on the real node, held to a plain model that looks at every event."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.catalogue_entry import CatalogueEntry
from audit_events.instant import format_instant, parse_instant
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_world import (
    MICROSECOND,
    MIDDLE,
    ORGANIZATIONS,
    Event,
    World,
    colour,
    instant,
    narrowed,
    question,
)
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.audit_log import PATH
from webapi.facet_counts import FacetQuestion, facets_of
from webapi.histogram import INTERVALS, sensible
from webapi.query import Query

FACETS = f"{PATH}/facets"
QUESTIONS = 60


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> World:
    return World(opensearch, index, tmp_path)


def moments(chance: random.Random) -> list[datetime]:
    """Some anywhere in three weeks, some just at the edges of hours and days."""
    anywhere = [MIDDLE + timedelta(seconds=chance.uniform(-10, 10) * 86_400) for _ in range(120)]
    hours = [MIDDLE + timedelta(hours=chance.randrange(-48, 48)) for _ in range(40)]
    return anywhere + [one + chance.choice((-1, 0, 1)) * MICROSECOND for one in hours]


def check_facet(found: dict[str, Any], model: Iterable[str | None], values: int) -> None:
    """Which of several values with the same count are listed is not said."""
    every = list(model)
    counts = Counter(one for one in every if one is not None)
    listed = {one["value"]: one["count"] for one in found["values"]}
    assert list(listed.values()) == [count for _, count in counts.most_common(values)]
    assert listed == {value: counts[value] for value in listed}
    assert found["relation"] == "eq"
    assert found["otherCount"] == counts.total() - sum(listed.values())
    assert found["missingCount"] == len(every) - counts.total()


def entry_of(event: Event) -> CatalogueEntry | None:
    return CATALOGUE.find(event["action"])


def category_of(event: Event) -> str | None:
    entry = entry_of(event)
    return None if entry is None else entry.category


def colour_of(event: Event) -> str | None:
    entry = entry_of(event)
    return None if entry is None else entry.colour


MODEL: dict[str, Callable[[Event], str | None]] = {
    "action": lambda event: event["action"],
    "category": category_of,
    "colour": colour_of,
    "actorType": lambda event: event["actor"]["type"],
    "resourceType": lambda event: event.get("resource", {}).get("type"),
    "result": lambda event: event.get("result", "success"),
    "ip": lambda event: event.get("ipAddress"),
}


def actor_of(event: Event) -> tuple[str, str]:
    actor = event["actor"]
    for kind in ("id", "email", "type"):
        if kind in actor:
            return kind, actor[kind].lower()
    raise AssertionError(actor)


def check_actors(found: dict[str, Any], events: list[Event], values: int) -> None:
    """Actors by id, else email, else type, described by their newest event."""
    counts = Counter(actor_of(event) for event in events)
    listed = found["values"]
    assert [one["count"] for one in listed] == [count for _, count in counts.most_common(values)]
    for one in listed:
        key = actor_of({"actor": one})
        assert one.pop("count") == counts[key]
        assert one == [event["actor"] for event in events if actor_of(event) == key][-1]
        del counts[key]
    assert found["otherCount"] == counts.total()
    assert (found["relation"], found["missingCount"]) == ("eq", 0)


def check_histogram(found: dict[str, Any], asked: Query, events: list[Event]) -> None:
    """Bars leave no hole, begin and end with the window, and hold just what lies in them."""
    buckets = found["buckets"]
    if not buckets:
        assert events == []
        return
    for one, following in pairwise(buckets):
        assert one["until"] == following["since"]
    if asked.since is not None:
        assert buckets[0]["since"] == format_instant(asked.since)
    if asked.until is not None:
        assert buckets[-1]["until"] == format_instant(asked.until)
    for one in buckets:
        inside = [event for event in events if one["since"] <= event["timestamp"] < one["until"]]
        assert one["count"] == len(inside)
        colours = Counter(colour(event) for event in inside)
        assert one["byColour"] == {
            name: colours[name] for name in ("green", "blue", "red", "uncatalogued")
        }
    assert sum(one["count"] for one in buckets) == len(events)
    step = INTERVALS[found["interval"]]
    for one in buckets[1:]:
        assert step.floor(parse_instant(one["since"])) == parse_instant(one["since"])


@pytest.mark.opensearch
@pytest.mark.slow
def test_facets_of_random_questions_are_those_of_a_plain_model(world: World) -> None:
    """Nothing sealed, then some of it; windows that end on events, and open ones."""
    chance = random.Random(5)  # noqa: S311  # the same questions in each run
    world.fill(chance, moments(chance))
    for number in range(QUESTIONS):
        if number == QUESTIONS // 2:
            world.seal_some(chance)
        edge = chance.choice(world.events)
        since = chance.choice((None, instant(edge), MIDDLE - timedelta(days=3)))
        until = chance.choice((None, instant(edge) + MICROSECOND, MIDDLE + timedelta(hours=30)))
        if since is not None and until is not None and since >= until:
            continue
        asked = narrowed(chance, question(chance.choice(ORGANIZATIONS), since, until))
        values = chance.choice((1, 2, 200))
        found = msgspec.to_builtins(
            facets_of(world.reading, asked.query, FacetQuestion(values=values))
        )
        events = asked.of(world.events)
        assert found["total"] == len(events), asked.query
        check_histogram(found["histogram"], asked.query, events)
        check_actors(found["actor"], events, values)
        for name, value_of in MODEL.items():
            check_facet(found[name], [value_of(event) for event in events], values)


@pytest.mark.opensearch
def test_the_contract_of_the_address(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    events: list[dict[str, object]] = [
        {"action": "app.created", "at": "2026-03-29T00:59:59.999999Z", "ip_address": "203.0.113.7"},
        {"action": "app.created", "at": "2026-03-29T01:00:00Z"},
        {"action": "app.deleted", "at": "2026-03-29T02:00:00.000001Z"},
        {"action": "app.deleted", "organization_id": "org_b", "ip_address": "203.0.113.9"},
    ]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", events, "2026-03-29T01:30:00Z"))
    api = Api(opensearch.client("reader"), index)

    def ask(query: str) -> dict[str, Any]:
        response = api.get(query, path=FACETS)
        assert response.status_code == 200, response.text
        return cast("dict[str, Any]", response.get_json())

    window = "since=2026-03-29T00:30:00Z&until=2026-03-29T02:00:00.000001Z"
    found = ask(f"{window}&facet=histogram,ip&interval=1h")
    assert set(found) == {"total", "totalRelation", "histogram", "ip"}
    assert found["ip"]["values"] == [{"value": "203.0.113.7", "count": 1}]
    bounds = ("00:30:00.000000", "01:00:00.000000", "02:00:00.000000", "02:00:00.000001")
    assert [
        (one["since"], one["until"], one["count"]) for one in found["histogram"]["buckets"]
    ] == [
        (f"2026-03-29T{since}Z", f"2026-03-29T{until}Z", count)
        for since, until, count in zip(bounds, bounds[1:], (1, 1, 0), strict=False)
    ]
    assert ask("action=app.deleted&facet=colour")["colour"]["values"] == [
        {"value": "red", "count": 1}
    ]
    empty = ask("since=2026-05-01&until=2026-06-01")
    assert (empty["total"], len(empty["histogram"]["buckets"])) == (0, 62)
    nothing = ask("actorId=nobody")
    assert (nothing["total"], nothing["histogram"]["buckets"]) == (0, [])
    assert ask("since=1900-01-01&until=1950-01-01")["histogram"]["buckets"] == []
    ages = ask("since=0001-01-01&until=9999-12-31")["histogram"]
    assert (ages["interval"], len(ages["buckets"])) == ("1y", 293)
    for query, parameter, code in (
        ("interval=2h", "interval", "unknown_value"),
        ("since=2026-01-01&until=2026-02-01&interval=1s", "interval", "out_of_range"),
        ("facet=organization", "facet", "unknown_value"),
        ("values=0", "values", "out_of_range"),
        ("limit=5", "limit", "unknown_parameter"),
    ):
        refused = problem(api.get(query, path=FACETS), 400, "parameters_invalid")
        assert [(one["parameter"], one["code"]) for one in refused["errors"]] == [(parameter, code)]
    other = api.get(path=FACETS, bearer=token("org_c")).get_json()
    assert (other["total"], other["histogram"]["buckets"]) == (0, [])


@pytest.mark.parametrize(
    ("since", "until", "interval"),
    [
        ("2026-03-15T09:00:00Z", "2026-03-15T09:00:00.000001Z", "1s"),
        ("2026-03-15T09:00:00Z", "2026-03-15T09:30:00Z", "1m"),
        ("2026-03-15", "2026-03-16", "15m"),
        ("2026-03-15", "2026-04-15", "12h"),
        ("2026-01-01", "2027-01-01", "1w"),
        ("1970-01-01", "2026-01-01", "1y"),
    ],
)
def test_an_interval_fits_its_window(since: str, until: str, interval: str) -> None:
    assert sensible(parse_instant(since), parse_instant(until)).name == interval


@pytest.mark.opensearch
def test_counts_that_may_be_too_low_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if partitions had more different values than each of them tells of."""
    chance = random.Random(6)  # noqa: S311  # the same events in each run
    world.fill(chance, moments(chance))
    monkeypatch.setattr("webapi.aggregation.SHARD_VALUES", 1)
    asked = question("org_a", None, None)
    events = asked.of(world.events)
    question_of = FacetQuestion(names=("ip", "actor"), values=1)
    found = msgspec.to_builtins(facets_of(world.reading, asked.query, question_of))
    counts = Counter(event.get("ipAddress") for event in events)
    (listed,) = found["ip"]["values"]
    assert (found["ip"]["relation"], found["actor"]["relation"]) == ("gte", "gte")
    assert listed["count"] < counts[listed["value"]]
    assert found["total"] == len(events)
    assert found["ip"]["missingCount"] == counts[None]
    assert found["ip"]["otherCount"] == len(events) - counts[None] - listed["count"]
