"""Scenario 25: two agents on one state, signals, clocks and permissions.

Real agent processes and a real node.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from agent.lock import LOCK_NAME
from agent.settings import AgentSettings
from indexer.settings import IndexSettings
from tests.agent_process import AGENT, AgentHome
from tests.agent_rig import proxied
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, slow
from tests.faults import Answer, Send
from tests.waiting import wait_until

pytestmark = pytest.mark.opensearch

BATCH: Final = 200
IN_FLIGHT: Final = AgentSettings().requests_in_flight
NAME: Final = "app.events"


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, opensearch, index)) as one:
        yield one


@pytest.fixture
def proxy(home: AgentHome) -> Iterator[FaultProxy]:
    """What the agents of `home` have to pass."""
    with proxied(home) as one:
        yield one


def test_the_lock_of_a_killed_agent_is_taken_over_and_that_of_a_living_one_is_not(
    home: AgentHome,
) -> None:
    """Scenario 25."""
    first = home.start()
    home.emit(100)
    home.await_settled()
    second = home.start("--once")
    assert second.wait(60) == 1
    assert f"in use by process {first.pid}" in home.said()
    home.kill(first)
    assert (home.state / LOCK_NAME).read_text().strip() == str(first.pid)
    home.emit(100)
    home.once()
    home.check()


def test_sigterm_with_a_slow_server_ends_in_time_and_the_rest_stays(
    home: AgentHome, proxy: FaultProxy
) -> None:
    """Scenario 25: what was under way is sent again by the next start, and nothing else."""
    home.emit(20 * BATCH)
    proxy.script(lambda _m, path, _b: slow(60) if path == "/_bulk" else None)
    times = {"AGENT_SHUTDOWN_SECONDS": "1", "OPENSEARCH_TIMEOUT_SECONDS": "60"}
    process = home.start(**{f"INDELIBLE_{name}": seconds for name, seconds in times.items()})
    wait_until(lambda: proxy.under_way == IN_FLIGHT, home.said)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, "before an answer came"
    assert home.places().get(NAME, 0) == 0
    proxy.script(lambda _m, _p, _b: None)
    home.once()
    home.check()


def test_sigterm_settles_what_is_under_way_and_nothing_is_sent_twice(
    home: AgentHome, proxy: FaultProxy
) -> None:
    """Scenario 25: where the server answers within the time that is given."""
    home.emit(20 * BATCH)
    is_told = threading.Event()

    def answer_when_it_is_told(send: Send, body: bytes) -> Answer:
        answer = send(body)
        if len(proxy.attempts) > IN_FLIGHT:
            is_told.wait(60)
            time.sleep(0.3)
        return answer

    proxy.script(lambda _m, path, _b: answer_when_it_is_told if path == "/_bulk" else None)
    process = home.start()
    wait_until(lambda: proxy.under_way == IN_FLIGHT and len(proxy.attempts) > IN_FLIGHT, home.said)
    process.send_signal(signal.SIGTERM)
    is_told.set()
    assert process.wait(60) == 0
    sent = len(proxy.sent())
    assert 0 < sent < 20 * BATCH
    proxy.script(lambda _m, _p, _b: None)
    home.once()
    assert set(proxy.sent().values()) == {1}
    home.check()


_JUMPING = """
import datetime, pathlib, sys, time
offset, real = pathlib.Path(sys.argv.pop(1)), time.time
time.time = lambda: real() + float(offset.read_text() or 0)
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Jumping
from indelible.cli import main
main()
"""


def test_a_clock_that_jumps_loses_nothing_and_sends_nothing_again(
    home: AgentHome, proxy: FaultProxy
) -> None:
    """Scenario 25: hours forth and back, with a rotation and a restart in between."""
    offset = home.directory / "clock"
    offset.write_text("0")
    command = (sys.executable, "-c", _JUMPING, str(offset), "agent")
    process = home.start(command=command)
    for number, hours in enumerate((0, 7, -9, 7, -7, 0)):
        new = offset.with_suffix(".new")
        new.write_text(str(hours * 3600))
        new.replace(offset)
        home.emit(200)
        if number == 2:
            (home.directory / NAME).rename(home.directory / f"{NAME}.1")
        if number == 3:
            home.await_settled()
            process.terminate()
            assert process.wait(60) == 0, home.said()
            process = home.start(command=command)
        home.emit(200)
        home.await_settled()
    process.terminate()
    assert process.wait(60) == 0
    assert set(proxy.sent().values()) == {1}
    home.check()


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """The command of an agent to which permissions apply, even where root runs the tests."""
    if os.geteuid() != 0:
        return AGENT
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may read everything, and there is no setpriv to change that")
    dropped = "-dac_override,-dac_read_search"
    return (setpriv, "--bounding-set", dropped, "--inh-caps", dropped, *AGENT)


class Ordinary:
    """An agent to which permissions apply, on a directory that may be closed."""

    def __init__(self, home: AgentHome, command: tuple[str, ...]) -> None:
        self.home = home
        self.command = command
        self.logs = home.directory / "logs"
        self.logs.mkdir()
        self.emit()
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        paths = {"INDELIBLE_AGENT_PATHS": f"{self.logs}/*.events*"}
        return self.home.start(command=self.command, **paths)

    def emit(self, name: str = NAME) -> list[str]:
        return self.home.emit(100, f"logs/{name}")

    def await_settled(self) -> None:
        size = (self.logs / NAME).stat().st_size
        wait_until(lambda: self.home.places().get(NAME) == size, self.home.said)


def test_files_that_may_not_be_read_for_a_while_cost_nothing(
    home: AgentHome, proxy: FaultProxy, ordinary: tuple[str, ...]
) -> None:
    """Scenario 25: one file at start, then the directory of all of them."""
    agent = Ordinary(home, ordinary)
    closed = agent.emit("closed.events")
    agent.await_settled()
    wait_until(lambda: set(proxy.sent()) >= set(closed), home.said)
    home.kill(agent.process)
    closed = agent.emit("closed.events")
    (agent.logs / "closed.events").chmod(0)
    agent.process = agent.start()
    agent.emit()
    wait_until(lambda: home.has_said("file_unreadable"), home.said)
    agent.await_settled()
    assert not set(closed) & set(proxy.sent())
    (agent.logs / "closed.events").chmod(0o640)
    wait_until(lambda: set(proxy.sent()) >= set(closed), home.said)
    agent.logs.chmod(0)
    time.sleep(2.5)
    agent.logs.chmod(0o750)
    agent.emit()
    agent.await_settled()
    home.kill(agent.process)
    assert set(proxy.sent().values()) == {1}
    home.check()


def test_a_state_directory_that_may_not_be_written_for_a_while_stops_it_for_so_long(
    home: AgentHome, proxy: FaultProxy, ordinary: tuple[str, ...]
) -> None:
    """Scenario 25."""
    agent = Ordinary(home, ordinary)
    agent.await_settled()
    home.state.chmod(0o500)
    agent.emit()
    wait_until(lambda: home.has_said("checkpoint_not_saved"), home.said)
    late = agent.emit()
    time.sleep(0.5)
    assert not set(late) & set(proxy.sent())
    home.state.chmod(0o750)
    agent.await_settled()
    assert agent.process.poll() is None
    home.kill(agent.process)
    assert set(proxy.sent().values()) == {1}
    home.check()
