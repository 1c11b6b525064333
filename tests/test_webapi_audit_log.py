"""The documented endpoint and its siblings, on the real node."""

from pathlib import Path

import msgspec
import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.catalogue_file import read_catalogue
from audit_events.chain import verify_chain
from audit_events.envelope import decode_envelope
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_audit_events_catalogue_file import GOOD, write
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

START = "2026-03-15T09:00:00Z"
TARGET = "0190a1b2-7c3d-7000-8000-00000000000A"
EVENTS: list[dict[str, object]] = [
    {
        "action": "member.role_changed",
        "target_user": {"id": TARGET, "email": "Team@company.com"},
        "resource": {"type": "app", "id": "app_42", "name": "Shop"},
        "ip_address": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (Macintosh)",
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}, "reason": "asked to"},
    },
    {
        "action": "app.created",
        "actor": {"type": "system"},
        "resource": {"type": "app", "id": "app_43", "name": "Other"},
        "ip_address": "2001:db8::1",
        "correlation_id": "req_9f2c",
        "result": "failure",
    },
    {"action": "zebra.danced", "actor": {"type": "api_key", "id": "key_1"}},
    {"action": "member.offboarded", "organization_id": "org_b"},
    {"action": "member.invited", "at": "2026-04-01T00:00:00Z"},
    {"action": "app.deleted", "organization_id": "_system"},
]


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Api:
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "events.log", EVENTS, START))
    return Api(opensearch.client("reader"), index)


def test_the_whole_contract_of_the_list(api: Api) -> None:
    """One test, as each needs an index of its own: filters, order, times, text."""
    everything = ["member.invited", "zebra.danced", "app.created", "member.role_changed"]
    cases: list[tuple[str, list[str]]] = [
        ("", everything),
        ("order=asc", everything[::-1]),
        ("limit=2", everything[:2]),
        ("limit=2&offset=1", everything[1:3]),
        ("offset=4", []),
        ("action=member.role_changed", ["member.role_changed"]),
        ("action=member.*", ["member.invited", "member.role_changed"]),
        ("action=app.created,member.invited", ["member.invited", "app.created"]),
        ("action=app.created&action=member.invited", ["member.invited", "app.created"]),
        ("action=zebra.danced", ["zebra.danced"]),
        ("action=zebra.*", ["zebra.danced"]),
        ("action=app.deleted", []),
        ("action=member.*&resourceId=app_43", []),
        ("category=Member+Management", ["member.invited", "member.role_changed"]),
        ("colour=green", ["member.invited", "app.created"]),
        ("colour=green,blue&category=App+Lifecycle", ["app.created"]),
        (f"targetUserId={TARGET}", ["member.role_changed"]),
        (f"targetUserId={TARGET.lower()}", ["member.role_changed"]),
        ("targetUserId=0190a1b2-7c3d-7000-8000-00000000000b", []),
        ("actorId=key_1", ["zebra.danced"]),
        ("actorId=key_1&actorId=u_ana", ["member.invited", "zebra.danced", "member.role_changed"]),
        ("actorEmail=ANA@company.com", ["member.invited", "member.role_changed"]),
        ("resourceType=app&resourceId=app_42", ["member.role_changed"]),
        ("ip=203.0.113.9", ["member.role_changed"]),
        ("ip=203.0.113.0/24", ["member.role_changed"]),
        ("ip=2001:db8::/32&ip=198.51.100.1", ["app.created"]),
        ("result=failure", ["app.created"]),
        ("result=success", ["member.invited", "zebra.danced", "member.role_changed"]),
        ("correlationId=req_9f2c", ["app.created"]),
        ("since=2026-04-01", ["member.invited"]),
        ("until=2026-04-01", everything[1:]),
        ("since=2026-03-15T09:00:01Z&until=2026-03-15T09:00:02Z", ["app.created"]),
        ("since=2026-03-15T10:00:01+01:00&until=2026-03-15T10:00:02%2B01:00", ["app.created"]),
        ("since=0001-01-01&until=9999-12-31", everything),
        ("around=2026-03-15T09:00:01Z&window=1s", ["app.created", "member.role_changed"]),
        ("around=2026-03-15&window=31d", everything),
        ("q=role+changed", ["member.role_changed"]),
        ("q=member.role_changed", ["member.role_changed"]),
        ("q=role_changed", ["member.role_changed"]),
        ("q=team@company.com", ["member.role_changed"]),
        ("q=TEAM", ["member.role_changed"]),
        ("q=company", ["member.invited", "member.role_changed"]),
        ("q=Mar%C3%ADa", ["member.invited", "member.role_changed"]),
        ("q=app_42", ["member.role_changed"]),
        ("q=app_4", []),
        (f"q={TARGET}", ["member.role_changed"]),
        ("q=203.0.113.9", ["member.role_changed"]),
        ("q=2001:db8::1", ["app.created"]),
        ("q=req_9f2c", ["app.created"]),
        ("q=Macintosh", ["member.role_changed"]),
        ("q=%22asked+to%22", ["member.role_changed"]),
        ("q=admin", ["member.role_changed"]),
        ("q=creat*", ["app.created"]),
        ("q=app+-created", ["member.role_changed"]),
        ("q=zebra+%7C+invited", ["member.invited", "zebra.danced"]),
        ("q=app_42+shop+role", ["member.role_changed"]),
        ("q=offboarded", []),
        ("q=role&action=app.*", []),
    ]
    found = {query: api.actions(query) for query, _ in cases}
    assert found == dict(cases)


def test_a_page_has_the_members_of_the_contract(api: Api) -> None:
    page = api.page("limit=3")
    cursor = page.pop("nextCursor")
    assert page.pop("events")[0]["action"] == "member.invited"
    assert page == {"total": 4, "totalRelation": "eq", "limit": 3, "offset": 0}
    last = api.page([("limit", "3"), ("cursor", cursor)])
    assert [event["action"] for event in last["events"]] == ["member.role_changed"]
    assert (last["nextCursor"], last["total"]) == (None, 4)
    assert api.page("limit=4")["nextCursor"] is None


def test_events_are_the_bytes_that_were_written(api: Api, tmp_path: Path) -> None:
    """So whoever reads the API can recompute the hashes and follow the chain."""
    lines = (tmp_path / "events.log").read_bytes().splitlines()
    listed = msgspec.json.decode(api.get("order=asc").data, type=dict[str, msgspec.Raw])
    events = msgspec.json.decode(listed["events"], type=list[msgspec.Raw])
    answered = iter([bytes(event) for event in events])
    mine = [decode_envelope(line).organizationId == "org_a" for line in lines]
    seen = [next(answered) if own else line for own, line in zip(mine, lines, strict=True)]
    assert seen == lines
    assert verify_chain(seen) == []


def test_one_event(api: Api, tmp_path: Path) -> None:
    lines = (tmp_path / "events.log").read_bytes().splitlines()
    ids = [decode_envelope(line).id for line in lines]
    response = api.get(path=f"{PATH}/{ids[0]}")
    assert response.data == lines[0]
    assert response.mimetype == "application/json"
    assert api.get(path=f"{PATH}/{ids[0].upper()}").data == lines[0], "a UUID reads in any case"
    absent = "01a209c8-3fec-704d-9ea0-6979ad24323e"
    refusals = [
        problem(api.get(path=f"{PATH}/{one}"), 404, "event_not_found")
        for one in (absent, ids[3], ids[5])
    ]
    assert len({refusal.pop("requestId") for refusal in refusals}) == len(refusals)
    assert refusals[0] == refusals[1] == refusals[2], "another's event is told from none at all"
    for malformed in ("x", ids[0][:-1], f"{ids[0]}%0a", "*", "%00"):
        problem(api.get(path=f"{PATH}/{malformed}"), 404, "event_not_found")
    problem(api.get("limit=5", path=f"{PATH}/{ids[0]}"), 400, "parameters_invalid")


def test_the_catalogue(api: Api) -> None:
    body = api.get(path=f"{PATH}/actions").get_json()
    assert [item["action"] for item in body["actions"]] == list(CATALOGUE)
    first = {
        "action": "member.invited",
        "category": "Member Management",
        "colour": "green",
        "title": "Member invited",
        "description": CATALOGUE["member.invited"].description,
        "severity": "low",
        "needs": ["target", "new"],
        "critical": False,
        "aliases": [],
    }
    assert body["actions"][0].items() >= first.items()


def test_an_application_s_catalogue(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """Its actions are listed and asked for, by their old ids and the ones of today alike."""
    events: list[dict[str, object]] = [
        {"action": "invoice.accepted"},
        {"action": "app.created"},
        {"action": "invoice.approved"},
        {"action": "shipment.sent"},
    ]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "events.log", events, START))
    catalogue = read_catalogue(write(tmp_path, GOOD))
    api = Api(opensearch.client("reader"), index, catalogue=catalogue)
    both = ["invoice.approved", "invoice.accepted"]
    cases = {
        "action=invoice.approved": both,
        "action=invoice.accepted": both,
        "action=invoice.*": both,
        "category=Billing %26 Subscriptions": both,
        "category=Shipping": ["shipment.sent"],
        "colour=green": ["shipment.sent", "app.created"],
    }
    for asked, expected in cases.items():
        assert api.actions(asked) == expected, asked
    answer = api.get(path=f"{PATH}/actions").get_json()
    listed = {item["action"]: item for item in answer["actions"]}
    assert listed["invoice.approved"]["aliases"] == ["invoice.accepted"]
    assert listed["invoice.approved"]["severity"] == "medium"
    assert "invoice.accepted" not in listed
    body = problem(api.get("action=shipment.send&category=shipping"), 400, "parameters_invalid")
    errors = {error["parameter"]: error for error in body["errors"]}
    assert errors["action"]["nearest"][0] == "shipment.sent"
    assert "Shipping" in errors["category"]["allowed"]
    described = api.get(path="/openapi.json").get_json()["paths"][PATH]["get"]["parameters"]
    category = next(one for one in described if one["name"] == "category")
    assert category["schema"]["items"]["enum"] == list(catalogue.categories)
    plain = Api(opensearch.client("reader"), index)
    problem(plain.get("category=Shipping"), 400, "parameters_invalid")


def test_the_refusals_that_the_issue_names(api: Api) -> None:
    problem(api.get(bearer=None), 401, "token_missing")
    problem(api.get(bearer=token(role="member")), 403, "role_not_allowed")
    problem(api.get(bearer=token(plan="studio")), 403, "plan_not_allowed")
    body = problem(api.get("limit=201&targetUserId=x&action=member.rol"), 400, "parameters_invalid")
    errors = {error["parameter"]: error for error in body["errors"]}
    assert set(errors) == {"limit", "targetUserId", "action"}
    assert "member.role_changed" in errors["action"]["nearest"]
    assert "1 to 200" in errors["limit"]["reason"]


def test_an_action_of_another_organisation_is_unknown_here(api: Api) -> None:
    """Else its actions could be found out by trying."""
    assert api.actions("action=zebra.danced") == ["zebra.danced"]
    problem(api.get("action=zebra.danced", bearer=token("org_b")), 400, "parameters_invalid")


def test_no_page_deeper_than_the_index_reaches(api: Api) -> None:
    assert api.actions("limit=200&offset=9800") == []
    body = problem(api.get("limit=200&offset=9801"), 400, "parameters_invalid")
    assert "cursor" in body["errors"][0]["reason"]


def test_before_the_first_event_there_is_an_empty_list(
    opensearch: Cluster, index: IndexSettings
) -> None:
    page = Api(opensearch.client("reader"), index).page()
    assert (page["events"], page["total"], page["totalRelation"]) == ([], 0, "eq")
    assert page["nextCursor"] is None


def test_a_partition_that_is_closed_is_missed_aloud(
    api: Api, opensearch: Cluster, index: IndexSettings
) -> None:
    """Else its events would be absent from an answer that looks whole."""
    name = partition_name("2026-03-15T09:00:00.000000Z", index)
    with opensearch.admin() as admin:
        admin.indices.close(index=name)
    problem(api.get(), 503, "storage_incomplete")
    with opensearch.admin() as admin:
        admin.indices.open(index=name)
    assert len(api.actions()) == 4


def test_a_partition_that_was_hidden_is_read_as_any_other(
    api: Api, opensearch: Cluster, index: IndexSettings
) -> None:
    """A setting that any administrator may change, which patterns pass over without a word."""
    name = partition_name("2026-03-15T09:00:00.000000Z", index)
    before = api.page()
    with opensearch.admin() as admin:
        admin.indices.put_settings(index=name, body={"index.hidden": True})
    assert api.page() == before


def test_without_the_template_it_is_not_ready(opensearch: Cluster) -> None:
    api = Api(opensearch.client("reader"), IndexSettings(prefix="audit-tnever"))
    problem(api.get(path="/readyz", bearer=None), 503, "not_ready")


def test_parts_of_events_are_those_that_were_asked_for(api: Api) -> None:
    """What matched is told of the whole event, whatever of it is shown."""
    query = "action=member.role_changed&fields=id,context.new.role"
    (event,) = api.page(query)["events"]
    assert event == {"id": event["id"], "context": {"new": {"role": "admin"}}}
    (lit,) = api.page(query + "&q=role&highlight=true")["events"]
    assert lit.pop("highlights")[0]["field"] == "/action"
    assert lit == event
    (whole,) = api.page("action=member.role_changed")["events"]
    (left,) = api.page("action=member.role_changed&fields=-context,-actor.email")["events"]
    del whole["context"], whole["actor"]["email"]
    assert left == whole
    assert list(left) == list(whole), "in the order that was written"
    body = problem(api.get("fields=id,actr,-hash"), 400, "parameters_invalid")
    errors = [(one["code"], one.get("nearest", [])[:1]) for one in body["errors"]]
    assert errors == [("unknown_value", ["actor"]), ("conflict", [])]
    problem(api.get("fields=id,-hash"), 400, "parameters_invalid")


def test_pages_follow_each_other_by_link_and_may_change_their_look(api: Api) -> None:
    """Limit and fields are no part of what a cursor stands for; filters and order are."""
    whole = [event["id"] for event in api.page()["events"]]
    first = api.get("limit=1&action=app.*&action=member.*&action=zebra.*")
    assert first.headers["Link"].endswith(
        ', <?action=app.%2A&action=member.%2A&action=zebra.%2A&limit=1>; rel="self"'
    )
    target, relation = first.headers["Link"].split(", ")[0].split("; ")
    assert relation == 'rel="next"'
    second = api.page(target.removeprefix("<?").removesuffix(">"))
    assert [one["id"] for one in second["events"]] == whole[1:2]
    cursor = api.page("limit=1")["nextCursor"]
    rest = api.page(f"cursor={cursor}&limit=3&fields=id")
    assert rest["events"] == [{"id": one} for one in whole[1:]]
    assert "next" not in api.get(f"cursor={cursor}").headers["Link"]
    for other in ("order=asc", "q=app", "since=2026-01-01", "colour=red", "result=success"):
        body = problem(api.get(f"{other}&cursor={cursor}"), 400, "parameters_invalid")
        assert [one["parameter"] for one in body["errors"]] == ["cursor"], other
