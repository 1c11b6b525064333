"""API tokens: made and revoked by owners, shown once, scoped, ending, and nobody else's."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from opensearchpy import OpenSearch
from werkzeug.test import TestResponse

from audit_events.event import Event, decode_event
from indexer.client import ask, connect
from indexer.names import tokens_name
from indexer.settings import ConnectionSettings, IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import SETTINGS, Api, problem, store, token, write_events
from webapi.api_tokens import MAX_ACTIVE, REVOCATION_SECONDS, ApiTokens
from webapi.audit_log import PATH
from webapi.auth import Reader
from webapi.errors import ConflictError, ProblemError, TokenError
from webapi.export_file import PIECE_EVENTS
from webapi.parts import EXTENSION
from webapi.token_request import TokenRequest
from webapi.token_store import TokenStore
from webapi.token_text import checksum

TOKENS = f"{PATH}/tokens"
ASKED = TokenRequest(name="SIEM", scopes=("read",), expires_in_days=30)
pytestmark = pytest.mark.opensearch


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is set on."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 15, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass(slots=True)
class Scene:
    api: Api
    trail: Path
    index: IndexSettings
    tokens: OpenSearch
    organization: str = field(default_factory=lambda: f"org_{secrets.token_hex(6)}")

    @property
    def reader(self) -> Reader:
        return Reader(
            organization_id=self.organization, role="owner", plan="enterprise", subject="u_1"
        )

    def send(self, method: str, path: str = TOKENS, body: object = None) -> TestResponse:
        """Ask as an owner."""
        return self.api.send(method, path, body, bearer=token(self.organization))

    def listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.send("GET").get_json()["tokens"]
        return listed

    def create(self, **asked: object) -> dict[str, Any]:
        response = self.send("POST", TOKENS, {"name": "SIEM", "scopes": ["read"], **asked})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.get_json()
        return made

    def recorded(self, action: str) -> list[Event]:
        events = [decode_event(line) for line in self.trail.read_bytes().splitlines()]
        return [event for event in events if event.action == action]

    def worker(self, clock: Clock) -> ApiTokens:
        """Another worker's view of the same tokens."""
        keeper = TokenStore(self.tokens, self.index)
        return ApiTokens(keeper, None, now=clock.now, clock=clock.monotonic)


@pytest.fixture(scope="module")
def shared(opensearch: Cluster) -> Iterator[IndexSettings]:
    """One prefix for all of them: each test is an organisation of its own."""
    with opensearch.own_prefix() as settings:
        yield settings


@pytest.fixture
def scene(opensearch: Cluster, shared: IndexSettings, tmp_path: Path) -> Iterator[Scene]:
    trail = tmp_path / "viewed.log"
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(trail))
    with opensearch.client("tokens") as tokens:
        api = Api(opensearch.client("reader"), shared, settings, tokens=tokens)
        yield Scene(api, trail, shared, tokens)


def test_a_token_reads_its_organisation_and_its_reads_are_recorded_as_its_own(
    scene: Scene, opensearch: Cluster, tmp_path: Path
) -> None:
    organizations = (scene.organization, "org_of_others")
    events: list[dict[str, object]] = [
        {"action": "app.created", "organization_id": one} for one in organizations
    ]
    with opensearch.client("writer") as writer:
        store(writer, scene.index, write_events(tmp_path / "e.log", events, "2026-03-15"))
    made = scene.create(expiresInDays=7)
    assert made["token"].startswith("indl_")
    assert (made["name"], made["scopes"], made["createdBy"]) == ("SIEM", ["read"], "u_reader")
    page = scene.api.page(bearer=made["token"])
    assert [event["organizationId"] for event in page["events"]] == [scene.organization]
    (viewed,) = scene.recorded("audit_log.viewed")
    assert (viewed.actor.type, viewed.actor.id, viewed.actor.name) == (
        "api_key", made["id"], "SIEM",
    )  # fmt: skip
    assert viewed.actor.on_behalf_of == "u_reader"


def test_it_is_shown_once_and_only_its_digest_is_kept(scene: Scene) -> None:
    made = scene.create()
    listed = scene.listed()
    assert [one["id"] for one in listed] == [made["id"]]
    assert "token" not in listed[0]
    kept = ask(scene.tokens, "GET", f"/{tokens_name(scene.index)}/_search?size=999").text
    assert made["id"] in kept
    for text in (made["token"], made["token"][25:60]):
        assert text not in kept
        assert text not in scene.trail.read_text("utf-8")


def test_its_last_use_is_known(scene: Scene) -> None:
    made = scene.create()
    assert made["lastUsedAt"] is None
    scene.api.page(bearer=made["token"])
    ask(scene.tokens, "POST", f"/{tokens_name(scene.index)}/_refresh")
    (listed,) = scene.listed()
    assert listed["lastUsedAt"] >= listed["createdAt"]


def test_making_and_revoking_are_events(scene: Scene) -> None:
    made = scene.create()
    path = f"{TOKENS}/{made['id']}"
    assert scene.send("DELETE", path).status_code == 204
    assert scene.send("DELETE", path).status_code == 204, "again is the same"
    (created,) = scene.recorded("audit_log.token_created")
    assert created.resource is not None
    assert (created.resource.id, created.resource.name) == (made["id"], "SIEM")
    assert created.actor.email == "reader@company.com"
    assert scene.recorded("audit_log.token_revoked")[0].actor.id == "u_reader"


def test_a_revoked_token_is_refused_and_that_is_recorded_once(scene: Scene) -> None:
    made = scene.create()
    assert scene.api.get(bearer=made["token"]).status_code == 200
    scene.send("DELETE", f"{TOKENS}/{made['id']}")
    for _ in range(3):
        problem(scene.api.get(bearer=made["token"]), 401, "token_invalid")
    (refused,) = scene.recorded("audit_log.token_refused")
    assert (refused.actor.id, refused.result, refused.context) == (
        made["id"], "denied", {"reason": "revoked"},
    )  # fmt: skip
    (listed,) = scene.listed()
    assert listed["revokedAt"] is not None


def test_another_worker_refuses_a_revoked_token_after_the_stated_time(scene: Scene) -> None:
    made, clock = scene.create(), Clock()
    other = scene.worker(clock)
    assert other.verify(made["token"]).organization_id == scene.organization
    scene.send("DELETE", f"{TOKENS}/{made['id']}")
    clock.seconds = REVOCATION_SECONDS - 0.1
    assert other.verify(made["token"]).subject == made["id"], "it still believes"
    clock.seconds = REVOCATION_SECONDS
    with pytest.raises(TokenError):
        other.verify(made["token"])


def test_an_export_ends_when_its_token_is_revoked(
    scene: Scene, opensearch: Cluster, tmp_path: Path
) -> None:
    many: list[dict[str, object]] = [
        {"action": "app.created", "organization_id": scene.organization}
    ] * (4 * PIECE_EVENTS)
    with opensearch.client("writer") as writer:
        store(writer, scene.index, write_events(tmp_path / "m.log", many, "2026-03-15"))
    made = scene.create(scopes=["export"])
    headers = {"Authorization": f"Bearer {made['token']}"}
    response = scene.api.client.get(f"{PATH}/export", headers=headers, buffered=False)
    pieces = iter(cast("Iterable[bytes]", response.response))
    sent = [next(pieces)]
    scene.send("DELETE", f"{TOKENS}/{made['id']}")
    with pytest.raises(ConnectionResetError):
        sent.extend(pieces)
    response.close()
    assert b"".join(sent).count(b"\n") < len(many)
    assert b'"export":{' not in b"".join(sent)
    states = [(event.context or {})["state"] for event in scene.recorded("audit_log.exported")]
    assert states == ["started", "aborted"]
    assert len(scene.recorded("audit_log.token_refused")) == 1


def test_a_token_ends_by_itself(scene: Scene) -> None:
    clock = Clock()
    worker = scene.worker(clock)
    made = worker.create(scene.reader, ASKED)
    assert worker.verify(made.token).scopes == ("read",)
    clock.seconds = 30 * 86_400
    with pytest.raises(TokenError) as caught:
        worker.verify(made.token)
    assert caught.value.code == "token_expired"


def test_a_secret_that_is_not_the_tokens_own_is_refused(scene: Scene) -> None:
    first, second = scene.create()["token"], scene.create()["token"]
    problem(scene.api.get(bearer=first[:25] + second[25:]), 401, "token_invalid")
    mixed = first[:25] + second[25:68]
    problem(scene.api.get(bearer=mixed + checksum(mixed)), 401, "token_invalid")


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        pytest.param(["read"], PATH, 200, id="the list"),
        pytest.param(["read"], f"{PATH}/actions", 200, id="the catalogue"),
        pytest.param(["export", "stream"], PATH, 403, id="the list without its scope"),
        pytest.param(["read", "export", "stream"], TOKENS, 403, id="the tokens"),
    ],
)
def test_a_token_is_for_its_scopes_alone(
    scene: Scene, scopes: list[str], path: str, status: int
) -> None:
    made = scene.create(scopes=scopes)
    response = scene.api.get(path=path, bearer=made["token"])
    assert response.status_code == status, response.text
    if status == 403:
        problem(response, 403, "scope_not_allowed")
        assert [one.context for one in scene.recorded("audit_log.token_refused")] == [
            {"reason": "scope"}
        ]
        challenge = 'Bearer realm="audit-log", error="insufficient_scope", scope="read"'
        needed = None if path == TOKENS else challenge
        assert response.headers.get("WWW-Authenticate") == needed


def test_a_token_makes_no_tokens(scene: Scene) -> None:
    made = scene.create(scopes=["read", "export", "stream"])
    body = {"name": "more", "scopes": ["read"]}
    problem(scene.api.send("POST", TOKENS, body, bearer=made["token"]), 403, "scope_not_allowed")
    path = f"{TOKENS}/{made['id']}"
    problem(scene.api.send("DELETE", path, bearer=made["token"]), 403, "scope_not_allowed")


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_owners_alone_have_to_do_with_tokens(scene: Scene, role: str) -> None:
    other = token(role=role)
    code = "tokens_not_allowed" if role == "admin" else "role_not_allowed"
    problem(scene.api.get(path=TOKENS, bearer=other), 403, code)
    body = {"name": "x", "scopes": ["read"]}
    problem(scene.api.send("POST", TOKENS, body, bearer=other), 403, code)
    problem(scene.api.send("DELETE", f"{TOKENS}/{'a' * 20}", bearer=other), 403, code)


def test_another_organisations_token_is_as_absent_as_none(scene: Scene) -> None:
    made = scene.create()
    evil = token("org_b")
    assert scene.api.get(path=TOKENS, bearer=evil).get_json() == {"tokens": []}
    theirs = scene.api.send("DELETE", f"{TOKENS}/{made['id']}", bearer=evil)
    nobodys = scene.api.send("DELETE", f"{TOKENS}/{'a' * 20}", bearer=evil)
    problem(theirs, 404, "token_not_found")
    told, of_none = theirs.get_json(), nobodys.get_json()
    assert told.pop("requestId") != of_none.pop("requestId")
    assert told == of_none
    problem(scene.api.send("DELETE", f"{TOKENS}/..%2f..", bearer=evil), 404, "route_not_found")
    problem(scene.api.send("DELETE", f"{TOKENS}/_search", bearer=evil), 404, "token_not_found")
    assert scene.api.get(bearer=made["token"]).status_code == 200, "it was not revoked"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        pytest.param({}, ["name", "scopes"], id="nothing"),
        pytest.param({"name": "x", "scopes": []}, ["scopes"], id="for nothing"),
        pytest.param({"name": "x", "scopes": "read"}, ["scopes"], id="no list"),
        pytest.param({"name": "x", "scopes": ["read", "write"]}, ["scopes"], id="unknown scope"),
        pytest.param({"name": "x", "scopes": [{}]}, ["scopes"], id="a scope that is an object"),
        pytest.param({"name": "\x00", "scopes": ["read"]}, ["name"], id="control characters"),
        pytest.param({"name": "x" * 101, "scopes": ["read"]}, ["name"], id="a long name"),
        pytest.param(
            {"name": "x", "scopes": ["read"], "expiresInDays": 366}, ["expiresInDays"], id="years"
        ),
        pytest.param(
            {"name": "x", "scopes": ["read"], "expiresInDays": True}, ["expiresInDays"], id="true"
        ),
        pytest.param(
            {"name": "x", "scopes": ["read"], "organizationId": "org_b"},
            ["organizationId"],
            id="another organisation",
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    scene: Scene, body: dict[str, object], names: list[str]
) -> None:
    told = problem(scene.send("POST", TOKENS, body), 400, "parameters_invalid")
    assert [error["parameter"] for error in told["errors"]] == names


def test_a_body_that_is_none_is_refused(scene: Scene) -> None:
    def post(data: bytes, **more: object) -> TestResponse:
        headers = {"Authorization": f"Bearer {token()}"}
        return scene.api.client.post(TOKENS, data=data, headers=headers, **more)

    problem(post(b"{}"), 415, "body_not_json")
    problem(post(b"[]", content_type="application/json"), 400, "request_malformed")
    problem(post(b"[" * 9999, content_type="application/json"), 400, "request_malformed")
    problem(post(b"\xff", content_type="application/json"), 400, "request_malformed")
    problem(post(b" " * 99_999, content_type="application/json"), 413, "body_too_large")


def test_there_are_at_most_so_many(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapi.api_tokens.MAX_ACTIVE", 2)
    assert MAX_ACTIVE == 100
    worker = scene.worker(Clock())
    first = worker.create(scene.reader, ASKED)
    worker.create(scene.reader, ASKED)
    with pytest.raises(ConflictError):
        worker.create(scene.reader, ASKED)
    worker.revoke(scene.reader, first.id)
    assert worker.create(scene.reader, ASKED).id
    assert len(worker.listed(scene.reader)) == 3


def test_a_token_whose_making_cannot_be_recorded_is_nobodys(scene: Scene) -> None:
    scene.api.page()
    scene.trail.unlink()
    scene.trail.mkdir()
    body = {"name": "SIEM", "scopes": ["read"]}
    problem(scene.send("POST", TOKENS, body), 503, "audit_unavailable")
    (left,) = scene.listed()
    assert left["revokedAt"] is not None


def test_without_an_answer_of_the_store_no_token_is_believed(scene: Scene) -> None:
    made, clock = scene.create(), Clock()
    with connect(ConnectionSettings(url="http://127.0.0.1:9"), role="tokens") as nowhere:
        worker = scene.worker(clock)
        worker.verify(made["token"])
        worker._store = TokenStore(nowhere, scene.index)
        worker.verify(made["token"])  # for as long as it is remembered
        clock.seconds = REVOCATION_SECONDS
        with pytest.raises(ProblemError) as caught:
            worker.verify(made["token"])
    assert caught.value.code == "tokens_unavailable"


def test_where_nobody_keeps_tokens_there_are_none(opensearch: Cluster, scene: Scene) -> None:
    made = scene.create()
    without = Api(opensearch.client("reader"), scene.index)
    problem(without.get(bearer=made["token"]), 401, "token_invalid")
    problem(without.get(path=TOKENS), 503, "tokens_unavailable")
    assert without.app.extensions[EXTENSION].api_tokens is None
