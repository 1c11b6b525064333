"""Every way to ask for events, over HTTP, against one plain model that looks at each of them.

The world has months and days as partitions, late events and the journal, half of it sealed on the
way; many events share their timestamp, and others lie a microsecond from where a partition ends.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.envelope import decode_envelope
from audit_events.instant import format_instant, parse_instant
from indexer.names import journal_name, late_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_world import (
    ACTIONS,
    ADDRESSES,
    MICROSECOND,
    MIDDLE,
    ORGANIZATIONS,
    Event,
    World,
    colour,
    instant,
    random_fields,
)
from tests.webapi_api import Api, Pairs, token
from webapi.arrivals import Arrivals
from webapi.audit_log import PATH
from webapi.parts import EXTENSION

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

QUESTIONS: Final = 24
SETTLED_REFRESHES: Final = 2
TARGET: Final = "0190a1b2-7c3d-7000-8000-00000000000a"


@dataclass(frozen=True, slots=True)
class Filter:
    """Parameters of the list, and which events they ask for."""

    pairs: Pairs
    matches: Callable[[Event], bool]

    def __and__(self, other: "Filter") -> "Filter":
        return Filter(
            [*self.pairs, *other.pairs],
            lambda event: self.matches(event) and other.matches(event),
        )


def category(event: Event) -> str | None:
    entry = CATALOGUE.find(event["action"])
    return None if entry is None else entry.category


def resource(event: Event, name: str) -> object:
    return event.get("resource", {}).get(name)


FILTERS: Final = (
    Filter([], lambda _event: True),
    Filter([("action", "member.*,zebra.danced")],
        lambda event: event["action"].split(".")[0] in {"member", "zebra"}),
    Filter([("action", "app.deleted")], lambda event: event["action"] == "app.deleted"),
    Filter([("category", "App Lifecycle")], lambda event: category(event) == "App Lifecycle"),
    Filter([("colour", "green,red")], lambda event: colour(event) in {"green", "red"}),
    Filter([("result", "success")], lambda event: event.get("result", "success") == "success"),
    Filter([("result", "denied,failure")], lambda event: event.get("result") in {
        "denied", "failure"}),
    Filter([("actorId", "u_1"), ("actorId", "key_2")],
        lambda event: event["actor"].get("id") in {"u_1", "key_2"}),
    Filter([("actorEmail", "MAIL.3@company.com")],
        lambda event: event["actor"].get("email") == "Mail.3@company.com"),
    Filter([("ip", ADDRESSES[2])], lambda event: event.get("ipAddress") == ADDRESSES[2]),
    Filter([("ip", "203.0.113.0/24")],
        lambda event: event.get("ipAddress", "").startswith("203.0.113.")),
    Filter([("resourceType", "app"), ("resourceId", "1"), ("resourceId", "2")],
        lambda event: resource(event, "type") == "app" and resource(event, "id") in {"1", "2"}),
    Filter([("targetUserId", TARGET.upper())],
        lambda event: event.get("targetUser", {}).get("id") == TARGET),
    Filter([("q", "action:app.* -result:denied")],
        lambda event: event["action"].startswith("app.") and event.get("result") != "denied"),
    Filter([("q", "curl OR resource:domain")],
        lambda event: "curl" in event.get("userAgent", "") or resource(event, "type") == "domain"),
)  # fmt: skip


def window(chance: random.Random, events: Sequence[Event]) -> Filter:
    """Return a window that ends on events, just beside them, or not at all."""
    since = chance.choice((None, instant(chance.choice(events)), MIDDLE - timedelta(days=2)))
    until = chance.choice((None, instant(chance.choice(events)) + MICROSECOND, MIDDLE))
    if since is not None and until is not None and since >= until:
        until = None
    pairs: list[tuple[str, str]] = []
    if since is not None:
        # Digits beyond microseconds are dropped.
        pairs.append(("since", format_instant(since).replace("Z", "999Z")))
    if until is not None:
        pairs.append(("until", format_instant(until)))
    first = "" if since is None else format_instant(since)
    last = "9999" if until is None else format_instant(until)
    return Filter(pairs, lambda event: first <= event["timestamp"] < last)


class Model:
    """One organisation's events, asked for in every way."""

    def __init__(self, api: Api, organization: str, events: Sequence[Event]) -> None:
        self.api = api
        self.bearer = token(organization)
        mine = [event for event in events if event["organizationId"] == organization]
        self.events = sorted(mine, key=lambda event: (event["timestamp"], event["id"]))

    def get(self, pairs: Pairs, path: str = PATH) -> Any:
        response = self.api.get(pairs, path=path, bearer=self.bearer)
        assert response.status_code == 200, response.text
        return response.get_json()

    def check(self, asked: Filter, limit: int) -> None:
        """Ask for all that a filter matches, in every way there is."""
        wanted = [event for event in self.events if asked.matches(event)]
        assert self.by_offset(asked.pairs, limit) == wanted[::-1], asked.pairs
        assert self.by_cursor(asked.pairs, limit) == wanted[::-1], asked.pairs
        assert self.by_cursor([*asked.pairs, ("order", "asc")], limit) == wanted, asked.pairs
        assert self.by_export([*asked.pairs, ("order", "asc")]) == wanted, asked.pairs
        self.check_facets(asked, wanted)

    def by_offset(self, pairs: Pairs, limit: int) -> list[Event]:
        found: list[Event] = []
        while True:
            place = [("limit", str(limit)), ("offset", str(len(found)))]
            page = self.get([*pairs, *place])
            found += page["events"]
            assert page["totalRelation"] == "eq"
            if len(found) >= page["total"]:
                assert page["nextCursor"] is None
                return found
            assert len(page["events"]) == limit

    def by_cursor(self, pairs: Pairs, limit: int) -> list[Event]:
        found: list[Event] = []
        place: Pairs = []
        while True:
            page = self.get([*pairs, ("limit", str(limit)), *place])
            found += page["events"]
            if page["nextCursor"] is None:
                assert page["total"] == len(found)
                return found
            assert len(page["events"]) == limit
            place = [("cursor", page["nextCursor"])]

    def by_export(self, pairs: Pairs) -> list[Event]:
        response = self.api.get(pairs, path=f"{PATH}/export", bearer=self.bearer)
        assert response.status_code == 200, response.text
        *events, last = map(json.loads, response.data.splitlines())
        assert "export" in last
        return events

    def by_stream(self, pairs: Pairs, seconds: float) -> list[Event]:
        """Read on from the beginning until nothing has come for some time."""
        found: list[Event] = []
        place: Pairs = [("start", "beginning")]
        end, turns = time.monotonic() + seconds, 0
        # The turns are for a machine that stands still for so long.
        while time.monotonic() < end or turns < 10:
            turns += 1
            page = self.get([*pairs, *place, ("limit", "7")], f"{PATH}/stream")
            found += page["events"]
            place = [("after", page["cursor"])]
            if not page["events"]:
                time.sleep(0.3)
        return sorted(found, key=lambda event: (event["timestamp"], event["id"]))

    def check_facets(self, asked: Filter, wanted: Sequence[Event]) -> None:
        found = self.get([*asked.pairs, ("values", "200")], f"{PATH}/facets")
        assert found["total"] == len(wanted)
        for name, values in (
            ("action", [event["action"] for event in wanted]),
            ("result", [event.get("result", "success") for event in wanted]),
            ("ip", [event["ipAddress"] for event in wanted if "ipAddress" in event]),
        ):
            listed = {one["value"]: one["count"] for one in found[name]["values"]}
            assert listed == Counter(values), (name, asked.pairs)
        assert sum(one["count"] for one in found["histogram"]["buckets"]) == len(wanted)

    def check_history(self, one: Event, at: datetime) -> None:
        """Ask for the life of the resource of an event, and what it was like at a moment."""
        kind, number = one["resource"]["type"], one["resource"]["id"]
        subject = [("resourceType", kind), ("resourceId", number)]
        wanted = [
            event
            for event in self.events
            if resource(event, "type") == kind and resource(event, "id") == number
        ]
        found: list[Event] = []
        place: Pairs = []
        while True:
            page = self.get([*subject, ("limit", "3"), *place], f"{PATH}/history")
            found += [one["event"] for one in page["entries"]]
            assert page["total"] == len(wanted)
            if page["nextCursor"] is None:
                break
            place = [("cursor", page["nextCursor"])]
        assert found == wanted
        self.check_state(subject, wanted, at)

    def check_state(self, subject: Pairs, wanted: Sequence[Event], at: datetime) -> None:
        """The last event that succeeded and names nobody else has set the size."""
        moment = format_instant(at)
        state = self.get([*subject, ("at", moment.replace("Z", "5Z"))], f"{PATH}/state")
        before = [event for event in wanted if event["timestamp"] <= moment]
        assert state["events"] == len(before)
        assert state["laterEvents"] == len(wanted) - len(before)
        setters = [event for event in before if sets(event)]
        known = {one["path"]: one for one in state["fields"] if one["status"] == "known"}
        if setters:
            assert known["/size"]["value"] == setters[-1]["context"]["new"]["size"]
            assert known["/size"]["event"]["id"] == setters[-1]["id"]
        else:
            assert known == {}


def sets(event: Event) -> bool:
    succeeded = event.get("result", "success") == "success"
    return succeeded and "targetUser" not in event and "context" in event


def written(chance: random.Random, at: datetime) -> dict[str, object]:
    """Return the fields of an event that often sets the size of a resource."""
    fields: dict[str, object] = {**random_fields(chance), "at": format_instant(at)}
    if chance.random() < 0.7:
        fields["context"] = {"new": {"size": chance.randrange(1000)}}
    if chance.random() < 0.2:
        fields["target_user"] = {"id": TARGET}
    return fields


def fill(world: World, chance: random.Random, moments: Sequence[datetime]) -> None:
    lines = world.write([written(chance, at) for at in moments])
    world.store([(world.home(chance, line), line) for line in lines])


def arrive(world: World, lines: Sequence[bytes]) -> None:
    """Store late events: where they are due, or in the journal where that is sealed as well."""
    listed = world.storage.list_indices()
    sealed = {name for name, one in listed.items() if one.write == "true"}
    due = [late_name(decode_envelope(line).timestamp, world.index) for line in lines]
    names = [journal_name(world.index) if name in sealed else name for name in due]
    world.store(list(zip(names, lines, strict=True)))


def served(world: World, cluster: Cluster) -> Api:
    """Return the API, for which what is sealed is so at once."""
    api = Api(cluster.client("reader"), world.index)
    whole = api.app.extensions[EXTENSION]
    arrivals = Arrivals(world.storage, world.index, SETTLED_REFRESHES)
    api.app.extensions[EXTENSION] = replace(whole, reading=world.reading, arrivals=arrivals)
    return api


def test_every_way_to_ask_answers_what_a_plain_model_says(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311  # the same world in each run
    world = World(opensearch, index, tmp_path)
    shared = [MIDDLE + timedelta(hours=chance.randrange(-60, 60)) for _ in range(6)]
    edges = [MIDDLE + one * MICROSECOND for one in (-1, 0, 1)]
    anywhere = [MIDDLE + timedelta(seconds=chance.uniform(-5, 5) * 86_400) for _ in range(60)]
    fill(world, chance, [*anywhere, *shared * 8, *edges * 6])
    api = served(world, opensearch)
    for number in range(QUESTIONS):
        if number == QUESTIONS // 3:
            world.seal_some(chance)
        if number == QUESTIONS // 2:
            late = [parse_instant("2025-11-30T23:59:59.999999Z"), *edges, *anywhere[:9]]
            arrive(world, world.write([written(chance, at) for at in late]))
        model = Model(api, chance.choice(ORGANIZATIONS), world.events)
        asked = chance.choice(FILTERS) & window(chance, model.events)
        model.check(asked, limit=chance.choice((2, 5, 9)))
        one = chance.choice([event for event in model.events if "resource" in event])
        model.check_history(one, instant(one) + chance.choice((-1, 0, 1)) * MICROSECOND)
    for asked in FILTERS[:3]:
        model = Model(api, chance.choice(ORGANIZATIONS), world.events)
        wanted = [event for event in model.events if asked.matches(event)]
        assert model.by_stream(asked.pairs, SETTLED_REFRESHES + 3) == wanted, asked.pairs
    assert {event["action"] for event in world.events} == set(ACTIONS)
