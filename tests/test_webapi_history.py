"""The life of one thing, and what it was like at a moment, on the real node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin

import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.timing import measure
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.audit_log import PATH
from webapi.state import MAX_EVENTS, MAX_LATER_EVENTS

pytestmark = pytest.mark.opensearch

HISTORY, STATE = f"{PATH}/history", f"{PATH}/state"
TEA = "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10"
OTHER = "0190a1b2-7c3d-7000-8000-00000000000b"
START = "2026-03-15T09:00:00Z"
APP = {"type": "app", "id": "app_1", "name": "Shop"}
LIFE: list[dict[str, Any]] = [
    {"action": "app.created", "resource": APP, "context": {"new": {"name": "Shop", "tags": []}}},
    {
        "action": "app.settings_updated",
        "resource": APP,
        "result": "denied",
        "context": {"previous": {"name": "Shop"}, "new": {"name": "Stolen"}},
    },
    {
        "action": "app.renamed",
        "resource": APP,
        "context": {"previous": {"name": "Shop"}, "new": {"name": "Store"}},
    },
    {"action": "app.created", "resource": {"type": "app", "id": "app_2"}},
    {"action": "app.created", "resource": {"type": "application", "id": "app_1"}},
    {"action": "app.renamed", "resource": APP, "organization_id": "org_b"},
    {
        "action": "member.role_changed",
        "target_user": {"id": TEA.upper()},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
    },
    {
        "action": "workspace_member.added",
        "target_user": {"id": TEA},
        "resource": {"type": "workspace", "id": "w_1"},
        "context": {"new": {"role": "viewer"}},
    },
    {
        "action": "member.profile_updated",
        "target_user": {"id": TEA},
        "resource": {"type": "member", "id": TEA},
        "context": {"previous": {"team": "a"}, "new": {"team": "b"}},
    },
    {"action": "member.offboarded", "resource": {"type": "user", "id": TEA}},
    {"action": "member.invited", "resource": {"type": "invitation", "id": TEA}},
    {"action": "member.invited", "target_user": {"id": OTHER}},
    {
        "action": "app.deleted",
        "resource": APP,
        "context": {"previous": {"name": "Store", "tags": []}},
    },
]
"""One second apart."""
OF_APP = "resourceType=app&resourceId=app_1"
OF_TEA = f"targetUserId={TEA}"


@pytest.fixture(scope="module")
def api(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with opensearch.own_prefix() as index:
        with opensearch.client("writer") as writer:
            path = tmp_path_factory.mktemp("life") / "life.log"
            store(writer, index, write_events(path, LIFE, START))
        yield Api(opensearch.client("reader"), index)


def ask(api: Api, path: str, query: str, **more: Any) -> dict[str, Any]:
    response = api.get(query, path=path, **more)
    assert response.status_code == 200, response.text
    return cast("dict[str, Any]", response.get_json())


def told(history: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            one["event"]["action"],
            one["as"],
            one["applied"],
            [(each["path"], each.get("previous"), each.get("new")) for each in one["changes"]],
        )
        for one in history["entries"]
    ]


def test_the_life_of_a_resource_is_told_in_order(api: Api) -> None:
    found = ask(api, HISTORY, OF_APP)
    assert told(found) == [
        ("app.created", "resource", True, [("/name", None, "Shop"), ("/tags", None, [])]),
        ("app.settings_updated", "resource", False, [("/name", "Shop", "Stolen")]),
        ("app.renamed", "resource", True, [("/name", "Shop", "Store")]),
        ("app.deleted", "resource", True, [("/name", "Store", None), ("/tags", [], None)]),
    ]
    assert found["subject"] == {"resourceType": "app", "resourceId": "app_1"}
    assert (found["total"], found["totalRelation"], found["nextCursor"]) == (4, "eq", None)
    backwards = ask(api, HISTORY, OF_APP + "&order=desc")
    assert backwards["entries"] == found["entries"][::-1]
    middle = ask(api, HISTORY, OF_APP + "&since=2026-03-15T09:00:01Z&until=2026-03-15T09:00:02Z")
    assert told(middle) == told(found)[1:2]


def test_the_events_of_a_user_are_those_as_target_and_as_member(api: Api) -> None:
    found = ask(api, HISTORY, OF_TEA)
    assert [(action, part) for action, part, *_ in told(found)] == [
        ("member.role_changed", "target"),
        ("workspace_member.added", "target"),
        ("member.profile_updated", "both"),
        ("member.offboarded", "resource"),
    ]
    for query in (f"targetUserId={TEA.upper()}", f"resourceType=member&resourceId={TEA}"):
        assert ask(api, HISTORY, query)["entries"] == found["entries"], query


def test_events_in_a_history_are_the_bytes_that_were_written(api: Api) -> None:
    response = api.get(OF_APP, path=HISTORY)
    listed = api.get(OF_APP + "&order=asc")
    for event in listed.data.split(b'{"events":[')[1].split(b'],"total"')[0].split(b'},{"action'):
        assert event.removeprefix(b'{"action').rstrip(b"}") in response.data


def test_pages_of_a_history_follow_each_other_by_link(api: Api) -> None:
    whole = ask(api, HISTORY, OF_APP)["entries"]
    url = f"{HISTORY}?{OF_APP}&limit=1"
    found: list[Any] = []
    for _ in whole:
        response = api.client.get(url, headers={"Authorization": f"Bearer {token()}"})
        found += response.get_json()["entries"]
        links = [part.split("; ") for part in response.headers["Link"].split(", ")]
        by_relation = {relation: target[1:-1] for target, relation in links}
        assert urljoin(url, by_relation['rel="self"']) == url
        url = urljoin(url, by_relation.get('rel="next"', "?end"))
    assert found == whole
    assert url.endswith("?end")


def test_a_cursor_belongs_to_one_thing_and_one_address(api: Api) -> None:
    cursor = ask(api, HISTORY, OF_APP + "&limit=1")["nextCursor"]
    ask(api, HISTORY, f"{OF_APP}&limit=2&cursor={cursor}")
    listed = api.page(OF_APP + "&limit=1&order=asc")["nextCursor"]
    for path, query in (
        (HISTORY, f"{OF_TEA}&cursor={cursor}"),
        (HISTORY, f"resourceType=app&resourceId=app_2&cursor={cursor}"),
        (HISTORY, f"{OF_APP}&order=desc&cursor={cursor}"),
        (HISTORY, f"{OF_APP}&cursor={listed}"),
        (HISTORY, f"{OF_APP}&cursor={cursor[:-2]}{'BB' if cursor[-2] == 'A' else 'AA'}"),
        (PATH, f"{OF_APP}&order=asc&cursor={cursor}"),
    ):
        body = problem(api.get(query, path=path), 400, "parameters_invalid")
        assert [one["parameter"] for one in body["errors"]] == ["cursor"], query
    refused = api.get(f"{OF_APP}&cursor={cursor}", path=HISTORY, bearer=token("org_b"))
    problem(refused, 400, "parameters_invalid")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("", {"targetUserId": "required"}),
        ("resourceType=app", {"resourceId": "required"}),
        ("resourceId=app_1", {"resourceType": "required"}),
        (f"{OF_TEA}&resourceType=app", {"resourceType": "conflict"}),
        ("targetUserId=u_1", {"targetUserId": "invalid"}),
        (f"{OF_TEA}&{OF_TEA}", {"targetUserId": "repeated"}),
        ("resourceType=app&resourceId=%00", {"resourceId": "invalid"}),
        (OF_APP + "&action=app.created", {"action": "unknown_parameter"}),
        (OF_APP + "&offset=1", {"offset": "unknown_parameter"}),
        (OF_APP + "&at=now", {"at": "invalid"}),
        (OF_APP + "&at=2026-03-15&since=2026-03-16", {"since": "conflict"}),
    ],
)
def test_what_is_not_understood_is_refused(api: Api, query: str, errors: dict[str, str]) -> None:
    path = STATE if "at=" in query else HISTORY
    body = problem(api.get(query, path=path), 400, "parameters_invalid")
    assert {one["parameter"]: one["code"] for one in body["errors"]} == errors


def fields(state: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {one["path"]: (one["status"], one.get("value")) for one in state["fields"]}


@pytest.mark.parametrize(
    ("at", "existence", "expected"),
    [
        pytest.param("08:59:59.999999", "notYet", {}, id="before the beginning"),
        pytest.param("09:00:00", "exists", {
            "/name": ("known", "Shop"), "/tags": ("known", [])}, id="at the event"),
        pytest.param("09:00:00.000000999", "exists", {
            "/name": ("known", "Shop"), "/tags": ("known", [])}, id="nanoseconds behind it"),
        pytest.param("09:00:01.999999999", "exists", {
            "/name": ("known", "Shop"), "/tags": ("known", [])}, id="what was denied"),
        pytest.param("09:00:02", "exists", {
            "/name": ("known", "Store"), "/tags": ("known", [])}, id="changed"),
        pytest.param("10:00:00", "deleted", {
            "/name": ("removed", "Store"), "/tags": ("removed", [])}, id="deleted"),
    ],
)  # fmt: skip
def test_the_state_at_a_moment(
    api: Api, at: str, existence: str, expected: dict[str, tuple[Any, ...]]
) -> None:
    found = ask(api, STATE, f"{OF_APP}&at=2026-03-15T{at}Z")
    assert found["existence"]["status"] == existence
    assert fields(found) == expected
    assert found["events"] + found["laterEvents"] == 4
    assert not found["moreLaterEvents"]


def test_who_set_a_field_is_said(api: Api) -> None:
    found = ask(api, STATE, f"{OF_APP}&at=2026-03-15T09:00:03Z")
    name = found["fields"][0]["event"]
    assert (name["action"], name["timestamp"]) == ("app.renamed", "2026-03-15T09:00:02.000000Z")
    assert name["actor"]["email"] == "ana@company.com"
    assert found["subject"] == {"resourceType": "app", "resourceId": "app_1", "name": "Shop"}
    assert found["at"] == "2026-03-15T09:00:03.000000Z"


def test_the_state_of_a_user_keeps_apart_what_is_theirs_in_a_workspace(api: Api) -> None:
    found = ask(api, STATE, f"{OF_TEA}&at=2026-03-15T09:00:07Z")
    assert fields(found) == {"/role": ("known", "admin"), "/team": ("until", "a")}
    (workspace,) = found["together"]
    assert workspace["resource"] == {"type": "workspace", "id": "w_1"}
    assert fields(workspace) == {"/role": ("known", "viewer")}
    assert found["existence"]["status"] == "exists"
    assert ask(api, STATE, OF_TEA)["existence"]["status"] == "deleted"
    since = ask(api, STATE, f"{OF_TEA}&at=2026-03-15T09:00:08Z&since=2026-03-15T09:00:08Z")
    assert fields(since) == {"/team": ("known", "b")}
    assert since["since"] == "2026-03-15T09:00:08.000000Z"


@pytest.mark.parametrize(
    ("at", "events"),
    [
        ("0001-01-01", 0),
        ("1969-12-31", 0),
        ("2300-01-01", 4),
        ("9999-12-31T23:59:59.999999999Z", 4),
    ],
)
def test_moments_far_away_have_a_state(api: Api, at: str, events: int) -> None:
    assert ask(api, STATE, f"{OF_APP}&at={at}")["events"] == events


def test_another_organisation_has_no_history_of_it(api: Api) -> None:
    for query in (OF_TEA, "resourceType=workspace&resourceId=w_1"):
        assert ask(api, HISTORY, query, bearer=token("org_b"))["entries"] == []
        found = ask(api, STATE, query, bearer=token("org_b"))
        assert (found["fields"], found["together"], found["events"]) == ([], [], 0)
    theirs = ask(api, HISTORY, OF_APP, bearer=token("org_b"))
    assert [one["event"]["organizationId"] for one in theirs["entries"]] == ["org_b"]


def hostile(number: str) -> dict[str, Any]:
    """Return an event whose context no emitter of ours would write; `number` stands in it."""
    deep: Any = int(number)
    for _ in range(15):
        deep = {"a": deep}
    odd = {"": 1, "/": 2, "~": 3, "a.b": 4, "__proto__": 5, "$ref": "#", "<script>": "</script>"}
    return {
        "action": "app.settings_updated",
        "resource": APP,
        "context": {"new": {**odd, "self": {"$ref": "#/context"}, "deep": deep, "l": [number]}},
    }


def test_contexts_of_any_shape_are_told(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """Numbers beyond any float, keys that are paths, what looks like a cycle, many fields."""
    wide = {"action": "app.settings_updated", "resource": APP}
    many = [{"new": {f"{one} {n}": n for n in range(2600)}} for one in ("a", "b")]
    events = [hostile("12345678"), *({**wide, "context": one} for one in many)]
    lines = write_events(tmp_path / "hostile.log", events, START)
    lines[0] = lines[0].replace(b":12345678", b":-1e999")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    api = Api(opensearch.client("reader"), index)
    first, *others = ask(api, HISTORY, OF_APP)["entries"]
    paths = [one["path"] for one in first["changes"]]
    odd = ["/", "/$ref", "/~1", "/<script>", "/__proto__", "/a.b"]
    assert paths == [*odd, "/deep" + "/a" * 15, "/l", "/self/$ref", "/~0"]
    assert [(len(one["changes"]), one["moreChanges"]) for one in others] == [(1000, True)] * 2
    state = api.get(f"{OF_APP}&at={START}", path=STATE)
    assert b'"value":-1e999' in state.data
    assert state.get_json()["moreLaterEvents"]
    assert api.get("q=app&highlight=true").status_code == 200
    body = problem(api.get(OF_APP, path=STATE), 422, "history_too_long")
    assert "fields" in body["detail"]
    for other in ("a/b", "../..", "*", "app_1 OR 1", '"},{"match_all":{}}'):
        found = api.get([("resourceType", "app"), ("resourceId", other)], path=STATE)
        assert found.status_code == 200
        assert found.get_json()["events"] == 0


@pytest.mark.slow
def test_as_many_events_as_fold_do_so_in_time_and_more_are_refused(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    def event(number: int) -> dict[str, Any]:
        sides = {"previous": {"n": number - 1, "x": 1}, "new": {"n": number, "x": 1}}
        return {"action": "app.settings_updated", "resource": APP, "context": sides}

    count = MAX_EVENTS + 1
    lines = write_events(tmp_path / "many.log", [event(n) for n in range(count)], START)
    with opensearch.client("writer") as writer:
        for begin in range(0, count, 2000):
            store(writer, index, lines[begin : begin + 2000])
    api = Api(opensearch.client("reader"), index)
    at = f"{OF_APP}&at=2026-03-15T11:46:39Z"
    found, seconds = measure(lambda: ask(api, STATE, at), 10)
    assert seconds <= 10
    assert (found["events"], found["laterEvents"]) == (MAX_EVENTS, 1)
    assert fields(found)["/n"] == ("known", MAX_EVENTS - 1)
    body = problem(api.get(OF_APP, path=STATE), 422, "history_too_long")
    assert "since" in body["detail"]
    early = ask(api, STATE, f"{OF_APP}&at={START}")
    assert early["moreLaterEvents"]
    assert early["laterEvents"] == MAX_LATER_EVENTS
    assert ask(api, STATE, f"{OF_APP}&since=2026-03-15T10:00:00Z")["events"] == count - 3600
