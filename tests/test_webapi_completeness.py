"""`/completeness`: what is known to be missing, what may still come, and nothing of any other."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from audit_events.instant import format_instant, parse_instant
from indexer.client import ask
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.faults import Answer, Fault, Faults, Send, connect_through, refused
from tests.webapi_api import OWNER, Api, problem, store, token, write_events
from webapi.audit_log import PATH
from webapi.completeness import judge_window
from webapi.completeness_reading import CompletenessReading, LogView, Placed
from webapi.losses import Loss
from webapi.page.views import PATH as PAGE
from webapi.parts import EXTENSION
from webapi.pulses import Heard

COMPLETENESS = f"{PATH}/completeness"
SYSTEM: dict[str, Any] = {"organization_id": "_system", "actor": {"type": "system"}}
HEARTBEAT = {"action": "audit_log.source_heartbeat", "context": {"intervalSeconds": 60}, **SYSTEM}
CLOSED = {"action": "audit_log.source_closed", **SYSTEM}
NOW = datetime.now(UTC).replace(microsecond=0)
FAR = "2026-03-01T00:00:00.000000Z"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@dataclass
class World:
    """One log, as `/completeness` sees it at `now`."""

    api: Api
    cluster: Cluster
    index: IndexSettings
    path: Path
    now: datetime = NOW

    def record(
        self, events: Sequence[dict[str, Any]], start: datetime, *, lost: Sequence[int] = ()
    ) -> str:
        """Store what a process of its own records, a second apart, but for what is lost."""
        path = self.path / f"{len(list(self.path.iterdir()))}.log"
        # What a source is about is its own business, but for who it is.
        lines = write_events(path, events, format_instant(start))
        with self.cluster.client("writer") as writer:
            store(writer, self.index, [one for at, one in enumerate(lines) if at not in lost])
        return str(msgspec.json.decode(lines[0])["source"]["id"])

    def find(
        self, action: str, when: datetime, resource: str, kind: str = "source", **told: Any
    ) -> None:
        """Store what an agent tells."""
        about = {"type": kind, "id": resource}
        self.record([{"action": action, "resource": about, "context": told, **SYSTEM}], when)

    def ask(self, query: str = "", organization: str = "org_a") -> dict[str, Any]:
        """Ask anew."""
        made = self.api.app.extensions[EXTENSION]
        reading = CompletenessReading(made.reading, self.index, now=lambda: self.now)
        self.api.app.extensions[EXTENSION] = replace(made, completeness_reading=reading)
        answer = self.api.get(query, path=COMPLETENESS, bearer=token(organization))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[World]:
    with opensearch.client("reader") as client:
        yield World(Api(client, index), opensearch, index, tmp_path)


@pytest.mark.opensearch
def test_where_nobody_says_that_it_lives_nothing_is_claimed(world: World) -> None:
    expected: dict[str, Any] = {
        "verdict": "unknown", "since": None, "until": None, "asOf": format_instant(NOW),
        "completeUntil": None, "processes": 0, "lateProcesses": 0, "lateAgents": 0,
        "silentProcesses": 0,
        "losses": [], "lossesTotal": 0, "lossesRelation": "eq",
    }  # fmt: skip
    assert world.ask() == expected, "before there is an index"
    world.record([{"action": "app.created"}], ago(30))
    assert world.ask() == expected


@pytest.mark.opensearch
def test_it_is_complete_up_to_the_oldest_of_the_last_heartbeats(world: World) -> None:
    world.record([HEARTBEAT, {"action": "app.created"}, HEARTBEAT], ago(40))
    world.record([HEARTBEAT], ago(55))
    world.record([HEARTBEAT, CLOSED], ago(4000))
    found = world.ask()
    assert found["verdict"] == "complete"
    assert found["completeUntil"] == format_instant(ago(55))
    assert (found["processes"], found["lateProcesses"], found["silentProcesses"]) == (2, 0, 0)


@pytest.mark.opensearch
def test_a_heartbeat_counts_once_what_stands_before_it_had_time_to_come(world: World) -> None:
    world.record([HEARTBEAT], ago(14))
    assert world.ask()["verdict"] == "unknown"
    world.now = NOW + timedelta(seconds=2)
    assert world.ask()["completeUntil"] == format_instant(ago(14))


@pytest.mark.opensearch
def test_who_should_have_been_heard_may_have_more_to_send(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    world.record([HEARTBEAT], ago(3600))
    found = world.ask()
    assert (found["verdict"], found["lateProcesses"]) == ("lagging", 1)
    assert found["completeUntil"] == format_instant(ago(3600))
    earlier = world.ask(f"until={format_instant(ago(3600))}")
    assert earlier["verdict"] == "complete", "what was before has arrived"


@pytest.mark.opensearch
def test_an_interval_of_its_own_makes_nobody_late(world: World) -> None:
    world.record([{**HEARTBEAT, "context": {"intervalSeconds": 3600}}], ago(7200))
    assert world.ask()["verdict"] == "complete"


@pytest.mark.opensearch
def test_who_fell_silent_has_sent_all_it_had(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    killed = world.record([HEARTBEAT], ago(3600))
    world.find("audit_log.source_silent", ago(3400), killed)
    found = world.ask()
    assert (found["verdict"], found["silentProcesses"]) == ("complete", 1)
    assert found["completeUntil"] == format_instant(ago(20))
    world.now = NOW + timedelta(days=1)
    assert world.ask()["silentProcesses"] == 0, "that is past"


@pytest.mark.opensearch
def test_a_gap_is_between_the_heartbeats_beside_it(world: World) -> None:
    events = [HEARTBEAT, *[{"action": "app.created", "organization_id": "org_b"}] * 3, HEARTBEAT]
    source = world.record(events, ago(500), lost=(1, 3))
    world.record([HEARTBEAT], ago(20))
    context: dict[str, Any] = {
        "events": 2,
        "ranges": ["1", "3"],
        "firstSeq": 1,
        "lastSeq": 3,
        "host": "secret",
    }
    world.find("audit_log.gap_detected", ago(400), source, **context)
    found = world.ask(f"since={format_instant(ago(3600))}")
    assert found["verdict"] == "gaps", "though the process is late, too"
    assert found["losses"] == [
        {
            "kind": "gap",
            "events": 2,
            "after": format_instant(ago(500)),
            "before": format_instant(ago(496)),
            "foundAt": format_instant(ago(400)),
        }
    ]
    for window in (f"until={format_instant(ago(500))}", f"since={format_instant(ago(495))}"):
        assert world.ask(window)["losses"] == []
    assert world.ask(organization="org_c")["lossesTotal"] == 1, "whose they are nobody can say"
    assert "secret" not in msgspec.json.encode(found).decode()
    assert source not in msgspec.json.encode(found).decode()
    closed: dict[str, Any] = {"events": 2, "ranges": ["1", "3"]}
    world.find("audit_log.gap_closed", ago(5), source, **closed)
    assert world.ask()["losses"] == []


@pytest.mark.opensearch
def test_an_export_says_what_was_known_of_its_time(world: World) -> None:
    source = world.record([HEARTBEAT, {"action": "app.created"}, HEARTBEAT], ago(500), lost=(1,))
    world.record([HEARTBEAT], ago(20))
    world.find("audit_log.gap_detected", ago(400), source, events=1, ranges=["1"])
    expected = {"verdict": "gaps", "completeUntil": format_instant(ago(498)), "losses": 1}
    for query in ("", f"around={format_instant(ago(490))}&window=1m"):
        last = world.api.get(query, path=f"{PATH}/export").data.splitlines()[-1]
        assert msgspec.json.decode(last)["export"]["completeness"] == expected
    query = f"until={format_instant(ago(500))}"
    last = world.api.get(query, path=f"{PATH}/export").data.splitlines()[-1]
    told = msgspec.json.decode(last)["export"]["completeness"]
    assert (told["verdict"], told["losses"]) == ("complete", 0)


@pytest.mark.opensearch
def test_neighbours_that_come_later_are_seen(world: World) -> None:
    source = world.record([HEARTBEAT, {"action": "app.created"}], ago(500), lost=(1,))
    world.find("audit_log.gap_detected", ago(400), source, events=1, ranges=["1"])
    made = world.api.app.extensions[EXTENSION]
    reading = CompletenessReading(made.reading, world.index, kept_seconds=0, now=lambda: NOW)
    (before,) = reading.look().losses
    assert (before.after, before.before) == (ago(500), ago(400))
    (line,) = write_events(world.path / "later", [HEARTBEAT], format_instant(ago(450)))
    late = msgspec.json.decode(line)
    late["source"] |= {"id": source, "seq": 2}
    with world.cluster.client("writer") as writer:
        store(writer, world.index, [msgspec.json.encode(late)])
    (after,) = reading.look().losses
    assert after.before == ago(450)


@pytest.mark.opensearch
def test_a_partition_that_is_gone_is_missing_until_it_is_back(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    name = f"{world.index.prefix}-events-2026.03"
    world.find("audit_log.partition_missing", ago(300), name, "partition")
    assert world.ask("until=2026-03-01")["verdict"] == "complete"
    assert world.ask("since=2026-04-01")["verdict"] == "complete", "it ends there"
    march = world.ask("since=2026-03-31&until=2026-04-01")
    assert march["verdict"] == "gaps"
    assert [one["kind"] for one in march["losses"]] == ["partition_missing"]
    assert march["losses"][0]["before"] == "2026-04-01T00:00:00.000000Z"
    world.find("audit_log.partition_restored", ago(200), name, "partition")
    assert world.ask()["verdict"] == "complete"


@pytest.mark.opensearch
def test_tenants_can_tell_nothing_of_the_log(world: World) -> None:
    """Whoever emits for its own organisation makes no finding and no sign of life."""
    own = {"organization_id": "org_a"}
    source = world.record([{**HEARTBEAT, **own}], ago(20))
    gap = {"action": "audit_log.gap_detected", "resource": {"type": "source", "id": source}}
    world.record([{**gap, "context": {"events": 1, "ranges": ["1"]}, **own}], ago(5))
    found = world.ask()
    assert (found["verdict"], found["lossesTotal"]) == ("unknown", 0)


@pytest.mark.opensearch
def test_what_a_foreign_writer_stored_as_the_log_itself_breaks_no_answer(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    own = b'{"timestamp":"2026-11-20T12:00:00Z","organizationId":"_system"'
    begin = own + b',"action":"audit_log.'
    body = b""
    for action in (b"gap_detected", b"gap_closed", b"source_heartbeat", b"source_silent"):
        for rest in (
            b"",
            b',"context":[],"resource":7',
            b',"resource":{"type":"source","id":"s"},"context":{"events":1e300,"ranges":[1]}',
            b',"source":{"id":"s","seq":"x"}',
        ):
            body += b'{"create":{"_index":"%b-events-2026.11"}}\n' % world.index.prefix.encode()
            body += begin + action + b'"' + rest + b"}\n"
    with world.cluster.client("writer") as writer:
        reply = ask(writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
    assert b'"status":201' in reply.text.encode()
    assert world.ask()["verdict"] in {"complete", "gaps"}


@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        pytest.param("since=yesterday", "since", id="no instant"),
        pytest.param("since=2026-03-02&until=2026-03-02", "since", id="an empty window"),
        pytest.param("action=app.created", "action", id="of one action it knows nothing"),
        pytest.param("organizationId=org_b", "organizationId", id="another organisation"),
    ],
)
def test_what_is_asked_wrongly_is_refused(world: World, query: str, parameter: str) -> None:
    answer = world.api.get(query, path=COMPLETENESS)
    assert problem(answer, 400, "parameters_invalid")["errors"][0]["parameter"] == parameter


@pytest.mark.opensearch
def test_where_the_store_does_not_answer_nothing_is_said(
    opensearch: Cluster, index: IndexSettings
) -> None:
    script = Faults(lambda *_: refused)
    with connect_through(opensearch.connection(), script, role="reader") as client:
        answer = Api(client, index).get(path=COMPLETENESS)
    assert answer.status_code == 503
    assert answer.get_json()["code"].startswith("storage_")


@pytest.mark.opensearch
def test_an_agent_that_is_behind_is_waited_for(world: World) -> None:
    """Though all heartbeats are there: they may have passed what came before."""
    world.record([HEARTBEAT], ago(20))
    told = {"host": "secret", "settledUntil": format_instant(ago(900))}
    world.find("audit_log.backlog_detected", ago(60), "b", "backlog", **told)
    found = world.ask()
    assert (found["verdict"], found["lateAgents"], found["lateProcesses"]) == ("lagging", 1, 0)
    assert found["completeUntil"] == format_instant(ago(900))
    assert world.ask(f"until={format_instant(ago(900))}")["verdict"] == "complete"
    world.find("audit_log.backlog_detected", ago(50), "unknown", "backlog", host="secret")
    found = world.ask("until=2026-03-01")
    assert (found["verdict"], found["completeUntil"]) == ("lagging", None), "nobody can say when"
    assert "secret" not in msgspec.json.encode(found).decode()
    for backlog in ("b", "unknown"):
        world.find("audit_log.backlog_cleared", ago(40), backlog, "backlog")
    assert (world.ask()["verdict"], world.ask()["lateAgents"]) == ("complete", 0)


@pytest.mark.opensearch
def test_an_agent_that_is_down_over_a_weekend_is_not_forgotten(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    world.record([HEARTBEAT, CLOSED], ago(3 * 86_400))
    assert world.ask()["verdict"] == "complete"
    world.record([HEARTBEAT], ago(4 * 86_400))
    found = world.ask()
    assert (found["verdict"], found["processes"], found["lateProcesses"]) == ("lagging", 2, 1)
    assert found["completeUntil"] == format_instant(ago(4 * 86_400))
    assert world.ask(f"until={format_instant(ago(4 * 86_400))}")["verdict"] == "complete"
    world.now = NOW + timedelta(days=3, hours=1)
    world.record([HEARTBEAT], world.now - timedelta(seconds=10))
    assert world.ask()["lateProcesses"] == 1, "the one that was heard last before"


@pytest.mark.opensearch
@pytest.mark.parametrize(("hours", "verdict"), [(30, "complete"), (40, "lagging")])
def test_a_process_that_is_seldom_heard_is_late_after_three_intervals(
    world: World, hours: int, verdict: str
) -> None:
    world.record([HEARTBEAT], ago(20))
    world.record([{**HEARTBEAT, "context": {"intervalSeconds": 12 * 3600}}], ago(hours * 3600))
    found = world.ask()
    assert (found["verdict"], found["processes"]) == (verdict, 2)


@pytest.mark.opensearch
def test_a_thousand_processes_that_fell_silent_long_ago_hide_nothing(world: World) -> None:
    world.record([HEARTBEAT], ago(20))
    silent = {"action": "audit_log.source_silent", "resource": {"type": "source", "id": "s"}}
    world.record([{**silent, **SYSTEM}] * 1001, ago(30 * 86_400))
    found = world.ask()
    assert (found["verdict"], found["lossesRelation"]) == ("complete", "eq")


@pytest.mark.opensearch
@pytest.mark.parametrize("fault", ["refused", "slow"])
def test_the_rows_of_the_page_neither_fail_nor_wait_for_what_is_said_beside_them(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, fault: str
) -> None:
    """Such as where an old partition is closed, and for all who look at once."""
    lines = write_events(tmp_path / "a.log", [{"action": "app.created"}], FAR)
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    released = Event()

    def slow(send: Send, body: bytes) -> Answer:
        released.wait(30)
        return send(body)

    def script(_method: str, _path: str, body: bytes) -> Fault | None:
        faults = {"refused": refused, "slow": slow}
        return faults[fault] if b'"_system"' in body else None

    faults = Faults(script)
    with connect_through(opensearch.connection(), faults, role="reader") as client:
        api = Api(client, index)
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as readers:
            pages = list(readers.map(lambda _: api.visit(PAGE, OWNER), range(8)))
        took = time.monotonic() - begun
        released.set()
    assert [one.status_code for one in pages] == [200] * 8
    assert all("Nobody can say just now" in one.text for one in pages)
    assert took < 15, "it was waited for"


@pytest.mark.opensearch
def test_an_export_is_made_where_nobody_can_say_what_is_missing(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "a.log", [{"action": "app.created"}], FAR)
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    script = Faults(lambda _method, _path, body: refused if b'"_system"' in body else None)
    with connect_through(opensearch.connection(), script, role="reader") as client:
        last = Api(client, index).get(path=f"{PATH}/export").data.splitlines()[-1]
    told = msgspec.json.decode(last)["export"]
    assert (told["events"], told["completeness"]["verdict"]) == (1, "unknown")


@pytest.mark.opensearch
def test_one_answer_serves_all_for_some_seconds(world: World) -> None:
    made = world.api.app.extensions[EXTENSION]
    reading = CompletenessReading(made.reading, world.index, kept_seconds=3600)
    first = reading.look()
    world.record([HEARTBEAT], ago(20))
    assert reading.look() is first


def heard(*, is_whole: bool = True) -> Heard:
    return Heard(known=1, live=1, late=0, complete_until=NOW, late_since=None, is_whole=is_whole)


def view(
    losses: int = 0, *, older_before: datetime | None = None, is_whole: bool = True
) -> LogView:
    placed = Placed(Loss(kind="gap", events=1, found_at=NOW), parse_instant(FAR), NOW)
    return LogView(
        as_of=NOW,
        heard=heard(is_whole=is_whole),
        silent_day=0,
        losses=[placed] * losses,
        older_before=older_before,
    )


def test_many_losses_are_counted_and_the_newest_told() -> None:
    found = judge_window(view(250), None, None)
    assert (len(found.losses), found.losses_total, found.losses_relation) == (100, 250, "eq")


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        pytest.param(view(), "complete", id="nothing is missing"),
        pytest.param(view(older_before=NOW), "unknown", id="older findings were not read"),
        pytest.param(view(is_whole=False), "unknown", id="more processes than can be told apart"),
        pytest.param(
            view(1, older_before=NOW), "gaps", id="what is known to be missing comes first"
        ),
    ],
)
def test_what_cannot_be_known_is_not_called_complete(given: LogView, verdict: str) -> None:
    assert judge_window(given, None, None).verdict == verdict


def test_findings_that_were_not_read_lie_before_the_oldest_that_was() -> None:
    given = view(older_before=NOW - timedelta(days=1))
    assert judge_window(given, NOW - timedelta(days=1), None).verdict == "complete"
    assert judge_window(given, NOW - timedelta(days=1, seconds=1), None).verdict == "unknown"


def test_the_millisecond_of_the_heartbeat_behind_a_loss_is_part_of_it() -> None:
    start = NOW + timedelta(microseconds=999)
    assert judge_window(view(1), start, None).verdict == "gaps"
    assert judge_window(view(1), NOW + timedelta(milliseconds=1), None).verdict == "complete"
