"""The owners' pages: legal holds and the state of the log, each of one organisation alone."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_events.event import decode_event
from audit_events.instant import format_instant
from indexer.hold import OPEN_END, Hold, place, release
from indexer.journal import Journal
from indexer.settings import IndexSettings
from indexer.span import Span
from tests.cluster import Cluster
from tests.webapi_api import OWNER, SETTINGS, Api, store, storeless, write_events
from webapi.listing import Listed
from webapi.owners.holds import place_command, show_holds
from webapi.owners.log_state import arrival_of, partitions_of
from webapi.owners.views import PATH

HOLDS, LOG_STATE = f"{PATH}/legal-holds", f"{PATH}/log-state"
SCRIPT = "<script>alert(1)</script>"
NOW = datetime.now(UTC)
RELEASED_AT = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
INDEX = IndexSettings()


def hold(organization: str, number: int, *, reason: str = "case 7") -> Hold:
    return Hold(
        id=f"019577e0-8000-7000-8000-{number:012d}",
        organization_id=organization,
        since=datetime(2026, 3, 1, tzinfo=UTC),
        until=OPEN_END,
        reason=reason,
        placed_by="ann@acme.example",
        placed_at=NOW,
    )


@dataclass(frozen=True)
class World:
    api: Api
    cluster: Cluster
    index: IndexSettings
    path: Path

    def store(self, events: list[dict[str, Any]], start: datetime) -> None:
        path = self.path / f"{len(list(self.path.iterdir()))}.log"
        lines = write_events(path, events, format_instant(start))
        shipped = format_instant(start + timedelta(seconds=5)).encode()
        lines = [b'%b,"ingestedAt":"%b"}' % (line[:-1], shipped) for line in lines]
        with self.cluster.client("writer") as writer:
            store(writer, self.index, lines)


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[World]:
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(tmp_path / "reads.log"))
    with opensearch.client("reader") as client:
        yield World(Api(client, index, settings), opensearch, index, tmp_path)


@pytest.mark.opensearch
def test_holds_are_those_of_the_organisation_and_of_the_journal(world: World) -> None:
    world.store(
        [
            {"action": "app.created"},
            {
                "action": "audit_log.hold_placed",
                "resource": {"type": "legal_hold", "id": "invented"},
                "context": {
                    "holdId": "invented",
                    "organizationId": "org_a",
                    "from": "2026-03-01T00:00:00.000000Z",
                    "reason": "invented",
                },
            },
        ],
        datetime(2026, 3, 15, tzinfo=UTC),
    )
    with world.cluster.client("lifecycle") as client:
        journal = Journal(client, world.index)
        place(journal, hold("org_a", 1, reason=SCRIPT))
        place(journal, hold("org_a", 2, reason="ended"))
        place(journal, hold("org_b", 3, reason="theirs"))
        release(journal, hold("org_a", 2), by="ann", reason="over", at=RELEASED_AT)
        journal.read(("audit_log.hold_placed",))
    page = world.api.visit(HOLDS)
    assert page.status_code == 200
    active, _, released = page.text.partition("Released</h2>")
    assert "&lt;script&gt;alert(1)" in active
    assert SCRIPT not in page.text
    assert f"indelible hold release {hold('org_a', 1).id} --reason" in active
    assert f"<code>{world.index.prefix}-events-2026.03</code>" in active
    assert "ended" in released
    assert re.findall("over|ann<|2026-11-26 09:30", re.sub("</?bdi>", "", released)) == [
        *("over", "ann<", "2026-11-26 09:30")
    ], "why, who, when"
    assert "ended" not in active
    for absent in ("theirs", "invented", hold("org_b", 3).id):
        assert absent not in page.text


@pytest.mark.opensearch
def test_without_a_journal_there_is_no_hold(world: World) -> None:
    page = world.api.visit(HOLDS)
    assert "There is no active hold" in page.text
    assert "indelible hold add --organization org_a" in page.text


@pytest.mark.opensearch
def test_the_state_of_the_log_counts_the_organisations_own(world: World) -> None:
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    world.store([{"action": "app.created"}] * 3, today)
    world.store([{"action": "app.created", "organization_id": "org_b"}] * 5, today)
    world.store([{"action": "app.created"}], today - timedelta(days=40))
    system: dict[str, Any] = {"organization_id": "_system", "actor": {"type": "system"}}
    told = {"resource": {"type": "source", "id": "secret-host"}, "context": {"host": "secret-host"}}
    gap, silent = "audit_log.gap_detected", "audit_log.source_silent"
    actions = (gap, gap, silent, *["audit_log.gap_closed"] * 3)
    world.store([{"action": action, **system, **told} for action in actions], today)
    verified = {"action": "audit_log.integrity_verified", **system}
    world.store([{**verified, "result": "failure"}, verified], today)
    page = world.api.visit(LOG_STATE)
    text = page.text
    assert '<th scope="row">Events</th><td>4</td>' in text
    assert "40 days ago" in text or "1 month ago" in text
    assert f'<th scope="row">{today:%Y-%m-%d}</th><td>3</td>' in text
    assert "4.5 s in the middle, 5.0 s at most, for the newest 4" in text
    assert '<th scope="row">Gaps found, last 30 days</th><td>2</td>' in text
    assert "closed a gap or part of one, last 30 days</th><td>3</td>" in text
    assert "archived partitions, last 30 days</th><td>2, of which 1 found damage</td>" in text
    assert "secret-host" not in text
    name = f"{world.index.prefix}-events-{today:%Y.%m}"
    assert f"<bdi>{name}</bdi></code></th>" in text
    assert ">open<" in text
    assert "400 days" in text


@pytest.mark.opensearch
def test_an_empty_log_has_a_state_too(world: World) -> None:
    page = world.api.visit(LOG_STATE)
    assert page.status_code == 200
    assert "there is none" in page.text
    assert "archived partitions, last 30 days</th><td>0</td>" in page.text


@pytest.mark.opensearch
def test_looking_at_them_is_recorded(world: World) -> None:
    for path in (HOLDS, LOG_STATE):
        world.api.visit(path)
    lines = (world.path / "reads.log").read_bytes().splitlines()
    filters = [(decode_event(line).context or {})["filters"] for line in lines]
    assert filters == [{"page": ["legal-holds"]}, {"page": ["log-state"]}]


@pytest.mark.parametrize("path", [HOLDS, LOG_STATE])
def test_owners_alone_see_them(path: str) -> None:
    api = storeless()
    assert api.visit(path, None).status_code == 303
    for reader in (replace(OWNER, role="admin"), replace(OWNER, role="member")):
        response = api.visit(path, reader)
        assert response.status_code == 403
        assert "role owner" in response.text
        for_admins = "This page is for owners" in response.text
        assert for_admins == (reader.role == "admin")
        assert for_admins == ("Back to the audit log" in response.text)
        assert for_admins != ("No access to the audit log" in response.text)
    assert api.visit(path, replace(OWNER, plan="free")).status_code == 403


@pytest.mark.opensearch
def test_owners_find_them_and_admins_do_not(world: World) -> None:
    owners = world.api.visit("/settings/access-control/audit-log").text
    admins = world.api.visit(
        "/settings/access-control/audit-log", replace(OWNER, role="admin")
    ).text
    for path in (HOLDS, LOG_STATE):
        assert path in owners
        assert path not in admins


def test_a_command_to_paste_is_one_command() -> None:
    words = shlex.split(place_command("org'; rm -rf / #"))
    assert words[:4] == ["indelible", "hold", "add", "--organization"]
    assert words[4] == "org'; rm -rf / #"
    (shown,) = show_holds([hold("o", 1)], ["audit-events-2026.02", "audit-events-2026.04"], INDEX)
    assert shown.keeps == ("audit-events-2026.04",)
    strange = msgspec.structs.replace(hold("o", 1), id="$(reboot)")
    (shown,) = show_holds([strange], [], INDEX)
    assert shlex.split(shown.release_command)[3] == "$(reboot)"


def test_partitions_come_newest_first() -> None:
    listed = {
        "audit-events-2026.02": Listed("u", write="true"),
        "audit-events-2026.11": Listed("v"),
        "audit-events-odd": Listed("w"),
    }
    found = partitions_of(listed, {"audit-events-2026.02": 7}, INDEX)
    assert [(one.name, one.sealed, one.events) for one in found] == [
        ("audit-events-2026.11", False, 0),
        ("audit-events-2026.02", True, 7),
        ("audit-events-odd", False, 0),
    ]
    assert found[0].span == Span(
        datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    )


def test_a_clock_that_is_ahead_makes_no_event_arrive_before_it_happened() -> None:
    def event(happened: str, shipped: str | None) -> bytes:
        times = {"timestamp": happened, "ingestedAt": shipped}
        return msgspec.json.encode({name: text for name, text in times.items() if text})

    found = arrival_of(
        [
            event("2026-03-15T00:00:10.000000Z", "2026-03-15T00:00:00.000000Z"),
            event("2026-03-15T00:00:00.000000Z", "2026-03-15T00:00:04.000000Z"),
            event("2026-03-15T00:00:00.000000Z", None),
        ]
    )
    assert found is not None
    assert (found.events, found.median_seconds, found.most_seconds) == (2, 2.0, 4.0)
    assert arrival_of([]) is None
