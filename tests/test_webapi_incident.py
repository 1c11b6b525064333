"""Incidents on the real node, held to a plain model that looks at every event."""

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_world import (
    MICROSECOND,
    MIDDLE,
    ORGANIZATIONS,
    Event,
    Question,
    World,
    instant,
    narrowed,
    question,
)
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.audit_log import PATH
from webapi.incident_analysis import IncidentQuestion, incident_of
from webapi.incident_search import Window

INCIDENT = f"{PATH}/incident"
KEY = b"key of a test"
QUESTIONS = 40

Keyed = Callable[[Event], Hashable | None]


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> World:
    return World(opensearch, index, tmp_path)


def person(event: Event, part: str, kinds: Sequence[str]) -> tuple[str, str] | None:
    found = event.get(part, {})
    for kind in kinds:
        if kind in found:
            return kind, found[kind].lower() if kind == "email" else found[kind]
    return None


def actor(event: Event) -> tuple[str, str] | None:
    return person(event, "actor", ("id", "email", "type"))


KEYS: dict[str, Keyed] = {
    "actors": actor,
    "targets": lambda event: person(event, "targetUser", ("id", "email")),
    "resources": lambda event: (
        (event["resource"]["type"], event["resource"]["id"]) if "resource" in event else None
    ),
    "ipAddresses": lambda event: event.get("ipAddress"),
    "userAgents": lambda event: event.get("userAgent"),
}


def row_key(name: str, row: dict[str, Any]) -> Hashable:
    if name == "actors":
        return person({"actor": row}, "actor", [k for k in ("id", "email", "type") if row[k]])
    if name == "targets":
        return person({"actor": row}, "actor", [k for k in ("id", "email") if row[k]])
    return (row["type"], row["id"]) if name == "resources" else row["value"]


def milliseconds(event: Event) -> str:
    return f"{event['timestamp'][:23]}000Z"


def check_rows(
    rows: list[dict[str, Any]],
    keys: list[Hashable],
    of: Keyed,
    events: tuple[list[Event], list[Event]],
    enough: bool,  # noqa: FBT001  # a case
) -> None:
    """Each row has the counts, the times and the mark of the model."""
    here, before = events
    for row, key in zip(rows, keys, strict=True):
        its = [event for event in here if of(event) == key]
        earlier = sum(of(event) == key for event in before)
        assert (row["count"], row["countBefore"]) == (len(its), earlier)
        assert (row["firstAt"], row["lastAt"]) == (milliseconds(its[0]), milliseconds(its[-1]))
        assert row["firstSeen"] is ((earlier == 0) if enough else None)


def check_participants(
    found: dict[str, Any], here: list[Event], before: list[Event], values: int
) -> None:
    enough = found["before"]["enough"]
    for name, of in KEYS.items():
        counts = Counter(key for event in here if (key := of(event)) is not None)
        listed = found[name]
        assert [row["count"] for row in listed["values"]] == [
            count for _, count in counts.most_common(values)
        ]
        keys = [row_key(name, row) for row in listed["values"]]
        check_rows(listed["values"], keys, of, (here, before), enough)
        assert listed["otherCount"] == counts.total() - sum(counts[key] for key in keys)
        assert listed["relation"] == "eq"
    for row in found["actors"]["values"]:
        who = row_key("actors", row)
        mine = [event for event in here if actor(event) == who]
        earlier = [event for event in before if actor(event) == who]
        for name in ("ipAddresses", "userAgents"):
            used = {one["value"]: one for one in row[name]}
            assert used.keys() == {KEYS[name](event) for event in mine} - {None}
            check_rows(row[name], list(used), KEYS[name], (mine, earlier), enough)
        assert {kind: row[kind] for kind in ("id", "name", "type")} == {
            kind: mine[-1]["actor"].get(kind) for kind in ("id", "name", "type")
        }


def check_unusual(found: dict[str, Any], here: list[Event], before: list[Event]) -> None:
    """Counts are those of the model; what was never there before is always told."""
    keys: dict[str, Keyed] = {**KEYS, "actions": lambda event: event["action"]}
    for name, rows in found["unusual"].items():
        of = keys[name]
        told: set[Hashable] = set()
        for row in rows:
            key = (row["kind"], row["value"]) if row["kind"] else row["value"]
            told.add(key)
            counts = tuple(sum(of(event) == key for event in some) for some in (here, before))
            assert (row["count"], row["countBefore"]) == counts
            assert row["neverBefore"] is (counts[1] == 0)
            assert row["neverBefore"] or row["count"] > row["expected"]
        new = {of(event) for event in here} - {of(event) for event in before} - {None}
        assert new <= told
        chances = [row["chance"] for row in rows]
        assert chances == sorted(chances)


def check_events(found: dict[str, Any], events: list[Event], origin: datetime) -> None:
    assert [one["event"] for one in found["events"]] == events
    assert [one["distanceMilliseconds"] for one in found["events"]] == [
        (instant(event) - origin) / timedelta(microseconds=1) / 1000 for event in events
    ]


def check(found: dict[str, Any], asked: Question, events: list[Event], values: int) -> None:
    """Hold all but the page of events to the model."""
    since, organization = asked.query.since, asked.query.organization_id
    assert since is not None
    here = asked.of(events)
    before = question(organization, since - timedelta(days=30), since).of(events)
    like = [event for event in before if asked.like(event)]
    mine = [event for event in events if event["organizationId"] == organization]
    covered = min(since - min(instant(event) for event in mine), timedelta(days=30))
    enough = covered >= timedelta(days=7)
    assert abs(found["before"]["coveredDays"] - max(covered / timedelta(days=1), 0)) < 0.001
    assert (found["total"], found["before"]["total"]) == (len(here), len(like)), asked.query
    assert found["before"]["enough"] is enough
    for one in found["histogram"]["buckets"]:
        inside = [event for event in here if one["since"] <= event["timestamp"] < one["until"]]
        assert one["count"] == len(inside)
    assert sum(one["count"] for one in found["histogram"]["buckets"]) == len(here)
    check_participants(found, here, before, values)
    assert (found["unusual"] is not None) is enough
    if enough:
        check_unusual(found, here, like)


@pytest.mark.opensearch
@pytest.mark.slow
def test_an_incident_is_what_a_plain_model_says(world: World) -> None:
    """Windows that begin and end on events, over months, days, late ones and the journal.

    Both organisations have actors, addresses and resources of the same ids, and other names.
    """
    chance = random.Random(9)  # noqa: S311  # the same questions in each run
    world.fill(chance, [MIDDLE + timedelta(days=chance.uniform(-40, 10)) for _ in range(250)])
    for number in range(QUESTIONS):
        if number == QUESTIONS // 2:
            world.seal_some(chance)
        edge = instant(chance.choice(world.events)) + chance.choice((0, 1)) * MICROSECOND
        since = chance.choice((edge, MIDDLE - timedelta(hours=5)))
        until = since + chance.choice((MICROSECOND, timedelta(hours=2), timedelta(days=4)))
        organization, other = chance.sample(ORGANIZATIONS, 2)
        asked = narrowed(chance, question(organization, since, until))
        limit, values = chance.choice((1, 5, 200)), chance.choice((1, 3, 50))
        query = replace(asked.query, newest_first=False, limit=limit)
        wanted = IncidentQuestion(
            window=Window(query=query, since=since, until=until), origin=edge, values=values
        )
        text = msgspec.json.encode(incident_of(world.reading, wanted, KEY))
        assert other.encode() not in text
        found = cast("dict[str, Any]", msgspec.json.decode(text))
        here = asked.of(world.events)
        check_events(found, here[:limit], edge)
        assert (found["nextCursor"] is None) is (len(here) <= limit)
        check(found, asked, world.events, values)


NEW: dict[str, object] = {"ip_address": "203.0.113.66", "user_agent": "curl/8.5.0"}
DAYS: list[dict[str, object]] = [
    {
        "action": "member.invited",
        "at": f"2026-03-{day:02}T10:00:00Z",
        "ip_address": "203.0.113.7",
    }
    for day in range(1, 28)
]
MINUTES: list[dict[str, object]] = [
    {"action": "app.deleted", "at": f"2026-03-28T01:{minute:02}:00Z", **NEW} for minute in range(10)
]
EVENTS: list[dict[str, object]] = [
    *DAYS,
    {"action": "member.invited", "at": "2026-03-28T00:59:59.999999Z"},
    *MINUTES,
    {"action": "app.deleted", "at": "2026-03-28T01:05:00Z", "organization_id": "org_b"},
    {"action": "app.created", "at": "2026-03-28T01:15:00Z"},
    {"action": "app.created", "at": "2025-06-01T00:00:00Z", "organization_id": "org_quiet"},
]
AROUND = "around=2026-03-28T01:05:00Z&window=5m"


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Api:
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", EVENTS, "2026-03-01"))
    return Api(opensearch.client("reader"), index)


def ask(api: Api, query: str, bearer: str = "") -> dict[str, Any]:
    response = api.get(query, path=INCIDENT, bearer=bearer)
    assert response.status_code == 200, response.text
    return cast("dict[str, Any]", response.get_json())


@pytest.mark.opensearch
def test_pages_go_through_the_window_and_say_the_same_of_all_of_it(api: Api) -> None:
    found = ask(api, f"{AROUND}&limit=4")
    assert (found["total"], found["totalRelation"]) == (10, "eq")
    assert found["origin"] == "2026-03-28T01:05:00.000000Z"
    pages = [found]
    while pages[-1]["nextCursor"]:
        pages.append(ask(api, f"{AROUND}&limit=4&cursor={pages[-1]['nextCursor']}"))
    for page in pages:
        assert {**page, "events": 0, "nextCursor": 0} == {**found, "events": 0, "nextCursor": 0}
    distances = [one["distanceMilliseconds"] for page in pages for one in page["events"]]
    assert distances == [60_000.0 * minute for minute in range(-5, 5)]


@pytest.mark.opensearch
def test_pages_follow_each_other_by_link(api: Api) -> None:
    response = api.get(f"{AROUND}&limit=4", path=INCIDENT)
    target, relation = response.headers["Link"].split(", ")[0].split("; ")
    assert relation == 'rel="next"'
    behind = ask(api, target.removeprefix("<?").removesuffix(">"))
    assert behind["events"][0]["distanceMilliseconds"] == -60_000


@pytest.mark.opensearch
def test_what_is_new_and_what_is_unusual_is_told_where_the_days_before_are_enough(
    api: Api,
) -> None:
    found = ask(api, AROUND)
    (actor_row,) = found["actors"]["values"]
    assert (actor_row["name"], actor_row["firstSeen"]) == ("Ana María", False)
    (address,) = actor_row["ipAddresses"]
    assert (address["value"], address["firstSeen"]) == ("203.0.113.66", True)
    (deleted,) = found["unusual"]["actions"]
    assert (deleted["value"], deleted["count"], deleted["countBefore"]) == ("app.deleted", 10, 0)
    assert [one["value"] for one in found["unusual"]["ipAddresses"]] == ["203.0.113.66"]
    assert found["unusual"]["actors"] == []
    quiet = ask(api, "since=2026-03-28T02:00:00Z&until=2026-03-28T02:00:00.000001Z")
    assert (quiet["total"], quiet["events"], quiet["actors"]["values"]) == (0, [], [])
    assert (quiet["before"]["total"], len(quiet["histogram"]["buckets"])) == (39, 1)
    early = ask(api, "around=2026-03-03&window=1d")
    (actor_row,) = early["actors"]["values"]
    assert (early["before"]["enough"], early["unusual"]) == (False, None)
    assert (actor_row["firstSeen"], actor_row["ipAddresses"][0]["firstSeen"]) == (None, None)
    other = ask(api, AROUND, token("org_c"))
    assert (other["total"], other["before"]["total"], other["unusual"]) == (0, 0, None)
    assert other["before"]["coveredDays"] == 0
    silent = ask(api, AROUND, token("org_quiet"))["before"]
    assert (silent["total"], silent["coveredDays"], silent["enough"]) == (0, 30, True)


@pytest.mark.opensearch
def test_what_is_no_incident_is_refused(api: Api) -> None:
    cursor = ask(api, f"{AROUND}&limit=4")["nextCursor"]
    for query, wrong in (
        ("", {("around", "required")}),
        ("since=2026-03-01", {("around", "required")}),
        ("since=2026-01-01&until=2026-12-01", {("until", "out_of_range")}),
        ("since=1900-01-01&until=1900-01-02", {("until", "out_of_range")}),
        ("around=0001-01-01", {("until", "out_of_range")}),
        (f"{AROUND}&interval=1s&values=51", {("values", "out_of_range")}),
        ("around=2026-03-28&window=31d&interval=1s", {("interval", "out_of_range")}),
        (f"{AROUND}&order=desc", {("order", "unknown_parameter")}),
        (f"{AROUND}&cursor={cursor}&action=app.deleted", {("cursor", "invalid")}),
    ):
        refused = problem(api.get(query, path=INCIDENT), 400, "parameters_invalid")
        assert {(one["parameter"], one["code"]) for one in refused["errors"]} == wrong, query
    stolen = api.get(f"{AROUND}&limit=4&cursor={cursor}", path=INCIDENT, bearer=token("org_b"))
    problem(stolen, 400, "parameters_invalid")


@pytest.mark.opensearch
def test_of_what_was_not_looked_for_before_nothing_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a window had more addresses than are compared."""
    chance = random.Random(8)  # noqa: S311  # the same events in each run
    world.fill(chance, [MIDDLE + timedelta(days=chance.uniform(-40, 10)) for _ in range(250)])
    monkeypatch.setattr("webapi.participants.CONSIDERED", 1)
    since, until = MIDDLE - timedelta(days=4), MIDDLE + timedelta(days=4)
    asked = question("org_a", since, until)
    window = Window(query=replace(asked.query, newest_first=False), since=since, until=until)
    incident = incident_of(world.reading, IncidentQuestion(window=window, origin=since), KEY)
    counts = Counter(event.get("ipAddress") for event in asked.of(world.events))
    del counts[None]
    (listed,) = incident.ip_addresses.values
    assert listed.count == max(counts.values())
    assert incident.ip_addresses.other_count == counts.total() - listed.count
    used = [one for row in incident.actors.values for one in row.ip_addresses]
    assert {one.value for one in used if one.first_seen is not None} <= {listed.value}
    assert any(one.first_seen is None and one.count_before is None for one in used)
