"""Reading on by arrival, on the real node: nothing is missed, whatever clocks and refreshes do."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from audit_events.event import decode_event
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.stream_reading import (
    STREAM,
    api_of,
    follow,
    page,
    ship,
    until_settled,
)
from tests.webapi_api import SETTINGS, Api, problem, token, write_events
from webapi.app import SLOW_SHARE
from webapi.audit_log import PATH
from webapi.errors import ParameterError
from webapi.parts import EXTENSION
from webapi.stream import MAX_WAIT_SECONDS, read_wait

pytestmark = pytest.mark.opensearch

WAIT = f"wait={MAX_WAIT_SECONDS}s"


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings) -> Api:
    return api_of(opensearch, index)


@pytest.fixture
def writer(opensearch: Cluster) -> Iterator[OpenSearch]:
    with opensearch.client("writer") as client:
        yield client


def test_what_arrives_is_read_once_and_late_events_too(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    cursor = page(api, "start=now")["cursor"]
    new = write_events(tmp_path / "new", [{"action": "app.created"}] * 10, "2026-03-15")
    late = write_events(tmp_path / "late", [{"action": "app.deleted"}] * 3, "2026-01-15")
    wanted = ship(writer, index, new)
    wanted += ship(writer, index, late, "2026-01-01T00:00:00.000000Z")
    found, cursor = until_settled(api, cursor)
    assert sorted(found) == sorted(wanted)
    assert found.index(wanted[0]) < found.index(wanted[9]), "in the order of a partition"
    assert page(api, f"after={cursor}")["events"] == []


def test_it_begins_where_one_says(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 4, "2026-03-15")
    old = ship(writer, index, lines[:2], "2026-03-14T00:00:00.000000Z")
    new = ship(writer, index, lines[2:], "2026-03-16T00:00:00.000000Z")
    theirs = [{"action": "app.deleted", "organization_id": "org_b"}]
    ship(writer, index, write_events(tmp_path / "b", theirs, "2026-03-15"))
    started = page(api, "start=now")
    assert (started["events"], started["more"]) == ([], False)
    whole = page(api, f"start=beginning&{WAIT}")
    assert [event["id"] for event in whole["events"]] == old + new
    since = page(api, f"start=2026-03-15&{WAIT}")
    assert [event["id"] for event in since["events"]] == new
    # From here on a clock that is behind hides nothing.
    more = write_events(tmp_path / "m", [{"action": "app.moved"}], "2026-03-15")
    wanted = ship(writer, index, more, "2020-01-01T00:00:00.000000Z")
    assert until_settled(api, since["cursor"])[0] == wanted
    assert until_settled(api, started["cursor"])[0] == wanted


def test_an_instant_holds_in_a_worker_that_does_not_know_yet_what_is_there(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 4, "2026-03-15")
    ship(writer, index, lines[:2], "2026-03-14T00:00:00.000000Z")
    new = ship(writer, index, lines[2:], "2026-03-16T00:00:00.000000Z")
    cold = page(api, "start=2026-03-15")
    assert (cold["events"], cold["more"]) == ([], True)
    assert follow(api, cold["cursor"])[0] == new


def test_no_clock_counts_for_what_arrives_while_an_instant_is_read(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 3, "2026-03-15")
    ship(writer, index, lines[:1], "2026-03-14T00:00:00.000000Z")
    new = ship(writer, index, lines[1:], "2026-03-16T00:00:00.000000Z")
    first = page(api, f"start=2026-03-15&limit=1&{WAIT}")
    assert ([event["id"] for event in first["events"]], first["more"]) == (new[:1], True)
    resent = write_events(tmp_path / "r", [{"action": "app.moved"}], "2026-03-15")
    earlier = write_events(tmp_path / "p", [{"action": "app.moved"}], "2026-01-15")
    wanted = ship(writer, index, resent + earlier, "2020-01-01T00:00:00.000000Z")
    found, _ = until_settled(api, first["cursor"])
    assert found[0] == new[1]
    assert sorted(found[1:]) == sorted(wanted)


def test_an_instant_holds_where_another_worker_does_not_know_yet_what_is_sealed(
    opensearch: Cluster, api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 6, "2026-01-15")
    new = ship(writer, index, lines[:4], "2026-03-16T00:00:00.000000Z")
    ship(writer, index, lines[4:], "2026-03-14T00:00:00.000000Z")
    name = partition_name("2026-01-15T00:00:00.000000Z", index)
    with opensearch.admin() as admin:
        admin.indices.put_settings(index=name, body={"index.blocks.write": True})
    until_settled(api, page(api, "start=now")["cursor"])
    first = page(api, "start=2026-03-15&limit=2")
    assert [event["id"] for event in first["events"]] == new[:2]
    assert until_settled(api_of(opensearch, index), first["cursor"])[0] == new[2:]


@pytest.mark.parametrize("how", ["&wait=30s", ""])
def test_who_stops_when_there_is_no_more_has_all_that_was_there(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path, how: str
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 9, "2026-03-15")
    wanted = ship(writer, index, lines)
    cold = page(api, "start=beginning")
    assert (cold["events"], cold["more"]) == ([], True)
    begun = time.monotonic()
    found, _ = follow(api, cold["cursor"], how)
    assert found == wanted
    assert time.monotonic() - begun < MAX_WAIT_SECONDS, "measured: 2 to 3 s, not all of the wait"


def test_a_cursor_behind_all_is_at_the_end_in_a_cold_worker_too(
    opensearch: Cluster, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    ship(writer, index, write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15"))
    cursor = page(api_of(opensearch, index), "start=now")["cursor"]
    found = page(api_of(opensearch, index), f"after={cursor}")
    assert (found["events"], found["more"]) == ([], False)


def test_it_waits_for_an_event_and_no_longer(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    cursor = page(api, "start=now")["cursor"]
    begun = time.monotonic()
    assert page(api, f"after={cursor}&wait=1s")["events"] == []
    assert 1 <= time.monotonic() - begun < MAX_WAIT_SECONDS
    lines = write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15")
    timer = threading.Timer(1, lambda: ship(writer, index, lines))
    timer.start()
    begun = time.monotonic()
    found = page(api, f"after={cursor}&wait=30s")
    timer.join()
    assert len(found["events"]) == 1
    assert time.monotonic() - begun < MAX_WAIT_SECONDS, "not all of the wait"


def test_a_token_that_ends_while_it_waits_gets_nothing(
    opensearch: Cluster, index: IndexSettings, writer: OpenSearch, tmp_path: Path
) -> None:
    api = api_of(opensearch, index, leeway_seconds=0)
    ship(writer, index, write_events(tmp_path / "a", [{"action": "app.created"}], "2026-03-15"))
    cursor = page(api, "start=now")["cursor"]
    lines = write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15")
    # Made first: whatever the machine does in between, the event comes after it ended.
    ends = token(exp=int(time.time()) + 2)
    timer = threading.Timer(3, lambda: ship(writer, index, lines))
    timer.start()
    answer = api.get(f"after={cursor}&wait=30s", path=STREAM, bearer=ends)
    timer.join()
    problem(answer, 401, "token_expired")
    assert until_settled(api, cursor)[0] != []


def test_only_some_may_wait(api: Api) -> None:
    waiters = api.app.extensions[EXTENSION].waiters
    cursor = page(api, "start=now")["cursor"]
    others = [f"org_{number}" for number in range(SETTINGS.threads)]
    taken = [organization for organization in others if waiters.begin(organization)]
    assert 0 < len(taken) < len(others)
    assert is_answered_at_once(api, cursor)
    for organization in taken:
        waiters.end(organization)
    assert not is_answered_at_once(api, cursor, "1s")
    assert [one for one in others if waiters.begin(one)] == taken, "a place is given back"


def test_one_organisation_that_waits_all_the_time_leaves_places_to_others(api: Api) -> None:
    waiters = api.app.extensions[EXTENSION].waiters
    cursor = page(api, "start=now")["cursor"]
    others = token("org_b")
    cursor_of_others = api.get("start=now", path=STREAM, bearer=others).get_json()["cursor"]
    taken = 0
    while waiters.begin("org_a"):
        taken += 1
    assert taken == SETTINGS.threads // SLOW_SHARE // 2
    assert is_answered_at_once(api, cursor)
    assert not is_answered_at_once(api, cursor_of_others, "1s", bearer=others)


def is_answered_at_once(api: Api, cursor: str, wait: str = "30s", *, bearer: str = "") -> bool:
    """Whether an answer without events comes before the wait is over."""
    begun = time.monotonic()
    answer = api.get(f"after={cursor}&wait={wait}", path=STREAM, bearer=bearer).get_json()
    assert answer["events"] == []
    return time.monotonic() - begun < float(wait.rstrip("s"))


def test_filters_hold_and_are_bound_to_the_cursor(
    api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    events = [{"action": "app.created"}, {"action": "app.deleted"}]
    lines = write_events(tmp_path / "e", events, "2026-03-15")
    ids = ship(writer, index, lines)
    found = page(api, f"start=beginning&action=app.deleted&{WAIT}")
    assert [event["id"] for event in found["events"]] == ids[1:]
    assert [bytes(line) in api.get(path=f"{PATH}/{ids[1]}").data for line in [lines[1][:-1]]]
    cursor = found["cursor"]
    forged = cursor[:-2] + ("B" if cursor[-2] == "A" else "A") + cursor[-1]
    refused = [
        (f"after={cursor}", "", "other filters"),
        (f"after={cursor}&action=app.deleted", token("org_b"), "another organisation"),
        (f"after={forged}&action=app.deleted", "", "forged"),
        ("after=x&action=app.deleted", "", "no cursor"),
    ]
    for query, bearer, name in refused:
        body = problem(api.get(query, path=STREAM, bearer=bearer), 400, "parameters_invalid")
        assert [one["parameter"] for one in body["errors"]] == ["after"], name
    listed = api.get([("cursor", cursor), ("action", "app.deleted")])
    assert problem(listed, 400, "parameters_invalid")["errors"][0]["parameter"] == "cursor"
    place = api.page("limit=1&action=app.*")["nextCursor"]
    problem(api.get(f"after={place}&action=app.*", path=STREAM), 400, "parameters_invalid")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("wait=31s", "wait"),
        ("wait=1d", "wait"),
        ("limit=1001", "limit"),
        ("start=yesterday", "start"),
        ("start=now&after=x", "start"),
        ("offset=1", "offset"),
    ],
)
def test_what_cannot_be_taken_is_refused(api: Api, query: str, parameter: str) -> None:
    body = problem(api.get(query, path=STREAM), 400, "parameters_invalid")
    assert [one["parameter"] for one in body["errors"]] == [parameter]


@pytest.mark.parametrize("text", ["5", "500ms", "31s", "32d"])
def test_a_wait_is_refused_by_its_own_bounds(text: str) -> None:
    with pytest.raises(ParameterError, match=r"^expected 0s to 30s$"):
        read_wait(text)


def test_a_reader_is_not_kept_busy_by_the_records_of_its_own_reading(
    opensearch: Cluster, index: IndexSettings, writer: OpenSearch, tmp_path: Path
) -> None:
    trail = tmp_path / "viewed.log"
    api = api_of(opensearch, index, audit_path=str(trail))
    lines = write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15")
    ship(writer, index, lines)
    found = page(api, f"start=beginning&{WAIT}")
    (viewed,) = trail.read_bytes().splitlines()
    context = decode_event(viewed).context or {}
    assert context["events"] == 1
    ship(writer, index, [viewed])
    assert len(until_settled(api, found["cursor"])[0]) == 1
    assert len(trail.read_bytes().splitlines()) == 1
