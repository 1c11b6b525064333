"""A process that was killed is told from one that ended, and from one that has nothing to say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import checkpoint
from agent.archives import Search
from agent.checkpoint import PulseState
from agent.chunk import Sign, Span
from agent.findings import Findings
from agent.follow import Follower
from agent.integrity import Integrity
from agent.settings import AgentSettings
from agent.silence import (
    KEPT_SECONDS,
    Silences,
    is_due,
    is_followed,
    read_sign,
    tell_silence,
)
from agent.sources import SOURCES_LIMIT
from agent.status import Totals
from agent.tail import Tail
from agent.trail import describe
from agent.unreadable import Unreadable
from audit_events import open_log
from audit_events.draft import DraftRules, draft_event
from indelible.agent_status import describe_sources
from indelible.event_table import finding
from indexer.settings import IndexSettings
from tests.agent_loop import Agent
from tests.agent_world import SOURCE
from tests.waiting import wait_until

SILENT = "audit_log.source_silent"
PATHS = ("/var/log/app/*.jsonl",)
PATH = "/var/log/app/audit.jsonl"
ALIVE = PulseState(seq=5, heard=1000, interval_seconds=60, service="s", host="h", path=PATH)


class Files:
    """A follower that has read everything, or has not."""

    def __init__(self, *tails: Tail) -> None:
        self.unreadable = Unreadable()
        self.tails = list(tails)

    def contents(self) -> list[Tail]:
        return self.tails

    def searches(self) -> set[Search]:
        return set()


class Waiting:
    """A file of which something is not settled."""

    path, size, position, settled, descriptor, is_settled = PATH, 10, 10, 0, 3, False
    has_more = False


def waiting() -> Any:
    return Waiting()


@pytest.mark.parametrize(
    ("state", "quiet", "expected"),
    [
        pytest.param(ALIVE, 180, False, id="three intervals"),
        pytest.param(ALIVE, 181, True, id="more"),
        pytest.param(msgspec.structs.replace(ALIVE, is_closed=True), 9999, False, id="closed"),
        pytest.param(msgspec.structs.replace(ALIVE, is_silent=True), 9999, False, id="told"),
        pytest.param(msgspec.structs.replace(ALIVE, interval_seconds=0), 9999, False, id="none"),
    ],
)
def test_when_silence_is_told(state: PulseState, quiet: float, *, expected: bool) -> None:
    assert is_due(state, quiet) is expected


def heard(*spans: tuple[int, int], sign: Sign | None = None) -> Silences:
    silences = Silences({SOURCE: ALIVE}, 0.0)
    for first, last in spans:
        span = Span(SOURCE, first, "")
        span.last = last
        silences.hear(span, 100.0, 2000, PATH)
    if sign is not None:
        silences.note(sign, 100.0, 2000, PATH)
    return silences


def looked(
    silences: Silences,
    begin: float,
    end: float,
    *,
    patterns: tuple[str, ...] = PATHS,
    files: Files | None = None,
) -> list[tuple[str, PulseState]]:
    """What is told by looks that follow each other as those of the loop do, the last at `end`."""
    told: list[tuple[str, PulseState]] = []
    while begin < end:
        told += silences.look(begin, patterns, files or Files())
        begin += 20
    return [*told, *silences.look(end, patterns, files or Files())]


CLOSED = Sign(SOURCE, 6, 0, "s", "h")


@pytest.mark.parametrize(
    ("silences", "counts"),
    [
        pytest.param(heard(), (1, 0), id="alive"),
        pytest.param(heard((6, 6), sign=CLOSED), (0, 1), id="closed"),
        pytest.param(heard((6, 8), sign=CLOSED), (1, 0), id="something came after the last line"),
        pytest.param(
            heard((6, 6), sign=Sign("other", 0, 60, "s", "h")), (2, 0), id="another source"
        ),
    ],
)
def test_how_sources_are(silences: Silences, counts: tuple[int, int]) -> None:
    for pulse in silences._pulses.values():
        pulse.state = msgspec.structs.replace(pulse.state, heard=int(time.time()))
    summary = silences.summarise()
    assert (summary.alive, summary.closed) == counts


def test_silence_is_told_once_and_again_after_it_spoke() -> None:
    silences, files = heard((6, 6)), Files()
    assert looked(silences, 100.0, 280.0) == []
    ((name, state),) = silences.look(280.1, PATHS, files)
    assert (name, state.seq, state.is_silent) == (SOURCE, 6, True)
    assert looked(silences, 300.0, 9999.0) == []
    silences.hear(Span(SOURCE, 7, ""), 10_000.0, 3000, PATH)
    assert looked(silences, 10_000.0, 10_180.0) == []
    assert len(silences.look(10_181.0, PATHS, files)) == 1


def test_events_that_are_read_again_neither_end_a_source_nor_wake_it() -> None:
    assert len(looked(heard((6, 6), (2, 3)), 100.0, 281.0)) == 1
    closed = heard((6, 6), sign=CLOSED)
    closed.hear(Span(SOURCE, 6, ""), 200.0, 2000, PATH)
    assert looked(closed, 200.0, 9999.0) == []
    closed.hear(Span(SOURCE, 7, ""), 10_000.0, 2000, PATH)
    assert len(looked(closed, 10_000.0, 10_181.0)) == 1


def test_a_source_whose_file_is_followed_no_more_is_not_accused() -> None:
    assert looked(heard(), 0.0, 999.0, patterns=("/srv/*.log",)) == []


def test_nothing_is_claimed_while_something_is_not_settled() -> None:
    """A backlog, or a cluster that does not answer: what waits may be its heartbeats."""
    silences, tail = heard(), waiting()
    files = Files(tail)
    assert looked(silences, 0.0, 2000.0, files=files) == []
    silences.hear(Span(SOURCE, 6, ""), 2001.0, 2000, PATH)
    tail.settled, tail.is_settled = 10, True
    assert silences.look(2001.0, PATHS, files) == []


def test_after_a_start_everybody_has_their_time() -> None:
    """However long the agent was away, and whatever its clock says."""
    silences = Silences({SOURCE: ALIVE}, 50_000.0)
    assert looked(silences, 50_000.0, 50_180.0) == []
    assert len(silences.look(50_181.0, PATHS, Files())) == 1


def test_who_stood_still_together_with_the_agent_is_not_accused_for_it() -> None:
    """A machine that is moved, a group of containers that is frozen: an interval of it counts."""
    silences = heard((6, 6))
    assert looked(silences, 100.0, 150.0) == []
    assert looked(silences, 5000.0, 5070.0) == [], "it has had 50, 60 and 70 seconds"
    assert len(looked(silences, 5071.0, 5090.0)) == 1, "and is told if it says nothing now"


@pytest.mark.parametrize(
    ("path", "patterns", "expected"),
    [
        pytest.param(PATH, PATHS, True, id="matched"),
        pytest.param("/var/log/app/audit.jsonl.1", PATHS, True, id="rotated beside"),
        pytest.param("/srv/other.log", PATHS, False, id="let go by a reload"),
        pytest.param("/srv/gone.jsonl", ("/srv/*.jsonl",), True, id="deleted, still awaited"),
        pytest.param("/bad/a.jsonl", ("/bad/*.jsonl",), False, id="unreadable"),
    ],
)
def test_only_what_could_be_heard_is_judged(
    path: str, patterns: tuple[str, ...], *, expected: bool
) -> None:
    files = Files(waiting())
    files.unreadable["/bad/a.jsonl"] = "Permission denied"
    assert is_followed(path, patterns, files) is expected


def test_what_is_remembered_is_bounded() -> None:
    silences = Silences({}, 0.0)
    for number in range(SOURCES_LIMIT + 10):
        silences.note(Sign(f"{number:04}", 0, 60, "s", "h"), 0.0, 1, PATH)
    assert len(silences.states()) == SOURCES_LIMIT
    silences = Silences({"a": msgspec.structs.replace(ALIVE, is_silent=True)}, 0.0)
    assert silences.summarise().silent_count == 0, f"longer ago than {KEPT_SECONDS} s"


def sign_line(path: Path, action: str, context: dict[str, object], organization: str) -> bytes:
    log = open_log(path, service="s", host="h", system=True)
    log.info(action, organization_id=organization, actor={"type": "system"}, context=context)
    return path.read_bytes().splitlines()[-1]


@pytest.mark.parametrize(
    ("action", "context", "organization", "interval"),
    [
        pytest.param("source_heartbeat", {"intervalSeconds": 60}, "_system", 60, id="heartbeat"),
        pytest.param("source_closed", {}, "_system", 0, id="closed"),
        pytest.param("source_heartbeat", {"intervalSeconds": 0}, "_system", None, id="no time"),
        pytest.param("source_heartbeat", {"intervalSeconds": 1e9}, "_system", None, id="too long"),
        pytest.param("source_heartbeat", {"intervalSeconds": "1"}, "_system", None, id="text"),
        pytest.param("source_heartbeat", {}, "_system", None, id="without"),
        pytest.param("source_closed", {}, "o", None, id="of a tenant"),
    ],
)
def test_a_sign_of_life_is_read_of_the_log_itself_alone(
    tmp_path: Path,
    action: str,
    context: dict[str, object],
    organization: str,
    interval: float | None,
) -> None:
    sign = read_sign(sign_line(tmp_path / "a", f"audit_log.{action}", context, organization))
    assert (sign.interval_seconds if sign else None) == interval


def test_a_line_of_another_emitter_is_no_sign() -> None:
    assert read_sign(b'{"action":"audit_log.source_closed","organizationId":"_system"}') is None


def test_the_event_says_who_since_when_and_where() -> None:
    fields = describe(tell_silence(SOURCE, ALIVE), "agent-1")
    assert fields["resource"] == {"type": "source", "id": SOURCE}
    assert fields["context"] == {
        "host": "agent-1",
        "file": PATH,
        "service": "s",
        "sourceHost": "h",
        "lastSeq": 5,
        "intervalSeconds": 60,
        "silentSince": "1970-01-01T00:16:40.000000Z",
    }
    drafted = draft_event(SILENT, fields, DraftRules(system=True, strict=True))
    assert drafted.action == SILENT
    shown = finding(SILENT, msgspec.convert(fields["context"], dict[str, object]))
    assert shown.startswith("s silent behind seq 5\nsince 1970-01-01T00:16:40")


def test_a_host_of_silent_sources_is_a_bounded_number_of_events() -> None:
    waiting = Findings()
    for number in range(1000):
        waiting.add(tell_silence(f"source-{number}", ALIVE))
    assert len(waiting) <= 101
    merged = [describe(one, "agent-1")["context"] for one in waiting if one.sources > 1]
    assert merged == [{"host": "agent-1", "file": PATH, "sources": 900}]
    assert "900 sources silent" in finding(SILENT, msgspec.convert(merged[0], dict[str, object]))


def test_many_that_are_killed_at_once_are_all_told_by_name(tmp_path: Path) -> None:
    """A host whose application has hundreds of processes: who is not named is waited for."""
    names = [f"source-{at}" for at in range(250)]
    loaded = checkpoint.Checkpoint(pulses=dict.fromkeys(names, ALIVE))
    follower = Follower(AgentSettings(paths=PATHS, state_directory=str(tmp_path)), ())
    integrity = Integrity(loaded, tmp_path, follower, Totals(), 0.0, index=IndexSettings())
    told: list[str] = []
    for now in (*range(0, 181, 20), 181, 182, 183, 184):
        integrity.listen(now, ("/**",))
        told += [one.source_id for one in integrity.findings]
        integrity.findings.drop(list(integrity.findings))
    assert sorted(told) == sorted(names)


def test_status_names_the_silent_and_counts_the_rest() -> None:
    now = int(time.time())
    alive = msgspec.structs.replace(ALIVE, heard=now)
    states = {str(number): alive for number in range(3)}
    states["closed"] = msgspec.structs.replace(alive, is_closed=True)
    states["gone"] = msgspec.structs.replace(alive, is_silent=True, service="billing")
    (text,) = describe_sources(Silences(states, 0.0).summarise())
    assert text.startswith("sources: 3 alive, 1 closed, 1 silent; silent since 20")
    assert text.endswith(f"billing on h, {PATH}")
    assert describe_sources(Silences({}, 0.0).summarise()) == []


EMITTER = """
import sys, time, audit_events
audit_events.configure(sys.argv[1], service=sys.argv[2], host="web-1", heartbeat_seconds=1)
audit_events.get_logger().info("member.invited", organization_id="o", actor={"type": "user"})
while sys.stdin.readline(): pass
"""


class Emitter:
    """A real process that recorded one event and waits."""

    def __init__(self, directory: Path, service: str) -> None:
        self.path = directory / f"{service}.log"
        command = [sys.executable, "-c", EMITTER, str(self.path), service]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def end(self) -> None:
        self.process.communicate(timeout=30)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()


def told(agent: Agent) -> list[dict[str, Any]]:
    path = agent.state / "events" / "agent.log"
    lines = path.read_bytes().splitlines() if path.exists() else []
    events = [msgspec.json.decode(line) for line in lines]
    return [event["context"] for event in events if event["action"] == SILENT]


def sources(agent: Agent) -> tuple[int, int, int]:
    shown = agent.board.status
    found = shown.sources if shown else None
    return (found.alive, found.closed, found.silent_count) if found else (0, 0, 0)


def soon(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, what)


@pytest.mark.slow
def test_killed_is_silent_ended_is_closed_and_idle_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.05)
    killed, ended, idle = (Emitter(tmp_path, name) for name in ("killed", "ended", "idle"))
    agent = Agent(tmp_path)
    with agent.running():
        soon(lambda: sources(agent) == (3, 0, 0), "all three are heard")
        killed.kill()
        ended.end()
        soon(lambda: sources(agent) == (1, 1, 1), "one is closed, one is silent")
        soon(lambda: len(told(agent)) == 1, "the event")
    (event,) = told(agent)
    assert (event["service"], event["sourceHost"]) == ("killed", "web-1")
    assert event["file"] == str(killed.path)
    assert agent.pipeline.totals.silent_sources == 1
    assert sum(one.is_silent for one in checkpoint.load(agent.state).pulses.values()) == 1
    again = Agent(tmp_path)
    with again.running():
        soon(lambda: sources(again) == (1, 1, 1), "the same after a restart")
        time.sleep(3.5)
        assert len(told(again)) == 1, "told once"
        assert sources(again) == (1, 1, 1)
    idle.end()


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_makes_nobody_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.05)
    emitter = Emitter(tmp_path, "app")
    agent = Agent(tmp_path)
    with agent.running():
        soon(lambda: sources(agent) == (1, 0, 0), "it is heard")
        agent.sink.gate.clear()
        time.sleep(5)
        agent.sink.gate.set()
        settled = agent.offset()
        soon(lambda: agent.offset() > settled, "what waited is settled")
        assert sources(agent) == (1, 0, 0)
        assert told(agent) == []
    emitter.end()


@pytest.mark.slow
def test_a_stopped_process_is_silent_and_alive_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.05)
    emitter = Emitter(tmp_path, "app")
    agent = Agent(tmp_path)
    with agent.running():
        soon(lambda: sources(agent) == (1, 0, 0), "it is heard")
        os.kill(emitter.process.pid, signal.SIGSTOP)
        soon(lambda: sources(agent) == (0, 0, 1), "it is silent")
        os.kill(emitter.process.pid, signal.SIGCONT)
        soon(lambda: sources(agent) == (1, 0, 0), "it is alive")
        emitter.end()
        soon(lambda: sources(agent) == (0, 1, 0), "it is closed")
    assert len(told(agent)) == 1
