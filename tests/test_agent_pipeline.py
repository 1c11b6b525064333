"""The loop: backpressure, what is settled when, and how it ends. Its sink is the test's own."""

import errno
import gzip
import os
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import checkpoint, status
from agent.errors import SenderError
from tests.agent_loop import LINE_BYTES, Agent, ids, wait_for, write
from tests.waiting import wait_until


@pytest.mark.slow
def test_what_is_written_arrives_and_the_checkpoint_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    agent = Agent(tmp_path)
    with agent.running():
        for number in range(20):
            write(path, number)
            wait_for(agent, number)
        wait_until(lambda: agent.offset() == path.stat().st_size, "checkpoint")
    assert agent.sink.ids == ids(*range(20))


def test_changes_are_found_by_the_poll_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 23."""
    agent = Agent(tmp_path)
    monkeypatch.setattr(agent.pipeline._watch, "start", lambda: None)
    with agent.running():
        for number in range(3):
            write(tmp_path / f"{number}.log", number)
            wait_for(agent, number)


@pytest.mark.slow
def test_backpressure_bounds_what_is_held_in_memory(tmp_path: Path) -> None:
    agent = Agent(tmp_path, batch_events=100, requests_in_flight=3)
    agent.sink.gate.clear()
    for number in range(10):
        write(tmp_path / f"{number}.log", *range(number * 1000, number * 1000 + 1000))
    with agent.running():
        wait_until(lambda: len(agent.sink.waiting) == 3, "three in flight")
        time.sleep(0.2)
        most = "one read beyond what is in flight"
        assert agent.pipeline.loader.counters.lines <= 1000 + 3 * 100, most
        assert len(agent.sink.waiting) == 3
        time.sleep(0.2)
        assert agent.pipeline.loader.counters.lines <= 1000 + 3 * 100, most
        assert agent.offset() == 0
        agent.sink.gate.set()
        wait_until(lambda: len(agent.sink.ids) == 10_000, "all of it")
    assert sorted(agent.sink.ids) == ids(*range(10_000))


@pytest.mark.slow
def test_it_ends_in_time_when_nothing_comes_back_and_the_rest_stays(tmp_path: Path) -> None:
    """Scenario 25: a slow server; SIGTERM sets `stop`."""
    agent = Agent(tmp_path, shutdown_seconds=0.3)
    agent.sink.gate.clear()
    write(tmp_path / "a.log", *range(10))
    agent.thread.start()
    wait_until(lambda: bool(agent.sink.waiting), "in flight")
    start = time.monotonic()
    with capture_logs() as logs:
        agent.stop.set()
        agent.thread.join(60)
    assert not agent.thread.is_alive()
    (told,) = [one for one in logs if one["event"] == "agent_stopping"]
    assert (told["batches_in_flight"], told["waits_seconds"]) == (1, 0.3)
    assert "nothing is lost" in told["hint"]
    assert time.monotonic() - start >= 0.3
    assert agent.error is None
    assert agent.offset() == 0
    again = Agent(tmp_path, once=True)
    with again.running():
        again.thread.join(60)
    assert again.sink.ids == ids(*range(10))


def test_it_settles_what_is_in_flight_before_it_ends(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.sink.gate.clear()
    write(tmp_path / "a.log", *range(10))
    with agent.running():
        wait_until(lambda: bool(agent.sink.waiting), "in flight")
        agent.stop.set()
        wait_until(
            lambda: agent.board.status and agent.board.status.state == "stopping", "reads no more"
        )
        write(tmp_path / "a.log", 10)
        agent.sink.gate.set()
    assert agent.offset() == 10 * LINE_BYTES
    report = status.read(agent.state)
    assert report is not None
    assert report.state == "stopped"


@pytest.mark.slow
def test_once_tells_of_an_archive_without_an_end_however_young_it_is(tmp_path: Path) -> None:
    """`cp half.log.gz logs/; indelible agent --once` must not end as if all of it were shipped."""
    write(tmp_path / "a", *range(400))
    packed = gzip.compress((tmp_path / "a").read_bytes())
    archive = tmp_path / "half.log.gz"
    archive.write_bytes(packed[: len(packed) // 2])
    agent = Agent(tmp_path, once=True)
    with agent.running():
        agent.thread.join(60)
        assert not agent.thread.is_alive()
    assert agent.pipeline.follower.unreadable == {str(archive): "incomplete archive"}
    assert 0 < len(agent.sink.ids) < 400


def test_once_ends_when_all_that_is_there_is_settled(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.log", number)
    agent = Agent(tmp_path, once=True)
    agent.thread.start()
    agent.thread.join(60)
    assert sorted(agent.sink.ids) == ids(*range(5))
    again = Agent(tmp_path, once=True)
    again.thread.start()
    again.thread.join(60)
    assert again.sink.ids == []


def test_a_sender_that_fails_ends_the_agent_and_nothing_of_it_counts(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.sink.error = RuntimeError("a defect")
    write(tmp_path / "a.log", 0)
    with agent.running():
        agent.thread.join(60)
    assert isinstance(agent.error, SenderError)
    assert "a defect" in str(agent.error)
    assert agent.offset() == 0


@pytest.mark.slow
def test_malformed_lines_are_in_the_dead_letter_before_the_checkpoint_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 21: its disk is full for a while; nothing moves until it is not."""
    agent = Agent(tmp_path)
    real = os.fsync
    full = threading.Event()
    full.set()

    def fsync(descriptor: int) -> None:
        if full.is_set() and Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "a.log").write_bytes(b"garbage\n")
    write(tmp_path / "a.log", 1)
    with agent.running():
        wait_until(lambda: agent.sink.ids == ids(1), "the good line")
        time.sleep(0.2)
        assert agent.offset() == 0
        full.clear()
        size = (tmp_path / "a.log").stat().st_size
        wait_until(lambda: agent.offset() == size, "the checkpoint")
    assert b'"line":"garbage"' in agent.dead_letter.path.read_bytes()


@pytest.mark.slow
def test_without_room_for_the_checkpoint_reading_stops_and_resumes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 21."""
    agent = Agent(tmp_path)
    full = threading.Event()
    real = checkpoint.save

    def save(*arguments: object) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)  # type: ignore[arg-type]  # passed through as they came

    monkeypatch.setattr(checkpoint, "save", save)
    with agent.running():
        write(tmp_path / "a.log", 0)
        wait_until(lambda: agent.offset() == LINE_BYTES, "the first line")
        full.set()
        write(tmp_path / "a.log", 1)
        wait_until(lambda: bool(agent.pipeline.keeper.problem), "the problem")
        write(tmp_path / "a.log", 2)
        time.sleep(0.3)
        assert agent.sink.ids == ids(0, 1)
        full.clear()
        wait_until(lambda: agent.sink.ids == ids(0, 1, 2), "all of it")
        wait_until(lambda: agent.offset() == 3 * LINE_BYTES, "the checkpoint")


@pytest.mark.slow
def test_a_gap_is_told_once_and_only_when_nothing_can_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.02)
    monkeypatch.setattr("agent.integrity.GRACE_SECONDS", 3600.0)
    agent = Agent(tmp_path)
    with agent.running():
        write(tmp_path / "a.log", 0, 1, 3, 7)
        wait_until(lambda: len(agent.sink.ids) == 4, "arrives")
        write(tmp_path / "b.log", 2)
        wait_until(lambda: len(agent.sink.ids) == 5, "arrives late")
        monkeypatch.setattr("agent.integrity.GRACE_SECONDS", 0.1)
        wait_until(lambda: agent.pipeline.totals.gaps == 1, "the gap")
        write(tmp_path / "a.log", 8)
        wait_until(lambda: len(agent.sink.ids) == 7, "goes on, with the event that tells of it")
    assert agent.pipeline.totals.gaps == 1
    assert agent.pipeline.totals.missing_events == 3


def test_the_status_says_what_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.pipeline.STATUS_SECONDS", 0.02)
    agent = Agent(tmp_path)
    agent.sink.gate.clear()
    write(tmp_path / "a.log", 0, 1)

    def now() -> status.Status:
        report = status.read(agent.state)
        assert report is not None
        return report

    with agent.running():
        wait_until(lambda: (agent.state / "status.json").exists() and now().in_flight == 1, "lag")
        assert now().lag_bytes == 2 * LINE_BYTES
        assert now().oldest_unshipped == "2026-11-23T12:00:00.000000Z"
        assert now().files[0].path == str(tmp_path / "a.log")
        assert now().pid == os.getpid()
        agent.sink.gate.set()
        wait_until(lambda: now().lag_bytes == 0, "no lag")
        assert now().oldest_unshipped == ""
        assert now().totals.created == 2


def test_no_status_is_no_error(tmp_path: Path) -> None:
    assert status.read(tmp_path) is None
    (tmp_path / "status.json").write_bytes(b"{")
    assert status.read(tmp_path) is None
