"""From what is missing or altered to the one event that tells of it, whatever happens between."""

import errno
import gzip
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import checkpoint
from agent.archives import Search
from agent.checkpoint import Checkpoint
from agent.chunk import Span
from agent.integrity import Integrity
from agent.status import Totals
from agent.tail import Tail
from audit_events import open_log
from audit_events.chain import verify_chain
from indexer.settings import IndexSettings
from tests.agent_loop import Agent, ids, wait_for, write
from tests.agent_world import SOURCE, event_line
from tests.waiting import wait_until

GAP, CLOSED, BROKEN = (
    f"audit_log.{name}" for name in ("gap_detected", "gap_closed", "chain_broken")
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.02)
    monkeypatch.setattr("agent.integrity.GRACE_SECONDS", 0.1)


def told(agent: Agent, action: str) -> list[dict[str, Any]]:
    """What the trail says of one kind."""
    lines = (agent.state / "events" / "agent.log").read_bytes().splitlines()
    events = [msgspec.json.decode(line) for line in lines]
    return [event["context"] | event["resource"] for event in events if event["action"] == action]


def trail_ids(agent: Agent) -> list[str]:
    lines = (agent.state / "events" / "agent.log").read_bytes().splitlines()
    return [msgspec.json.decode(line)["id"] for line in lines]


def once(directory: Path, *, check_chain: bool = False) -> Agent:
    """Run an agent until all that is there is settled."""
    agent = Agent(directory, once=True, check_chain=check_chain)
    agent.thread.start()
    agent.thread.join(60)
    assert not agent.thread.is_alive()
    assert agent.error is None
    return agent


@contextmanager
def full_disk_for_the_trail() -> Generator[None]:
    """Only the trail's file meets it."""
    real = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "agent.log":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", refuse)
        yield


class AllRead:
    """A follower that has read everything."""

    def contents(self) -> list[Tail]:
        return []

    def searches(self) -> set[Search]:
        return set()

    def is_settled(self, _path: Path) -> bool:
        return True


def test_what_is_missing_has_its_grace_to_show_up_elsewhere(tmp_path: Path) -> None:
    follower: Any = AllRead()
    integrity = Integrity(Checkpoint(), tmp_path, follower, Totals(), 0.0, index=IndexSettings())
    told: list[list[str]] = []
    integrity.sources.settle(Span("first", 1, ""), 100.0, 0)
    for now in (109.9, 110.0):
        integrity.look(now, 5.0)
        told.append([finding.source_id for finding in integrity.findings])
        integrity.sources.settle(Span("second", 1, ""), 109.9, 0)
    integrity.look(119.9, 5.0)
    told.append([finding.source_id for finding in integrity.findings])
    assert told == [[], ["first"], ["first", "second"]]


def test_what_stands_in_an_archive_that_is_still_searched_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where to go on in it takes a while to find; what is written now is read meanwhile."""
    path, may_step, step = tmp_path / "a.log", threading.Event(), Search.step
    write(path, *range(20))
    once(tmp_path)
    write(path, *range(20, 30))
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(b"")
    write(path, 30)
    monkeypatch.setattr(Search, "step", lambda one, all_: may_step.is_set() and step(one, all_))
    agent = Agent(tmp_path)
    with agent.running():
        wait_for(agent, 30)
        time.sleep(0.5)
        may_step.set()
        wait_for(agent, 29)
        time.sleep(0.5)
    assert not (agent.state / "events").exists()


def test_a_gap_is_one_event_that_is_shipped_once_and_not_told_again(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    write(tmp_path / "a.log", 0, 1, 5)
    with agent.running():
        wait_until(lambda: len(agent.sink.ids) == 4, "the event of the gap")
    (gap,) = told(agent, GAP)
    assert gap["id"] == SOURCE
    assert (gap["firstSeq"], gap["lastSeq"], gap["events"]) == (2, 4, 3)
    assert (gap["file"], gap["offset"]) == (str(tmp_path / "a.log"), 0)
    assert agent.sink.ids == [*ids(0, 1, 5), *trail_ids(agent)]
    assert checkpoint.load(agent.state).findings == ()
    again = once(tmp_path)
    assert again.sink.ids == []
    assert len(told(again, GAP)) == 1


def test_once_tells_what_is_missing_before_it_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 0, 5)
    agent = once(tmp_path)
    assert agent.sink.ids == [*ids(0, 5), *trail_ids(agent)]
    assert len(told(agent, GAP)) == 1
    assert agent.pipeline.totals.gaps == 1
    assert agent.pipeline.totals.missing_events == 4


@pytest.mark.slow
def test_where_a_gap_was_noticed_is_in_the_event(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    agent = Agent(tmp_path)
    with agent.running():
        write(path, 0, 1)
        wait_until(lambda: agent.offset() == path.stat().st_size, "the checkpoint")
        offset = path.stat().st_size
        write(path, 3)
        wait_until(lambda: len(agent.sink.ids) == 4, "the event of the gap")
    assert [gap["offset"] for gap in told(agent, GAP)] == [offset]


def test_a_full_disk_keeps_the_gap_in_the_checkpoint_until_it_can_be_recorded(
    tmp_path: Path,
) -> None:
    agent = Agent(tmp_path)
    write(tmp_path / "a.log", 0, 5)
    with full_disk_for_the_trail(), agent.running():
        wait_until(lambda: bool(agent.pipeline.integrity.trail.problem), "the problem")
        wait_until(lambda: agent.board.status is not None
                   and "No space left" in agent.board.status.trail_problem, "is shown")  # fmt: skip
        write(tmp_path / "a.log", 6)
        wait_until(lambda: agent.sink.ids == ids(0, 5, 6), "and holds nothing up")
    (finding,) = checkpoint.load(agent.state).findings
    assert (finding.kind, finding.first, finding.last) == ("gap", 1, 4)
    again = once(tmp_path)
    assert again.sink.ids == trail_ids(again)
    assert len(told(again, GAP)) == 1
    assert checkpoint.load(agent.state).findings == ()


@pytest.mark.slow
def test_nothing_is_recorded_that_no_checkpoint_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a crash could leave a gap that is told, and closes without a word."""
    agent = Agent(tmp_path)
    full = threading.Event()
    real = checkpoint.save

    def save(directory: Path, content: checkpoint.Checkpoint) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(directory, content)

    monkeypatch.setattr(checkpoint, "save", save)
    with agent.running():
        write(tmp_path / "a.log", 0)
        wait_until(lambda: agent.offset() > 0, "the first line")
        full.set()
        write(tmp_path / "a.log", 5)
        wait_until(lambda: len(agent.pipeline.integrity.findings) == 1, "the gap is found")
        time.sleep(0.3)
        assert not (agent.state / "events").exists()
        full.clear()
        wait_until(lambda: len(agent.sink.ids) == 3, "and recorded")
    assert len(told(agent, GAP)) == 1


def test_a_crash_between_the_event_and_the_checkpoint_tells_it_twice_and_never_not_at_all(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.log", 0, 5)
    agent = Agent(tmp_path)
    with full_disk_for_the_trail(), agent.running():
        wait_until(lambda: bool(agent.pipeline.integrity.trail.problem), "the problem")
    before = tmp_path / "before"
    shutil.copytree(agent.state, before)
    once(tmp_path)
    for path in before.glob("checkpoint.*"):
        shutil.copy(path, agent.state)
    again = once(tmp_path)
    assert len(told(again, GAP)) == 2
    assert set(trail_ids(again)) == set(again.sink.ids), "all of the trail, as it was not settled"


def test_a_range_that_arrives_after_all_closes_the_gap(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 0, 5)
    once(tmp_path)
    write(tmp_path / "restored.log", 1, 2, 3)
    agent = once(tmp_path)
    (closed,) = told(agent, CLOSED)
    assert (closed["id"], closed["ranges"], closed["events"]) == (SOURCE, ["1-3"], 3)
    assert closed["file"] == str(tmp_path / "restored.log")
    assert agent.pipeline.totals.closed_events == 3
    assert agent.pipeline.totals.gaps == 0


@pytest.mark.slow
def test_a_flood_of_gaps_is_a_few_events_that_count_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one source, and in many sources of one file."""
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 1.0)
    write(tmp_path / "a.log", *range(0, 20_000, 2))
    lines = [
        event_line(20_000 + number, seq=3, source=f"{number:08x}-0000-7000-8000-0000000000bb")
        for number in range(1000)
    ]
    (tmp_path / "many.log").write_bytes(b"\n".join(lines) + b"\n")
    agent = once(tmp_path)
    gaps = told(agent, GAP)
    assert len(gaps) < 400
    assert sum(gap["events"] for gap in gaps) == 9999 + 3000
    assert agent.pipeline.totals.missing_events == 9999 + 3000
    assert all(len(gap.get("ranges", ())) <= 32 for gap in gaps)


def emit(path: Path, count: int) -> list[bytes]:
    log = open_log(path, service="s")
    for number in range(count):
        log.info(
            "member.invited", organization_id="o1", actor={"type": "system"}, context={"n": number}
        )
    return path.read_bytes().splitlines()


def test_a_tampered_event_is_shipped_and_told_of(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = emit(path, 5)
    path.write_bytes(b"\n".join(lines).replace(b'"n":2', b'"n":9') + b"\n")
    agent = once(tmp_path, check_chain=True)
    assert len(agent.sink.ids) == 6
    (broken,) = told(agent, BROKEN)
    assert (broken["ranges"], broken["events"]) == (["2"], 1)
    assert broken["offset"] == path.read_bytes().index(lines[2][:30], len(lines[0]) * 2)
    assert agent.pipeline.totals.chain_breaks == 1


def test_a_file_of_broken_lines_is_a_few_events_with_counts(tmp_path: Path) -> None:
    """A million of them would otherwise be a million events more."""
    path = tmp_path / "a.log"
    lines = emit(path, 3000)
    path.write_bytes(b"\n".join(lines).replace(b'"member.invited"', b'"member.removed"') + b"\n")
    agent = once(tmp_path, check_chain=True)
    broken = told(agent, BROKEN)
    assert len(broken) <= 20
    assert sum(one["events"] for one in broken) == 3000
    assert agent.pipeline.totals.chain_breaks == 3000
    assert {one["id"] for one in broken} == {msgspec.json.decode(lines[0])["source"]["id"]}


def test_a_break_that_a_checkpoint_is_past_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = emit(path, 5)
    path.write_bytes(b"\n".join(lines).replace(b'"n":2', b'"n":9') + b"\n")
    agent = Agent(tmp_path, check_chain=True)
    with full_disk_for_the_trail(), agent.running():
        wait_until(lambda: agent.offset() == path.stat().st_size, "the checkpoint")
    assert [one.kind for one in checkpoint.load(agent.state).findings] == ["break"]
    again = once(tmp_path, check_chain=True)
    assert again.sink.ids == trail_ids(again), "nothing else is sent again"
    assert len(told(again, BROKEN)) == 1


@pytest.mark.slow
def test_a_gap_in_the_trail_itself_is_told_once_and_it_is_quiet_then(tmp_path: Path) -> None:
    """Who removes the record of a gap leaves a gap; and telling of that one makes no other."""
    agent = Agent(tmp_path)
    with agent.running():
        for number in (0, 5, 10, 15):
            write(tmp_path / "a.log", number)
            wait_until(lambda n=number: len(agent.sink.ids) == 1 + 2 * (n // 5), "told")  # type: ignore[misc]
    trail = agent.state / "events" / "agent.log"
    lines = trail.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    # As if the second one had been removed before it was read.
    for path in agent.state.glob("checkpoint*"):
        path.unlink()
    trail.write_bytes(lines[0] + lines[2])
    again = Agent(tmp_path)
    with again.running():
        wait_until(lambda: len(told(again, GAP)) == 4, "it is told, with what is told again")
        sent = len(again.sink.ids)
        wait_until(lambda: len(again.sink.ids) >= sent + 1 or sent == 8, "shipped")
    about = Counter(gap["id"] for gap in told(again, GAP))
    own = msgspec.json.decode(lines[0])["source"]["id"]
    assert about == {SOURCE: 3, own: 1}
    last = once(tmp_path)
    assert len(told(last, GAP)) == 4, "no event about the events about it"


def test_the_agents_own_events_are_a_whole_chain(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 0, 5)
    agent = once(tmp_path, check_chain=True)
    write(tmp_path / "a.log", 9)
    agent = once(tmp_path, check_chain=True)
    assert agent.pipeline.totals.chain_breaks == 0
    assert verify_chain((agent.state / "events" / "agent.log").read_bytes().splitlines()) == []


@pytest.mark.slow
def test_the_trail_is_rotated_and_nothing_of_it_is_lost_or_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files at most, and each event of them has been shipped before it goes."""
    monkeypatch.setattr("agent.trail.FILE_BYTES", 1500)
    agent = Agent(tmp_path, rotated_grace_seconds=0.2)
    names: set[str] = set()
    with agent.running():
        for number in range(20):
            write(tmp_path / "a.log", 2 * number + 1)
            wait_until(lambda n=number: len(agent.sink.ids) == 2 * n + 2, "told and shipped")  # type: ignore[misc]
            names |= {path.name for path in (agent.state / "events").iterdir()}
    assert names == {"agent.log", "agent.log.1"}
    assert len(set(agent.sink.ids)) == len(agent.sink.ids) == 40
    assert sum(path.stat().st_size for path in (agent.state / "events").iterdir()) < 5000
    assert agent.pipeline.totals.gaps == 20
    again = once(tmp_path)
    assert again.sink.ids == []
