"""`/heads`: each organisation's share of what was sealed, provable, and nothing of any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc.jwk import OKPKey

from audit_events.chain import encode_hash
from audit_events.event import decode_event
from indexer.client import ask
from indexer.head import OrganizationHeads, check, is_proven, order, share_leaf
from indexer.journal import Journal
from indexer.names import journal_name
from indexer.settings import IndexSettings
from indexer.tree import rows_of
from tests.cluster import Cluster
from tests.faults import Fault, Faults, altered, connect_through, instead, late, refused
from tests.sealed_log import KEY, SealedLog, shares_of
from tests.webapi_api import SETTINGS, Api, problem, session_cookie, token
from webapi.audit_log import PATH
from webapi.head_reading import HeadPart, HeadReading
from webapi.heads import MAX_LIMIT, write_document
from webapi.page.views import PATH as PAGE
from webapi.parts import EXTENSION

pytestmark = pytest.mark.opensearch

HEADS = f"{PATH}/heads"
PUBLIC = OKPKey.import_key(KEY.as_dict(private=False))


@pytest.fixture
def log(opensearch: Cluster, index: IndexSettings) -> SealedLog:
    return SealedLog(opensearch, index)


@pytest.fixture
def api(log: SealedLog) -> Api:
    return Api(log.cluster.client("reader"), log.index)


def asked(api: Api, query: str = "", organization: str = "org_a") -> dict[str, Any]:
    answer = api.get(query, path=HEADS, bearer=token(organization))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def numbers(api: Api, query: str = "") -> list[int]:
    return [check(one["head"], [PUBLIC]).number for one in asked(api, query)["heads"]]


def read_at_most(log: SealedLog, api: Api, read_shares: int) -> None:
    """Let a page end after so many shares."""
    made = api.app.extensions[EXTENSION]
    client = log.cluster.client("reader")
    reading = HeadReading(client, made.storage, log.index, read_shares=read_shares)
    api.app.extensions[EXTENSION] = replace(made, head_reading=reading)


def test_each_organisation_gets_its_own_share_and_can_prove_it(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 3, "org_b": 5, "org_ü": 1, None: 2}, "2026.09")
    log.seal({"org_b": 7, "org_c": 1}, "2026.10")
    shown: dict[str, list[int | None]] = {"org_a": [3, None], "org_b": [5, 7], "org_ü": [1, None]}
    for organization, counts in shown.items():
        answer = api.get(path=HEADS, bearer=token(organization))
        document = msgspec.json.decode(answer.data, type=OrganizationHeads)
        assert document.organization_id == organization
        for number, one in enumerate(document.heads):
            assert one.head == log.heads[number]
            head = check(one.head, [PUBLIC])
            partition = log.name(("2026.09", "2026.10")[number])
            assert (head.number, head.partition) == (number + 1, partition)
            assert (one.share and one.share.events) == counts[number]
            assert one.share is None or is_proven(head, organization, one.share)


def test_what_an_answer_holds_and_of_others_hashes_alone(log: SealedLog, api: Api) -> None:
    """A sibling's hash tells nothing: in it is the root of a tree that nobody else can compute."""
    counts: dict[str | None, int] = {f"org_{letter}": 1000 + ord(letter) for letter in "abcdefg"}
    log.seal({**counts, None: 9}, "2026.10")
    (shares,) = log.shares
    answer = api.get(path=HEADS, bearer=token("org_d"))
    assert set(answer.get_json()) == {"organizationId", "heads", "nextAfter"}
    (one,) = answer.get_json()["heads"]
    assert set(one) == {"head", "share"}
    assert set(one["share"]) == {"events", "root", "index", "path"}
    assert (one["share"]["events"], one["share"]["index"]) == (1100, 3)
    others = [other for other in order(shares) if other != "org_d"]
    for other in others:
        assert f'"{other}"' not in answer.text
        assert shares[other].root not in answer.text
    leaves = [share_leaf(other, shares[other]) for other in order(shares)]
    rows = rows_of(leaves)
    beside, pair, half = leaves[2], rows[1][:32], rows[2][32:]
    assert one["share"]["path"] == [encode_hash(hash_) for hash_ in (beside, pair, half)]
    head = check(one["head"], [PUBLIC])
    assert set(msgspec.structs.asdict(head)) == {
        "number", "previous", "partition", "index_uuid", "events", "first", "last", "sha256",
        "organizations", "root", "sealed_at", "retention_days",
    }, "of the whole partition; who adds a member asks what it tells of others"  # fmt: skip


def test_before_anything_was_sealed_there_are_none(log: SealedLog, api: Api) -> None:
    nothing: dict[str, object] = {"organizationId": "org_a", "heads": [], "nextAfter": None}
    assert asked(api) == nothing
    with log.cluster.client("lifecycle") as lifecycle:
        Journal(lifecycle, log.index).prepare()
    assert asked(api) == nothing


def test_what_was_sealed_without_a_key_is_left_out(log: SealedLog, api: Api) -> None:
    log.record(log.name("2026.08"), shares_of({"org_a": 1}), "")
    assert asked(api)["heads"] == []
    log.seal({"org_a": 1}, "2026.09")
    assert numbers(api) == [1]


def test_a_partition_without_any_event_has_a_head_and_no_share(log: SealedLog, api: Api) -> None:
    log.seal({}, "2026.10")
    (one,) = asked(api)["heads"]
    assert (one["head"], one["share"]) == (log.heads[0], None)


def test_a_window_asks_for_the_partitions_that_meet_it(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 1}, "2026.09")
    log.seal({"org_a": 1}, "2026.10.05")
    log.seal({"org_a": 1}, "2026.10.06")
    log.seal({"org_a": 1}, "2026.09", kind="late")
    for window, found in {
        "": [1, 2, 3, 4],
        "since=2026-10-01": [2, 3],
        "since=2026-09-30T23:59:59.999999Z": [1, 2, 3, 4],
        "until=2026-10-06": [1, 2, 4],
        "since=2026-10-05T12:00:00Z&until=2026-10-06T00:00:01Z": [2, 3],
        "since=2027-01-01": [],
        "since=2026-10-05&after=2": [3],
    }.items():
        assert numbers(api, window) == found, window


def test_pages_follow_each_other_by_number(log: SealedLog, api: Api) -> None:
    for day in range(1, 8):
        log.seal({"org_a": day, "org_b": 1}, f"2026.10.0{day}")
    found = asked(api, "limit=3")
    assert found["nextAfter"] == 3
    assert numbers(api, "limit=3&after=3") == [4, 5, 6]
    last = asked(api, "limit=3&after=6")
    assert (len(last["heads"]), last["nextAfter"]) == (1, None)
    assert asked(api, "limit=7")["nextAfter"] is None
    assert asked(api, "after=7") == {"organizationId": "org_a", "heads": [], "nextAfter": None}


def test_a_page_ends_when_many_shares_were_read_for_it(log: SealedLog, api: Api) -> None:
    for day in range(1, 6):
        log.seal({f"org_{letter}": day for letter in "abc"}, f"2026.10.0{day}")
    read_at_most(log, api, 6)
    first = asked(api)
    assert (len(first["heads"]), first["nextAfter"]) == (2, 2)
    assert numbers(api, "after=2") == [3, 4]
    assert numbers(api) == [1, 2, 3, 4, 5], "what is kept costs nothing"
    read_at_most(log, api, 0)
    assert numbers(api, "after=4") == [5], "a page has one at least"


def test_no_page_hides_that_two_heads_have_one_number(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 1}, "2026.09")
    fork = shares_of({"org_a": 2})
    log.record(log.name("2026.10"), fork, log.sign(log.name("2026.10"), fork))
    log.seal({"org_a": 3}, "2026.11")
    log.seal({"org_a": 3}, "2026.12")
    assert numbers(api, "limit=2") == [1, 2, 2]
    assert asked(api, "limit=2")["nextAfter"] == 2
    assert numbers(api, "after=2") == [3]


def test_what_never_changes_is_read_once_and_what_is_new_is_seen_at_once(log: SealedLog) -> None:
    counted = Faults(lambda _method, _path, _body: None)
    client = connect_through(log.cluster.connection(), counted, role="reader")
    api = Api(client, log.index)
    log.seal({"org_a": 1, "org_b": 2}, "2026.09")
    log.seal({"org_a": 1, "org_b": 2}, "2026.10")
    assert numbers(api) == [1, 2]
    before = sum(counted.requests.values())
    assert asked(api, organization="org_b")["heads"][1]["share"]["events"] == 2
    assert sum(counted.requests.values()) - before == 1, "is there anything new"
    log.seal({"org_a": 4}, "2026.11")
    before = sum(counted.requests.values())
    assert numbers(api) == [1, 2, 3]
    assert sum(counted.requests.values()) - before == 4, "new, which, its shares, nothing newer"


@pytest.mark.parametrize("wrong", ["garbage", "of another partition", "of other shares", "twice"])
def test_what_does_not_fit_is_an_error_and_no_answer(log: SealedLog, api: Api, wrong: str) -> None:
    log.seal({"org_a": 1}, "2026.09")
    name, shares = log.name("2026.10"), shares_of({"org_a": 2})
    if wrong == "garbage":
        log.record(name, shares, "e30.e30.e30")
    elif wrong == "of another partition":
        log.record(name, shares, log.sign(log.name("2026.12"), shares))
    elif wrong == "of other shares":
        log.record(name, shares, log.sign(name, shares_of({"org_a": 3})))
    else:
        log.seal({"org_a": 2}, "2026.10")
        with log.cluster.client("lifecycle") as lifecycle:
            hits = lifecycle.search(index=journal_name(log.index), size=9)["hits"]["hits"]
            (seal,) = [hit for hit in hits if hit["_source"]["resource"]["id"] == name]
            forged = {**seal["_source"], "id": "01a22e97-3310-777a-af02-493ff70c2849"}
            path = f"/{journal_name(log.index)}/_create/forged"
            assert ask(lifecycle, "PUT", path, body=msgspec.json.encode(forged)).status == 201
        log.refresh()
    problem(api.get(path=HEADS), 500, "internal_error")
    assert numbers(api, "until=2026-10-01") == [1], "what is asked beside it is answered"


def test_a_closed_journal_is_missed_aloud(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 1}, "2026.09")
    with log.cluster.admin() as admin:
        assert ask(admin, "POST", f"/{journal_name(log.index)}/_close").status == 200
    answer = api.get(path=HEADS)
    problem(answer, 503, "storage_incomplete")
    assert "Retry-After" in answer.headers


NO_SHARD = '{"error":{"type":"search_phase_execution_exception","reason":"x"},"status":503}'
TROUBLES = [
    pytest.param(
        altered('"failed":0', '"failed":1'), 503, "storage_incomplete", id="a failed shard"
    ),
    pytest.param(
        altered('"timed_out":false', '"timed_out":true'), 503, "storage_incomplete", id="cut"
    ),
    pytest.param(instead(503, NO_SHARD), 503, "storage_incomplete", id="no shard could answer"),
    pytest.param(instead(429, '{"error":{"type":"x"}}'), 503, "storage_unavailable", id="overload"),
    pytest.param(instead(502, "<html>"), 503, "storage_unavailable", id="a proxy's page"),
    pytest.param(instead(404, "{}"), 503, "storage_incomplete", id="gone meanwhile"),
    pytest.param(instead(403, "{}"), 500, "internal_error", id="no role"),
    pytest.param(altered('"hits":{', '"h":{'), 500, "internal_error", id="no hits"),
    pytest.param(refused, 503, "storage_unavailable", id="no answer"),
    pytest.param(late, 504, "storage_timeout", id="no answer in time"),
]


@pytest.mark.parametrize(("trouble", "status", "code"), TROUBLES)
@pytest.mark.parametrize("which", [0, 1], ids=["the heads", "the shares"])
def test_trouble_while_the_journal_is_read_is_never_half_an_answer(
    log: SealedLog, trouble: Fault, status: int, code: str, which: int
) -> None:
    log.seal({"org_a": 1}, "2026.09")
    log.seal({"org_a": 1}, "2026.10")
    journal = f"/{journal_name(log.index)}/_search"
    turns = iter([*[None] * which, trouble])
    faults = Faults(lambda _method, path, _body: next(turns, None) if path == journal else None)
    api = Api(connect_through(log.cluster.connection(), faults, role="reader"), log.index)
    answer = api.get(path=HEADS)
    problem(answer, status, code)
    assert ("Retry-After" in answer.headers) == (status != 500)
    assert numbers(api) == [1, 2], "nothing of it is kept"


def test_who_may_read_the_log_may_have_the_heads(log: SealedLog) -> None:
    settings = msgspec.structs.replace(SETTINGS, auditor_roles=("auditor",))
    api = Api(log.cluster.client("reader"), log.index, settings)
    for role, status in {"owner": 200, "admin": 200, "auditor": 200, "member": 403}.items():
        assert api.get(path=HEADS, bearer=token(role=role)).status_code == status, role
    problem(api.get(path=HEADS, bearer=token(plan="free")), 403, "plan_not_allowed")
    problem(api.get(path=HEADS, bearer=None), 401, "token_missing")


def test_api_tokens_need_the_scope_of_reading(log: SealedLog) -> None:
    tokens = log.cluster.client("tokens")
    api = Api(log.cluster.client("reader"), log.index, tokens=tokens)
    found = {
        scope: api.send("POST", f"{PATH}/tokens", {"name": scope, "scopes": [scope]}).get_json()
        for scope in ("read", "export")
    }
    assert api.get(path=HEADS, bearer=found["read"]["token"]).status_code == 200
    problem(api.get(path=HEADS, bearer=found["export"]["token"]), 403, "scope_not_allowed")


def test_it_is_recorded_as_a_read(log: SealedLog, tmp_path: Path) -> None:
    trail = tmp_path / "trail.log"
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(trail))
    api = Api(log.cluster.client("reader"), log.index, settings)
    log.seal({"org_a": 1}, "2026.09")
    asked(api, "since=2026-09-01")
    api.sign_in()
    assert api.client.get(f"{PAGE}/heads").status_code == 200
    events = [decode_event(line) for line in trail.read_bytes().splitlines()]
    viewed = [one.context or {} for one in events if one.action == "audit_log.viewed"]
    assert [one["route"] for one in viewed] == [HEADS, f"{PAGE}/heads"]
    assert (viewed[0]["filters"], viewed[0]["events"]) == ({"since": ["2026-09-01"]}, 0)


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        (f"limit={MAX_LIMIT + 1}", "limit", "out_of_range"),
        ("after=-1", "after", "out_of_range"),
        ("after=x", "after", "invalid"),
        ("since=2026-10-02&until=2026-10-02", "since", "conflict"),
        ("organizationId=org_b", "organizationId", "unknown_parameter"),
        ("action=app.created", "action", "unknown_parameter"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    api: Api, query: str, parameter: str, code: str
) -> None:
    body = problem(api.get(query, path=HEADS), 400, "parameters_invalid")
    assert [(one["parameter"], one["code"]) for one in body["errors"]] == [(parameter, code)]


def test_the_page_has_all_of_them_as_one_file(log: SealedLog, api: Api) -> None:
    for day in range(1, 6):
        log.seal({"org_a": day, "org_b": 1}, f"2026.10.0{day}")
    read_at_most(log, api, 2)
    api.sign_in()
    with api.client.get(f"{PAGE}/heads") as answer:
        data = answer.data
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    name = answer.headers["Content-Disposition"]
    assert name.startswith('attachment; filename="audit-log-heads-org_a-')
    assert name.endswith('.json"')
    document = msgspec.json.decode(data, type=OrganizationHeads)
    assert document.organization_id == "org_a"
    assert [one.head for one in document.heads] == log.heads
    for one in document.heads:
        assert one.share is not None
        assert is_proven(check(one.head, [PUBLIC]), "org_a", one.share)
    assert api.client.get(f"{PAGE}/heads").status_code == 200, "it gave its place back"


def test_where_there_are_none_the_page_says_so(api: Api) -> None:
    answer = api.visit(f"{PAGE}/heads")
    assert answer.status_code == 404
    assert "There are no signed heads yet" in answer.text
    assert "when it is sealed" in answer.text
    assert api.visit(f"{PAGE}/heads?since=2026-01-01").status_code == 400
    away = api.visit(f"{PAGE}/heads", None)
    assert away.headers["Location"].startswith("/sign-in?next=")


def test_a_file_that_cannot_be_whole_has_no_end(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 1}, "2026.09")
    log.record(log.name("2026.10"), shares_of({"org_a": 2}), log.sign(log.name("2026.10"), {}))
    read_at_most(log, api, 0)
    api.app.testing = True
    name, value = session_cookie()
    browser = api.app.test_client()
    browser.set_cookie(name, value)
    for _ in range(2):
        with browser.get(f"{PAGE}/heads", buffered=False) as answer:
            assert answer.status_code == 200
            pieces: list[bytes] = []
            with pytest.raises(Exception, match="internal_error"):
                pieces.extend(answer.iter_encoded())
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(b"".join(pieces))


def test_only_some_files_are_written_at_once(log: SealedLog, api: Api) -> None:
    log.seal({"org_a": 1}, "2026.09")
    exports = api.app.extensions[EXTENSION].exports
    assert exports.begin("org_a")
    answer = api.visit(f"{PAGE}/heads")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    exports.end("org_a")
    assert api.visit(f"{PAGE}/heads").status_code == 200


def test_a_document_of_no_heads_is_one_too() -> None:
    written = b"".join(write_document('org "a"', iter([HeadPart([], None)])))
    assert msgspec.json.decode(written, type=OrganizationHeads) == OrganizationHeads('org "a"', ())
