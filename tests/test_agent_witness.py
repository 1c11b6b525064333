"""What was stored once and is stored no more is told by who shipped it, once."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import checkpoint
from agent.pipeline import Pipeline
from agent.witness import LIMIT, LOOK_SECONDS, Witness
from audit_events.instant import format_instant, parse_instant
from indexer.bulk import Settlement, StoredEvent
from indexer.client import ask
from indexer.errors import Interrupted
from indexer.names import late_name, partition_name
from indexer.settings import IndexSettings
from tests.agent_loop import Agent, wait_for, write
from tests.agent_process import AgentHome
from tests.agent_world import event_id
from tests.cluster import Cluster
from tests.lines import batch_of, event_line, instant
from tests.waiting import wait_until

INDEX = IndexSettings(partition="day", seal_days=7)
TODAY = "2026-11-30T12:00:00.000000Z"
GONE = "audit_log.event_missing"


def stored(batch_size: int, dead: int = 0) -> Settlement:
    return Settlement(created=batch_size - dead, duplicates=0, dead=dead, retries=0)


def event(number: int, timestamp: str = TODAY) -> StoredEvent:
    return StoredEvent(event_id(number), timestamp)


def witness(*known: StoredEvent) -> Witness:
    by_partition = {partition_name(one.timestamp, INDEX): one for one in known}
    return Witness(by_partition, INDEX, 0.0, lambda: TODAY)


def note(of: Witness, *events: StoredEvent, dead: int = 0) -> None:
    lines = [event_line(event_id=one.id, timestamp=one.timestamp) for one in events]
    of.note(batch_of(INDEX, lines), stored(len(events), dead))


def asked(of: Witness, now: float, answer: Sequence[StoredEvent] = ()) -> list[StoredEvent] | None:
    """Return what was asked for, None if nothing was; the answer is then in."""
    questions: list[list[StoredEvent]] = []

    def missing(events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        questions.append(list(events))
        return answer

    of.look(now, missing)
    of.wait(20)
    return questions[0] if questions else None


def test_the_last_event_of_what_was_stored_last_is_asked_for() -> None:
    of = witness()
    yesterday = event(3, "2026-11-29T12:00:00.000000Z")
    note(of, event(1), event(2))
    note(of, event(4), yesterday)
    assert asked(of, 0.0) == [yesterday, event(2)]


def test_a_batch_of_which_something_was_refused_proves_nothing() -> None:
    of = witness()
    note(of, event(1), event(2), dead=1)
    of.note(batch_of(INDEX, []), stored(0))
    assert of.states() == {}


def test_what_may_be_sealed_by_now_is_the_lifecycles() -> None:
    first = event(1, "2026-11-23T00:00:00.000000Z")
    due = event(2, "2026-11-22T23:59:59.999999Z")
    of = witness(first, due)
    assert asked(of, 0.0) == [first]
    assert list(of.states().values()) == [first]


@pytest.mark.parametrize(
    "changed", [IndexSettings(partition="month"), IndexSettings(partition="day", prefix="other")]
)
def test_what_other_settings_lay_elsewhere_is_let_go(changed: IndexSettings) -> None:
    of = Witness(witness(event(1)).states(), changed, 0.0, lambda: TODAY)
    assert asked(of, 0.0) is None


def test_it_is_bounded_whatever_the_clock_says() -> None:
    of = witness()
    start = parse_instant("2030-01-01T00:00:00.000000Z")
    for day in range(2 * LIMIT):
        note(of, event(day, format_instant(start + timedelta(days=day))))
    assert [one.id for one in of.states().values()] == [
        event_id(day) for day in range(LIMIT, 2 * LIMIT)
    ]


def test_it_asks_at_once_and_then_now_and_then() -> None:
    of = witness(event(1))
    assert asked(of, 0.0) == [event(1)]
    assert asked(of, LOOK_SECONDS - 1) is None
    assert asked(of, LOOK_SECONDS) == [event(1)]


def test_nobody_asks_while_another_question_waits() -> None:
    of, gate, calls = witness(event(1)), threading.Event(), 0

    def missing(events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        nonlocal calls
        calls += 1
        assert gate.wait(20)
        return events

    of.look(0.0, missing)
    of.look(LOOK_SECONDS, missing)
    assert (calls, of.take()) == (1, {})
    gate.set()
    of.wait(20)
    assert list(of.take().values()) == [event(1)]


def test_what_is_missing_is_told_once_and_what_was_stored_since_stays_known() -> None:
    other = event(2, "2026-11-29T12:00:00.000000Z")
    of = witness(event(1), other)
    asked(of, 0.0, [event(1), other])
    note(of, event(3))
    assert set(of.take().values()) == {event(1), other}
    assert list(of.states().values()) == [event(3)]
    assert of.take() == {}


def test_a_stop_while_it_asks_tells_nothing() -> None:
    def missing(_events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        raise Interrupted

    of = witness(event(1))
    of.look(0.0, missing)
    of.wait(20)
    assert of.take() == {}
    assert list(of.states().values()) == [event(1)]


# The loop, with a sink of the test's own.


@pytest.fixture
def _timeless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.witness.due_before", lambda _now, _settings: "2026-01")
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.02)


def told(state: Path) -> list[dict[str, Any]]:
    path = state / "events" / "agent.log"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [one for one in map(msgspec.json.decode, lines) if one["action"] == GONE]


def run_once(directory: Path, *deleted: int) -> Agent:
    agent = Agent(directory, once=True)
    agent.sink.deleted = {event_id(number) for number in deleted}
    agent.thread.start()
    agent.thread.join(60)
    assert not agent.thread.is_alive()
    assert agent.error is None
    return agent


@pytest.mark.usefixtures("_timeless")
def test_an_agent_that_starts_asks_for_what_it_shipped_before(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 0, 1, 2)
    run_once(tmp_path)
    assert run_once(tmp_path, 0, 1).pipeline.totals.stored_missing == 0
    found = run_once(tmp_path, 2)
    (one,) = told(found.state)
    assert (one["organizationId"], one["resource"]) == (
        "_system",
        {"type": "partition", "id": "audit-events-2026.11"},
    )
    assert one["context"]["eventId"] == event_id(2)
    assert one["context"]["eventTimestamp"].startswith("2026-11-23")
    assert one["context"]["host"]
    assert one["id"] in found.sink.ids, "it is shipped before the end"
    run_once(tmp_path, 2)
    assert len(told(found.state)) == 1


@pytest.mark.usefixtures("_timeless")
def test_a_running_agent_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.witness.LOOK_SECONDS", 0.05)
    with Agent(tmp_path).running() as agent:
        write(tmp_path / "a.log", 0)
        wait_for(agent, 0)
        with agent.sink.lock:
            agent.sink.deleted.add(event_id(0))
        wait_until(lambda: bool(told(agent.state)), "it is told")
        wait_until(lambda: told(agent.state)[0]["id"] in agent.sink.ids, "it is shipped")


@pytest.mark.usefixtures("_timeless")
def test_what_was_found_survives_a_crash_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", 0)
    run_once(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "_record", lambda _self: False)
        state = run_once(tmp_path, 0).state
    assert told(state) == []
    assert [one.event_id for one in checkpoint.load(state).findings] == [event_id(0)]
    run_once(tmp_path)
    assert len(told(state)) == 1


# On the real node.


@pytest.fixture
def home(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> AgentHome:
    return AgentHome(tmp_path, opensearch, index)


def of_system(home: AgentHome) -> list[dict[str, Any]]:
    """What is stored of it, whatever state the late index is in."""
    pattern = f"{home.index.prefix}-events-*"
    with home.cluster.client("lifecycle") as lifecycle:
        lifecycle.indices.refresh(index=pattern)
    body = {"query": {"term": {"action": GONE}}}
    with home.cluster.client("reader") as reader:
        found = reader.search(index=pattern, body=body)["hits"]["hits"]
    return [one["_source"] for one in found]


def emptied(home: AgentHome, name: str) -> None:
    """Put an empty index in the place of a partition."""
    with home.cluster.admin() as admin:
        assert ask(admin, "DELETE", f"/{name}").status == 200
        assert ask(admin, "PUT", f"/{name}").status == 200


def deleted(home: AgentHome, name: str) -> None:
    with home.cluster.admin() as admin:
        assert ask(admin, "DELETE", f"/{name}").status == 200


@pytest.mark.opensearch
@pytest.mark.parametrize("attack", [deleted, emptied])
def test_a_partition_that_somebody_takes_away_before_its_seal_is_told(
    home: AgentHome, attack: Callable[[AgentHome, str], None]
) -> None:
    """No journal has it yet, and no gap in a `seq` is left of what is gone as a whole."""
    home.emit(5)
    home.once()
    name = partition_name(instant(), home.index)
    attack(home, name)
    home.once()
    (one,) = of_system(home)
    assert one["resource"] == {"type": "partition", "id": name}
    assert one["context"]["eventId"] in home.written
    home.once()
    assert len(of_system(home)) == 1


@pytest.mark.opensearch
def test_what_lies_elsewhere_or_cannot_be_asked_for_is_not_missing(
    home: AgentHome, index: IndexSettings
) -> None:
    home.emit(3)
    home.once()
    name, other = (of(instant(), index) for of in (partition_name, late_name))
    moved = msgspec.json.encode(
        {"source": {"index": name}, "dest": {"index": other, "op_type": "create"}}
    )
    with home.cluster.admin() as admin:
        assert ask(admin, "POST", f"/{name}/_refresh").status == 200
        copied = ask(admin, "POST", "/_reindex", body=moved)
        assert '"created":3' in copied.text, copied.text
        deleted(home, name)
        home.once()
        assert ask(admin, "POST", f"/{other}/_close").status == 200
        home.once()
        assert ask(admin, "POST", f"/{other}/_open").status == 200
    assert of_system(home) == []
