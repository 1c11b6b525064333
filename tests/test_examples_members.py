"""The example: each change leaves exactly one event that says who did what to whom, from where."""

import json
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.contextvars import bind_contextvars
from werkzeug.serving import make_server

import audit_events
from audit_events.chain import verify_chain
from examples.members import traffic
from examples.members.application import create_app
from examples.members.directory import Directory
from examples.members.invitations import expire_invitations
from examples.members.people import ORGANIZATIONS
from tests.written import read_events

NORTHWIND, TIDEWATER = ORGANIZATIONS
OWNER, ADMIN, MEMBER = (NORTHWIND.people[place] for place in (0, 1, 3))
ANY_ROLE = "one of owner, admin, member"
NAME = "Zoë's \u202eapp\n"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    path = tmp_path / "events" / "members.log"
    audit_events.configure(path, service="members")
    return path


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    directory.close()


@pytest.fixture
def app(log_path: Path, directory: Directory) -> Flask:
    assert log_path.exists()
    return create_app(directory, trusted_proxies=1)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def headers(email: str = OWNER.email) -> dict[str, str]:
    return {"X-Demo-User": email, "User-Agent": AGENT, "X-Forwarded-For": "203.0.113.7"}


def organization(client: FlaskClient, email: str = OWNER.email) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = client.get("/organization", headers=headers(email)).get_json()
    return shown


def test_an_event_says_who_did_what_to_whom_from_where(client: FlaskClient, log_path: Path) -> None:
    answer = client.patch(
        f"/members/{MEMBER.id}",
        json={"role": "admin"},
        headers={**headers(), "X-Request-Id": "request-0001"},
    )
    assert answer.status_code == 200
    (event,) = read_events(log_path)
    assert event.action == "member.role_changed"
    assert event.organization_id == NORTHWIND.id
    assert event.actor == audit_events.Actor(
        type="user", id=OWNER.id, email=OWNER.email, name=OWNER.name
    )
    assert event.target_user is not None
    assert event.target_user.email == MEMBER.email
    assert event.resource == audit_events.Resource(type="member", id=MEMBER.id, name=MEMBER.name)
    assert event.context == {
        "previous": {"role": "member"},
        "new": {"role": "admin"},
        "peerAddress": "127.0.0.1",
    }
    assert (event.ip_address, event.user_agent) == ("203.0.113.7", AGENT)
    assert (event.correlation_id, event.result) == ("request-0001", "success")


def test_each_change_leaves_one_event(client: FlaskClient, log_path: Path) -> None:
    workspace = organization(client)["workspaces"][0]["id"]
    app_id = organization(client)["apps"][0]["id"]
    by_owner = {"headers": headers()}
    invitation = client.post(
        "/invitations", json={"email": "ines@northwind.example", "role": "member"}, **by_owner
    ).get_json()["id"]
    joined = client.post(f"/invitations/{invitation}/accept", json={"name": "Ines"}).get_json()
    spare = client.post(
        "/invitations", json={"email": "noah@northwind.example", "role": "admin"}, **by_owner
    ).get_json()["id"]
    client.delete(f"/invitations/{spare}", **by_owner)
    client.put(f"/workspaces/{workspace}/members/{joined['id']}", **by_owner)
    client.delete(f"/workspaces/{workspace}/members/{joined['id']}", **by_owner)
    client.post(f"/members/{joined['id']}/offboard", json={"reason": "left"}, **by_owner)
    client.post(f"/members/{joined['id']}/reactivate", **by_owner)
    client.post("/apps", json={"name": "Shift Planner"}, **by_owner)
    client.post(f"/apps/{app_id}/publish", headers={"X-Demo-Key": NORTHWIND.deploy_key})
    client.delete(f"/apps/{app_id}", **by_owner)
    written = read_events(log_path)
    assert [event.action for event in written] == [
        "member.invited",
        "member.invite_accepted",
        "member.invited",
        "member.invite_revoked",
        "workspace_member.added",
        "workspace_member.removed",
        "member.offboarded",
        "member.reactivated",
        "app.created",
        "app.published",
        "app.deleted",
    ]
    assert {event.result for event in written} == {"success"}
    assert written[1].actor.email == "ines@northwind.example"
    assert written[9].actor.type == "api_key"
    assert not verify_chain(log_path.read_bytes().splitlines())


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt at another role, and what becomes of it."""

    email: str
    role: str
    status: int
    result: str
    reason: str


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(
            Refused(MEMBER.email, "owner", 403, "denied", "only owner and admin may do this"),
            id="a member who wants to be owner",
        ),
        pytest.param(
            Refused(ADMIN.email, "member", 409, "failure", "is member already"),
            id="a role that is there already",
        ),
        pytest.param(
            Refused(ADMIN.email, "emperor", 409, "failure", f"no such role: expected {ANY_ROLE}"),
            id="a role that does not exist",
        ),
    ],
)
def test_what_is_refused_is_recorded_and_changes_nothing(
    client: FlaskClient, log_path: Path, refused: Refused
) -> None:
    before = organization(client)
    path, body = f"/members/{MEMBER.id}", {"role": refused.role}
    answer = client.patch(path, json=body, headers=headers(refused.email))
    assert answer.status_code == refused.status
    (event,) = read_events(log_path)
    assert (event.action, event.result) == ("member.role_changed", refused.result)
    assert event.context == {
        "previous": {"role": MEMBER.role},
        "new": {"role": refused.role},
        "reason": refused.reason,
        "peerAddress": "127.0.0.1",
    }
    assert event.actor.email == refused.email
    assert organization(client) == before


def test_an_invitation_in_vain_says_whom_it_was_for(client: FlaskClient, log_path: Path) -> None:
    body = {"email": MEMBER.email, "role": "admin"}
    assert client.post("/invitations", json=body, headers=headers()).status_code == 409
    (event,) = read_events(log_path)
    assert (event.action, event.result) == ("member.invited", "failure")
    assert event.target_user is not None
    assert event.target_user.email == MEMBER.email
    assert event.context is not None
    assert event.context["new"] == {"role": "admin"}


def test_the_last_owner_stays(client: FlaskClient, log_path: Path) -> None:
    answer = client.patch(
        f"/members/{OWNER.id}", json={"role": "member"}, headers=headers(ADMIN.email)
    )
    assert answer.status_code == 409
    assert read_events(log_path)[0].result == "failure"


@pytest.mark.parametrize(
    ("email", "member_id", "status"),
    [
        pytest.param("", MEMBER.id, 401, id="nobody"),
        pytest.param("x@y.example", MEMBER.id, 401, id="a stranger"),
        pytest.param(TIDEWATER.people[0].email, MEMBER.id, 404, id="another organisation's owner"),
        pytest.param(OWNER.email, "1", 404, id="no UUID"),
    ],
)
def test_who_is_not_of_the_organisation_leaves_no_event(
    client: FlaskClient, log_path: Path, email: str, member_id: str, status: int
) -> None:
    path = f"/members/{member_id}"
    answer = client.patch(path, json={"role": "admin"}, headers={"X-Demo-User": email})
    assert answer.status_code == status
    assert read_events(log_path) == []


def test_a_change_that_cannot_be_recorded_is_undone(
    client: FlaskClient, log_path: Path, directory: Directory
) -> None:
    log_path.unlink()
    log_path.mkdir()
    answer = client.patch(f"/members/{MEMBER.id}", json={"role": "admin"}, headers=headers())
    assert answer.status_code == 503
    assert directory.member(NORTHWIND.id, MEMBER.id).role == "member"


def test_one_request_knows_nothing_of_the_one_before(client: FlaskClient, log_path: Path) -> None:
    client.post(f"/members/{MEMBER.id}/reactivate", headers=headers())
    client.post(
        f"/members/{MEMBER.id}/offboard", json={"reason": "x"}, headers=headers(ADMIN.email)
    )
    first, second = read_events(log_path)
    assert first.correlation_id != second.correlation_id
    assert (first.actor.email, second.actor.email) == (OWNER.email, ADMIN.email)


def test_invitations_expire_by_the_system(log_path: Path, directory: Directory) -> None:
    with directory.changing():
        invitation = directory.invite(TIDEWATER.id, "new@tidewater.example", "member")
    # As in a process that serves requests: what the last one bound is none of the job's business.
    bind_contextvars(ip_address="203.0.113.7", user_agent=AGENT, actor={"type": "user", "id": "u"})
    at = invitation.created_seconds
    assert expire_invitations(directory, 60, now_seconds=at + 59) == 0
    assert expire_invitations(directory, 60, now_seconds=at + 61) == 1
    assert expire_invitations(directory, 60, now_seconds=at + 62) == 0
    (event,) = read_events(log_path)
    assert event.actor == audit_events.Actor(type="system")
    assert event.action == "member.invite_expired"
    assert event.organization_id == TIDEWATER.id
    assert (event.ip_address, event.user_agent) == (None, None)


@pytest.mark.parametrize(
    ("trusted_proxies", "address"),
    [pytest.param(0, "127.0.0.1", id="by default"), pytest.param(1, "203.0.113.7", id="ours")],
)
def test_a_header_counts_when_a_proxy_of_ours_wrote_it(
    trusted_proxies: int, address: str, log_path: Path, directory: Directory
) -> None:
    app = create_app(directory, trusted_proxies=trusted_proxies)
    forwarded = {**headers(), "X-Forwarded-For": "198.51.100.66, 203.0.113.7"}
    app.test_client().post("/apps", json={"name": "Shift Planner"}, headers=forwarded)
    assert [event.ip_address for event in read_events(log_path)] == [address]


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_traffic_is_plausible_and_stays_within_bounds(url: str, log_path: Path) -> None:
    client, dice = traffic.Client(url), random.Random(7)  # noqa: S311  # people, not keys
    for _ in range(200):
        view = client.look(dice.choice(ORGANIZATIONS))
        assert len(view.active()) <= traffic.MOST_MEMBERS
        assert view.active("owner")
        client.send(traffic.choose_step(view, dice))
    written = read_events(log_path)
    assert len(written) == 200
    assert {event.organization_id for event in written} == {one.id for one in ORGANIZATIONS}
    assert {event.result for event in written} == {"success", "failure", "denied"}
    assert len({event.action for event in written}) >= 10
    assert sum(event.action == "member.role_changed" for event in written) >= 5
    assert all(event.ip_address and event.user_agent for event in written)
    assert {event.action for event in written} <= set(audit_events.CATALOGUE)
    assert not verify_chain(log_path.read_bytes().splitlines())


def test_steps_come_at_once_and_then_as_people_do() -> None:
    waits = traffic.pauses(3, 2.0, random.Random(1))  # noqa: S311  # as above
    first = [next(waits) for _ in range(3)]
    later = [next(waits) for _ in range(500)]
    assert first == [0.0, 0.0, 0.0]
    assert 0.3 < sum(later) / len(later) < 0.7
    assert max(later) <= 2.5


def test_lines_of_the_example_are_json_objects(client: FlaskClient, log_path: Path) -> None:
    client.post("/apps", json={"name": NAME}, headers=headers())
    (line,) = log_path.read_text("utf-8").splitlines()
    assert json.loads(line)["resource"]["name"] == NAME
