"""Other settings take over while the agent runs: nothing is lost, and nothing is read twice."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.renewal import Renewal
from indexer.settings import IndexSettings
from tests.agent_loop import Agent, Sink, ids, wait_for, write
from tests.waiting import wait_until


class Operator:
    """Changes the settings of an agent, and counts what took over."""

    def __init__(self) -> None:
        self.agent: Agent | None = None
        self.changes: dict[str, object] = {}
        self.problems: tuple[str, ...] = ()
        self.sinks: list[Sink] = []
        self.settled = 0

    def reread(self) -> tuple[Renewal | None, tuple[str, ...]]:
        if self.problems:
            return None, self.problems
        assert self.agent is not None
        abandon = threading.Event()
        sink = Sink(abandon)
        self.sinks.append(sink)
        settings = msgspec.structs.replace(self.agent.settings, **self.changes)
        return Renewal(settings, IndexSettings(), sink, abandon, self._settle), ()

    def _settle(self) -> None:
        self.settled += 1

    def reload(self, **changes: object) -> None:
        assert self.agent is not None
        self.changes = changes
        before = self.settled
        self.agent.board.reload.set()
        wait_until(lambda: self.settled == before + 1, "the hand-over")


def start(directory: Path, **changes: Any) -> tuple[Agent, Operator]:
    operator = Operator()
    agent = Agent(directory, reread=operator.reread, **changes)
    operator.agent = agent
    return agent, operator


def test_batches_that_only_wait_are_sent_again_by_the_new_settings(tmp_path: Path) -> None:
    """A wrong password: the old sink settles nothing, ever."""
    agent, operator = start(tmp_path, batch_events=10, requests_in_flight=2)
    agent.sink.gate.clear()
    write(tmp_path / "a.log", *range(100))
    with agent.running():
        wait_until(lambda: len(agent.sink.waiting) == 2, "in flight")
        operator.reload(batch_events=50, requests_in_flight=1)
        sink = operator.sinks[0]
        wait_until(lambda: len(sink.ids) == 100, "all of it")
        size = (tmp_path / "a.log").stat().st_size
        wait_until(lambda: agent.offset() == size, "checkpoint")
        assert agent.sink.ids == []
        assert sorted(sink.ids) == ids(*range(100)), "each once"
        assert agent.pipeline.loader.counters.lines == 100, "nothing was read twice"
        write(tmp_path / "a.log", *range(100, 200))
        wait_until(lambda: len(sink.ids) == 200, "goes on")
    assert agent.pipeline.totals.reloads == 1


def test_a_request_under_way_ends_under_the_old_settings(tmp_path: Path) -> None:
    agent, operator = start(tmp_path)
    agent.sink.abandon = threading.Event()  # as a request that is not cut
    agent.sink.gate.clear()
    write(tmp_path / "a.log", 0)
    with agent.running():
        wait_until(lambda: bool(agent.sink.waiting), "in flight")
        agent.board.reload.set()
        wait_until(lambda: bool(operator.sinks), "read again")
        write(tmp_path / "a.log", 1)
        agent.sink.gate.set()
        wait_until(lambda: operator.sinks[0].ids == ids(1), "the next line")
    assert agent.sink.ids == ids(0)


@pytest.mark.slow
def test_other_globs_take_effect_and_old_ones_let_go(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    agent, operator = start(tmp_path, paths=(f"{first}/*.log",))
    write(first / "a.log", 0)
    write(second / "b.log", 1)
    with agent.running():
        wait_for(agent, 0)
        operator.reload(paths=(f"{second}/*.log",))
        sink = operator.sinks[-1]
        wait_until(lambda: sink.ids == ids(1), "the new glob")
        write(first / "a.log", 2)
        write(second / "b.log", 3)
        wait_until(lambda: sink.ids == ids(1, 3), "is followed")
        assert str(first / "a.log") not in {
            tail.path for tail in agent.pipeline.follower.tails.values()
        }
        operator.reload(paths=(f"{first}/*.log", f"{second}/*.log"))
        sink = operator.sinks[-1]
        wait_until(lambda: sink.ids == ids(2), "goes on where it was let go")
    assert agent.pipeline.loader.counters.lines == 4
    again = Agent(tmp_path, once=True, paths=(f"{first}/*.log", f"{second}/*.log"))
    with again.running():
        again.thread.join(60)
    assert again.sink.ids == []


def test_a_deleted_file_is_read_to_its_end_all_the_same(tmp_path: Path) -> None:
    agent, operator = start(tmp_path, batch_events=10, requests_in_flight=1, batch_bytes=65_536)
    agent.sink.gate.clear()
    write(tmp_path / "a.log", *range(2000))
    with agent.running():
        wait_until(lambda: bool(agent.sink.waiting), "in flight")
        (tmp_path / "a.log").unlink()
        operator.reload(batch_events=1000)
        wait_until(lambda: len(operator.sinks[0].ids) == 2000, "all of it")
    assert operator.sinks[0].ids == ids(*range(2000))


def test_settings_that_are_wrong_leave_the_old_ones_at_work(tmp_path: Path) -> None:
    agent, operator = start(tmp_path)
    operator.problems = ("[agent] paths: bad", "[index] prefix: bad")
    with agent.running():
        agent.board.reload.set()
        wait_until(lambda: not agent.board.reload.is_set(), "read again")
        write(tmp_path / "a.log", 0)
        wait_for(agent, 0)
        wait_until(
            lambda: (
                agent.board.status is not None
                and agent.board.status.config_problems == operator.problems
            ),
            "the status tells",
        )
    assert agent.pipeline.totals.reloads == 0


@pytest.mark.slow
def test_it_ends_in_the_middle_of_a_hand_over(tmp_path: Path) -> None:
    agent, operator = start(tmp_path, shutdown_seconds=0.3)
    agent.sink.abandon = threading.Event()
    agent.sink.gate.clear()
    write(tmp_path / "a.log", 0)
    agent.thread.start()
    wait_until(lambda: bool(agent.sink.waiting), "in flight")
    agent.board.reload.set()
    wait_until(lambda: bool(operator.sinks), "read again")
    agent.stop.set()
    agent.thread.join(60)
    assert not agent.thread.is_alive()
    assert agent.error is None
    assert agent.offset() == 0
    agent.sink.gate.set()
