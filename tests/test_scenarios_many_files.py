"""Scenarios 18, 23 and 24: very many files, a kernel that tells nothing, few descriptors."""

import errno
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import watch
from agent.follow import TICK_SECONDS
from agent.parking import RESERVE
from tests.agent_loop import Agent
from tests.agent_loop import ids as ids_in_order
from tests.agent_world import Bench, bench, event_id, event_line, ids, read_twice, write
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_ten_thousand_files_with_the_same_first_line_are_all_read_at_once(tmp_path: Path) -> None:
    """Scenario 18: in the first look, and each once after a restart; shorter than a fingerprint."""
    first = event_line(0, pad=1200) + b"\n"
    count = 10_000
    few = 100
    for number in range(count):
        line = event_line(number + 1, seq=0, source=event_id(number))
        (tmp_path / f"{number}.log").write_bytes(first + line + b"\n")
    for number in range(few):
        line = event_line(count + number + 1, seq=0, source=event_id(number + count))
        (tmp_path / f"short-{number}.log").write_bytes(line + b"\n")
        (tmp_path / f"empty-{number}.log").touch()
    agent = bench(tmp_path)
    started = time.process_time()
    agent.look()
    seconds = time.process_time() - started
    agent.settle_all()
    assert agent.settled_ids == ids(*range(count + few + 1))
    assert seconds < 60, "measured: 3 s"
    agent.save()
    agent.crash()
    for number in range(few):
        write(tmp_path / f"{number}.log", 50_000 + number)
        write(tmp_path / f"empty-{number}.log", 60_000 + number)
    agent.read_ids.clear()
    agent.look()
    assert set(agent.read_ids) == ids(*range(50_000, 50_000 + few), *range(60_000, 60_000 + few))
    assert read_twice(agent) == []
    agent.follower.close()


def read_in_turns(agent: Bench, fresh: Path, lines: int) -> list[str]:
    """The names in the order of their reads; each read of the fresh file is followed by a line."""
    order: list[str] = []
    agent.follower.rescan(1.0)
    while agent.follower.has_more:
        chunk = agent.follower.read(1.0)
        if chunk is not None:
            order.append(chunk.tail.path)
            if chunk.tail.path == str(fresh) and order.count(str(fresh)) <= lines:
                write(fresh, 1000 + len(order))
                agent.follower.touch([str(fresh)])
    agent.follower.close()
    return order


def test_a_thousand_backlogs_keep_a_fresh_line_waiting_for_one_read(tmp_path: Path) -> None:
    """One huge file and a thousand smaller ones; measured in reads, each of at most 4 kB here."""
    block = b"".join(event_line(number) + b"\n" for number in range(60))
    for number in range(1000):
        (tmp_path / f"{number}.log").write_bytes(block)
    (tmp_path / "huge.log").write_bytes(block * 100)
    fresh = tmp_path / "fresh.log"
    write(fresh, 1000)
    order = read_in_turns(bench(tmp_path, read_bytes=4000), fresh, 200)
    seen: dict[str, int] = {}
    waits: dict[str, int] = {}
    for at, path in enumerate(order):
        waits[path] = max(waits.get(path, 0), at - seen.get(path, 0))
        seen[path] = at
    assert waits.pop(str(fresh)) <= 2
    assert max(waits.values()) <= 2 * 1001 + 1, "and no backlog is passed over"


def test_a_thousand_generations_open_few_files_and_are_forgotten(tmp_path: Path) -> None:
    """Scenario 24: of those that are still there none stays open, of the others nothing stays."""
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=5)
    present = 100
    for number in range(1000):
        write(tmp_path / "a.log", number)
        agent.look()
        agent.settle_all()
        (tmp_path / "a.log").rename(tmp_path / f"a.log.{number}")
        (tmp_path / f"a.log.{number - present}").unlink(missing_ok=True)
        if number % 100 == 99:
            # What changed within the last tick of the clock is looked at once more.
            time.sleep(2 * TICK_SECONDS)
            for _ in range(4):
                agent.look(later=6)
                agent.settle_all()
            assert len(list(agent.follower.places())) <= present + 8
            open_files = [one for one in agent.follower.tails.values() if one.descriptor >= 0]
            assert len(open_files) <= 8
    assert agent.settled_ids == ids(*range(1000))
    assert read_twice(agent) == []


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Forty numbers are free below what is reserved."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208
    free = [number for number in range(len(taken) + 41) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[40] + RESERVE, hard))
    yield 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_files_than_descriptors_lose_nothing_and_it_is_told(
    tmp_path: Path, few_descriptors: int
) -> None:
    """All are read, by and by; what is appended to one that was closed is read as well."""
    count = 5 * few_descriptors
    for number in range(count):
        write(tmp_path / f"{number}.log", number)
        os.utime(tmp_path / f"{number}.log", (1, 1))
    agent = bench(tmp_path)
    agent.look()
    assert "Too many open files" in agent.follower.unreadable.values()
    for _ in range(40):
        agent.settle_all()
        agent.look()
    assert agent.settled_ids == ids(*range(count))
    assert agent.follower.unreadable == {}
    assert agent.follower.parking.closed_early > 0
    for number in range(count):
        write(tmp_path / f"{number}.log", count + number)
    agent.save()
    for _ in range(40):
        agent.settle_all()
        time.sleep(0.01)
        agent.look()
    agent.settle_all()
    assert agent.settled_ids == ids(*range(2 * count))
    assert read_twice(agent) == []
    agent.save()
    agent.follower.close()


def test_a_parked_file_that_is_renamed_out_of_the_globs_is_read_on(
    tmp_path: Path, few_descriptors: int
) -> None:
    """Closed for want of descriptors, then appended to and renamed between two looks."""
    for number in range(few_descriptors + 20):
        write(tmp_path / f"{number}.log", number)
        os.utime(tmp_path / f"{number}.log", (1, 1))
    agent = bench(tmp_path)
    for _ in range(10):
        agent.drain()
    parked = [one for one in agent.follower.tails.values() if one.is_parked]
    assert parked
    path = Path(parked[0].path)
    assert agent.follower.touch([str(path)]), "a look is due when something happens to it"
    with path.open("ab") as file:
        file.write(event_line(999) + b"\n")
    path.rename(path.with_suffix(".old"))
    for _ in range(10):
        agent.drain()
    assert event_id(999) in agent.settled_ids
    assert read_twice(agent) == []
    agent.follower.close()


def write_until_the_end(agent: Agent, directory: Path) -> None:
    """New files and old ones, all of them are found."""
    for number in range(0, 60, 2):
        write(directory / f"{number % 7}.log", number)
        write(directory / f"new-{number}.log", number + 1)
        time.sleep(0.002)
    wait_until(lambda: set(agent.sink.ids) >= set(ids_in_order(*range(60))), "all arrive")


def test_a_file_system_without_events_is_looked_at_each_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 23: the kernel accepts the watches and never says a thing."""

    def say_nothing(*_: object, **__: object) -> list[object]:
        time.sleep(0.05)
        return []

    monkeypatch.setattr(watch._Gatherer, "read_events", say_nothing)
    agent = Agent(tmp_path, poll_interval_seconds=0.3)
    with agent.running():
        write_until_the_end(agent, tmp_path)


@pytest.mark.parametrize(
    "limit", [errno.ENOSPC, errno.EMFILE], ids=["max_user_watches", "max_user_instances"]
)
def test_where_no_watch_is_left_the_interval_does_it_and_the_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Scenario 23: as the kernel answers `inotify_add_watch` and `inotify_init`."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(limit, os.strerror(limit))

    if limit == errno.ENOSPC:
        monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", refuse)
    else:
        monkeypatch.setattr("agent.watch._Gatherer", refuse)
    agent = Agent(tmp_path, poll_interval_seconds=0.3)
    with agent.running():
        write_until_the_end(agent, tmp_path)
        failures = agent.pipeline._watch.failures
        assert failures == {str(tmp_path): os.strerror(limit)}
        wait_until(lambda: b'"unwatched":{"' in (agent.state / "status.json").read_bytes(), "told")


def test_an_overflow_of_the_queue_is_counted_and_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 23: more events than the kernel queues, while nobody reads them."""
    real = watch._Gatherer.read_events
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    written = False

    def read_late(self: watch._Gatherer, **_: object) -> list[object]:
        while not written:
            time.sleep(0.01)
        return list(real(self))

    monkeypatch.setattr(watch._Gatherer, "read_events", read_late)
    agent = Agent(tmp_path, poll_interval_seconds=0.3)
    with agent.running():
        wait_until(lambda: bool(agent.pipeline._watch._watched), "it watches")
        # Two events that follow each other and are alike are one, so these differ.
        names = [str(tmp_path / f"{number}.other") for number in range(2)]
        os.close(os.open(names[0], os.O_CREAT | os.O_WRONLY))
        for number in range(limit):
            os.rename(names[number % 2], names[1 - number % 2])  # noqa: PTH104  # 16,384 times
        write_until_the_end(agent, tmp_path)
        written = True
        wait_until(lambda: agent.pipeline._watch.overflows > 0, "it is counted")
        write(tmp_path / "a.log", 100)
        wait_until(lambda: event_id(100) in agent.sink.ids, "it goes on")
