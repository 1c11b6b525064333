"""When the agent says that it is behind, and that it is no more."""

import time
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agent import checkpoint
from agent.archives import Search
from agent.backlog import DELAY_SECONDS, REPEAT_SECONDS, Backlog
from agent.checkpoint import BacklogState
from agent.findings import Finding
from agent.tail import Tail
from audit_events.instant import parse_instant
from tests.agent_loop import Agent, wait_for, write
from tests.waiting import wait_until

START = 1_800_000_000
STUCK = cast("Search", "an archive that is unpacked for ever")


class Files:
    """Something is there that is never settled, while the test says so."""

    waits = False

    def contents(self) -> list[Tail]:
        return []

    def searches(self) -> set[Search]:
        return {STUCK} if self.waits else set()


def look(backlog: Backlog, second: float) -> Finding | None:
    return backlog.look(second, START + int(second))


def test_what_is_shipped_soon_is_no_backlog() -> None:
    files = Files()
    backlog = Backlog(BacklogState(), files)
    assert look(backlog, 0) is None
    files.waits = True
    assert [look(backlog, second) for second in range(1, DELAY_SECONDS)] == [None] * 4
    files.waits = False
    assert look(backlog, DELAY_SECONDS) is None
    assert backlog.state == BacklogState("", START + 1)


def test_it_is_told_since_when_and_cleared_once() -> None:
    files = Files()
    backlog = Backlog(BacklogState(), files)
    look(backlog, 0)
    files.waits = True
    look(backlog, 1)
    told = look(backlog, 1 + DELAY_SECONDS)
    assert told is not None
    assert (told.kind, parse_instant(told.timestamp).timestamp()) == ("behind", START)
    assert look(backlog, 3 + DELAY_SECONDS) is None
    again = look(backlog, 1 + DELAY_SECONDS + REPEAT_SECONDS)
    assert again is not None
    assert again.backlog == told.backlog
    files.waits = False
    passed = 2 + DELAY_SECONDS + REPEAT_SECONDS
    assert look(backlog, passed) is None, "that one took long; whether the next does, is not known"
    cleared = look(backlog, passed + 1)
    assert cleared is not None
    assert (cleared.kind, cleared.backlog) == ("caught_up", told.backlog)
    assert look(backlog, passed + 2) is None
    assert backlog.state.id == ""


def test_after_a_start_a_backlog_is_told_at_once_and_the_former_is_gone_on_with() -> None:
    files = Files()
    files.waits = True
    away = Backlog(BacklogState("", START - 3600), files)
    told = look(away, 0)
    assert told is not None
    assert parse_instant(told.timestamp).timestamp() == START - 3600
    killed = Backlog(away.state, files)
    again = look(killed, 1)
    assert again is not None
    assert again.backlog == told.backlog
    files.waits = False
    cleared = look(killed, 2)
    assert cleared is not None
    assert cleared.backlog == told.backlog


def test_a_clock_that_jumps_hides_none() -> None:
    files = Files()
    backlog = Backlog(BacklogState("", START + 10**6), files)
    files.waits = True
    assert look(backlog, 0) is None
    told = look(backlog, DELAY_SECONDS)
    assert told is not None
    assert parse_instant(told.timestamp).timestamp() == START, "not what has not come yet"


def test_one_that_ends_by_itself_tells_no_backlog_but_clears_one() -> None:
    files = Files()
    files.waits = True
    backlog = Backlog(BacklogState("told", START - 3600), files)
    assert backlog.look(0, START, tells=False) is None
    files.waits = False
    cleared = backlog.look(1, START, tells=False)
    assert cleared is not None
    assert cleared.kind == "caught_up"


def told_by(agent: Agent) -> list[dict[str, Any]]:
    path = agent.state / "events" / "agent.log"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line) for line in lines]


def test_the_log_tells_of_it_and_the_checkpoint_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.02)
    monkeypatch.setattr("agent.backlog.DELAY_SECONDS", 0.3)
    write(tmp_path / "a.log", 0)
    made = Agent(tmp_path)
    made.pipeline.integrity.backlog = Backlog(BacklogState(), made.pipeline.follower)
    with made.running() as agent:
        wait_for(agent, 0)
        wait_until(lambda: checkpoint.load(agent.state).backlog.settled > 0, "settled is kept")
        agent.sink.gate.clear()
        begun = time.time()
        write(tmp_path / "a.log", 1)
        wait_until(lambda: len(told_by(agent)) == 1, "it is told")
        (event,) = told_by(agent)
        assert event["action"] == "audit_log.backlog_detected"
        assert event["resource"]["type"] == "backlog"
        settled = parse_instant(event["context"]["settledUntil"]).timestamp()
        assert begun - 5 < settled <= begun
        wait_until(
            lambda: checkpoint.load(agent.state).backlog.id == event["resource"]["id"], "and kept"
        )
        agent.sink.gate.set()
        wait_until(lambda: len(told_by(agent)) == 2, "that it is over, too")
    cleared = told_by(agent)[-1]
    assert cleared["action"] == "audit_log.backlog_cleared"
    assert cleared["resource"] == event["resource"]
