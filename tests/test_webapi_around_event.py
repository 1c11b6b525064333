"""The events around one, and its neighbours in its source, held to a plain model."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from werkzeug.test import TestResponse

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_world import MIDDLE, Event, World
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.around_event import (
    BY,
    By,
    SurroundingsQuestion,
    neighbours_of,
    surroundings_of,
    ways_of,
)
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

QUESTIONS = 60


def person(event: Event, part: str, *kinds: str) -> object:
    found = event.get(part, {})
    keys = [(kind, found[kind].lower()) for kind in kinds if kind in found]
    return keys[0] if keys else None


def common(event: Event, by: By) -> object:
    """Return what events have in common; None where this one has nothing of the kind."""
    if by == "actor":
        return person(event, "actor", "id", "email", "type")
    if by == "target":
        return person(event, "targetUser", "id", "email")
    if by == "resource":
        found = event.get("resource")
        return found and (found["type"], found["id"])
    names = {"ip": "ipAddress", "correlation": "correlationId", "organization": "organizationId"}
    return event.get(names[by])


def test_surroundings_are_those_of_a_plain_model(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """Some events of one moment, so that only the id tells which comes first."""
    world = World(opensearch, index, tmp_path)
    chance = random.Random(3)  # noqa: S311  # the same questions in each run
    moments = [MIDDLE + timedelta(hours=chance.randrange(-60, 60)) for _ in range(150)]
    world.fill(chance, moments)
    ordered = sorted(world.events, key=lambda event: (event["timestamp"], event["id"]))
    for _ in range(QUESTIONS):
        event = chance.choice(ordered)
        organization, by = event["organizationId"], chance.choice(BY)
        (center,) = world.reading.event(organization, event["id"]).hits.hits
        same = [
            one
            for one in ordered
            if one["organizationId"] == organization and common(one, by) == common(event, by)
        ]
        if common(event, by) is None:
            assert by not in ways_of(center)
            continue
        before, after = chance.choice((0, 1, 3, 100)), chance.choice((0, 1, 3, 100))
        question = SurroundingsQuestion(by=by, before=before, after=after)
        found = surroundings_of(world.reading, organization, center, question)
        at = same.index(event)
        expected = same[max(at - before, 0) : at + after + 1]
        assert [msgspec.json.decode(one.event) for one in found.events] == expected
        assert [one.is_center for one in found.events] == [one is event for one in expected]
        assert (found.more_before, found.more_after) == (at > before, at + after + 1 < len(same))
        for one in found.events:
            later = one.distance_milliseconds >= 0
            assert later or one in found.events[: [x.is_center for x in found.events].index(True)]


def test_neighbours_in_the_source_are_the_organisations_own(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """One process writes for both; what is next to an event may be somebody else's."""
    world = World(opensearch, index, tmp_path)
    chance = random.Random(4)  # noqa: S311  # the same questions in each run
    world.fill(chance, [MIDDLE + timedelta(days=chance.uniform(-40, 3)) for _ in range(60)])
    world.fill(chance, [MIDDLE] * 10)
    by_place = {(one["source"]["id"], one["source"]["seq"]): one for one in world.events}
    for event in world.events:
        organization, source = event["organizationId"], event["source"]
        (center,) = world.reading.event(organization, event["id"]).hits.hits
        found = neighbours_of(world.reading, organization, center)
        for step, neighbour in ((-1, found.previous), (1, found.next)):
            other = by_place.get((source["id"], source["seq"] + step))
            mine = other is not None and other["organizationId"] == organization
            assert neighbour == (other["id"] if mine and other is not None else None)


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Api:
    events: list[dict[str, object]] = [
        {"action": "app.created", "correlation_id": "req_1"},
        {"action": "app.deleted", "organization_id": "org_b", "correlation_id": "req_1"},
        {"action": "member.invited", "correlation_id": "req_1"},
        {"action": "app.deleted"},
    ]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", events, "2026-03-15"))
    return Api(opensearch.client("reader"), index)


def links(response: TestResponse) -> list[str]:
    return response.headers.getlist("Link")


def test_the_contract_of_the_addresses(api: Api) -> None:
    deleted, invited, created = (event["id"] for event in api.page()["events"])
    assert links(api.get(path=f"{PATH}/{created}")) == []
    assert links(api.get(path=f"{PATH}/{invited}")) == [f'<{deleted}>; rel="next"']
    assert links(api.get(path=f"{PATH}/{deleted}")) == [f'<{invited}>; rel="prev"']
    around = f"{PATH}/{invited}/surroundings"
    found = cast("dict[str, Any]", api.get("by=correlation&after=0", path=around).get_json())
    assert [one["event"]["id"] for one in found["events"]] == [created, invited]
    assert [one["isCenter"] for one in found["events"]] == [False, True]
    assert [one["distanceMilliseconds"] for one in found["events"]] == [-2000.0, 0.0]
    assert (found["moreBefore"], found["moreAfter"], found["by"]) == (False, False, "correlation")
    everything = cast("dict[str, Any]", api.get(path=around).get_json())
    assert [one["event"]["id"] for one in everything["events"]] == [created, invited, deleted]
    for query, parameter, code in (
        ("by=resource", "by", "conflict"),
        ("by=host", "by", "unknown_value"),
        ("before=101", "before", "out_of_range"),
        ("limit=3", "limit", "unknown_parameter"),
    ):
        refused = problem(api.get(query, path=around), 400, "parameters_invalid")
        assert [(one["parameter"], one["code"]) for one in refused["errors"]] == [(parameter, code)]
    for path in (around, f"{PATH}/{invited}"):
        problem(api.get(path=path, bearer=token("org_b")), 404, "event_not_found")
    problem(api.get(path=f"{PATH}/x/surroundings"), 404, "event_not_found")
