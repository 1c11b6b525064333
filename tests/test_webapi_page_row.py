"""One event as a row of the page."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.event import Actor
from tests.webapi_api import write_events
from webapi.page.row import Person, alike, read_row, who

UUID = "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10"
STANDS_AT = datetime(2026, 3, 15, tzinfo=UTC)
PLACE = {"type": "app", "id": "7"}
CASES = [
    pytest.param(
        {"actor": {"type": "user", "id": "u_1", "email": "a@b.example"}},
        ("Same actor", [("actorId", "u_1")]),
        id="an actor by its id, as an address may have been another's",
    ),
    pytest.param(
        {"actor": {"type": "user", "email": "a@b.example"}},
        ("Same actor", [("actorEmail", "a@b.example")]),
        id="an actor without an id by its address",
    ),
    pytest.param(
        {"resource": PLACE},
        ("Same resource", [("resourceType", "app"), ("resourceId", "7")]),
        id="a resource by type and id: another type's 7 is another thing",
    ),
    pytest.param(
        {"target_user": {"id": UUID}},
        ("Same target user", [("targetUserId", UUID)]),
        id="a target user by its id",
    ),
    pytest.param(
        {"target_user": {"id": 'u "2"'}},
        ("Same target user", [("q", 'target.id:"u \\"2\\""')]),
        id="a target user whose id is no UUID in the search",
    ),
    pytest.param(
        {"target_user": {"email": "a@b.example"}},
        ("Same target user", [("q", 'target.email:"a@b.example"')]),
        id="a target user who is invited, and has no id yet, by the address",
    ),
]


@pytest.mark.parametrize(("event", "way"), CASES)
def test_what_is_alike_is_asked_for_exactly(
    tmp_path: Path, event: dict[str, Any], way: tuple[str, list[tuple[str, str]]]
) -> None:
    (line,) = write_events(tmp_path / "e", [{"action": "app.moved", **event}], "2026-03-15")
    assert way in alike(read_row(line, CATALOGUE, STANDS_AT))


def test_what_an_event_has_not_is_no_way(tmp_path: Path) -> None:
    event = {"action": "app.moved", "actor": {"type": "system"}}
    (line,) = write_events(tmp_path / "e", [event], "2026-03-15")
    assert alike(read_row(line, CATALOGUE, STANDS_AT)) == []


@pytest.mark.parametrize(
    ("actor", "detail"),
    [
        (Actor(type="system"), ""),
        (Actor(type="system", id="nightly-billing"), "nightly-billing"),
        (Actor(type="system", id="job_7", name="Billing"), "Billing"),
        (Actor(type="system", name="Billing", on_behalf_of="u_7"), "Billing · for u_7"),
    ],
)
def test_of_what_nobody_did_is_said_which_part_of_the_system_did_it(
    actor: Actor, detail: str
) -> None:
    assert who(actor) == Person("System", detail)


@pytest.mark.parametrize(
    ("ingested_at", "shipped"),
    [
        ("2026-03-16T09:30:00.000000Z", "2026-03-16T09:30:00+00:00"),
        (None, None),
        ("yesterday", None),
        ("9999-12-31T23:59:59.000000Z", None),
    ],
)
def test_a_row_says_when_its_event_was_shipped(
    tmp_path: Path, ingested_at: str | None, shipped: str | None
) -> None:
    (line,) = write_events(tmp_path / "e", [{"action": "app.moved"}], "2026-03-15")
    if ingested_at is not None:
        line = line.rstrip(b"\n}") + b',"ingestedAt":"%s"}' % ingested_at.encode()
    found = read_row(line, CATALOGUE, STANDS_AT).shipped
    assert (found and found.isoformat()) == shipped


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"id":null,"timestamp":"2026-03-15T09:00:00.000000Z","action":"app.moved"}',
        b'{"id":"%s","timestamp":["2026-03-15T09:00:00.000000Z"],"action":5}' % UUID.encode(),
    ],
)
def test_what_is_no_event_is_a_row_without_ways(line: bytes) -> None:
    found = read_row(line, CATALOGUE, STANDS_AT)
    assert (found.is_event, found.title, found.id) == (False, "Not an event", "")
    assert (found.instant, found.timestamp) == (STANDS_AT, "2026-03-15T00:00:00.000000Z")
    assert json.loads(found.raw) == json.loads(line)
    assert alike(found) == []
