"""The agent in an operator's hands: signals, the service manager, the monitor. Real processes."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import status
from tests.agent_loop import ids, write
from tests.http_sink import RIGHT, USER, HttpSink, http_sink
from tests.node_home import free_ports
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9"


class Rig:
    """An agent on files of its own, with a sink for a cluster; settings lie in a file."""

    def __init__(self, directory: Path, sink: HttpSink) -> None:
        self.directory = directory
        self.sink = sink
        self.log = directory / "stderr"
        self.state = directory / "state"
        self.config = directory / "agent.toml"
        self.password_file = directory / "password"
        self.set_password(RIGHT)
        self.configure()
        self.running: list[subprocess.Popen[bytes]] = []

    def set_password(self, text: str) -> None:
        self.password_file.write_text(text)
        self.password_file.chmod(0o600)

    def configure(self, agent: str = "", index: str = "", paths: str = "*.log") -> None:
        self.config.write_text(
            f'[opensearch]\nurl = "{self.sink.url}"\nwriter_username = "{USER}"\n'
            f'writer_password_file = "{self.password_file}"\n'
            f'[agent]\npaths = ["{self.directory}/{paths}"]\npoll_interval_seconds = 0.1\n'
            f"{agent}\n[index]\n{index}\n"
        )

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("INDELIBLE_")
        }
        own = {
            "INDELIBLE_HOME": str(self.directory / "home"),
            "INDELIBLE_CONFIG": str(self.config),
            "INDELIBLE_AGENT_STATE_DIRECTORY": str(self.state),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "indelible", "agent", *arguments],
                env={**kept, **own, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.running.append(process)
        return process

    def entries(self, event: str) -> list[dict[str, Any]]:
        found = [
            msgspec.json.decode(line)
            for line in self.log.read_bytes().splitlines()
            if line.startswith(b"{")
        ]
        return [entry for entry in found if entry["event"] == event]

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with http_sink() as sink:
        one = Rig(tmp_path, sink)
        yield one
        one.close()


def ask(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def test_sighup_takes_the_right_password_and_nothing_is_lost_or_read_twice(rig: Rig) -> None:
    rig.set_password("expired")
    write(rig.directory / "a.log", *range(20))
    process = rig.start()
    wait_until(lambda: bool(rig.entries("bulk_halted")), "the alarm")
    second = rig.start()
    assert second.wait(60) == 1, "the lock is held"
    rig.set_password(RIGHT)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(rig.sink.ids) == 20, "ships")
    assert rig.start().wait(60) == 1, "the lock is held throughout"
    write(rig.directory / "a.log", 20)
    wait_until(lambda: len(rig.sink.ids) == 21, "goes on")
    process.terminate()
    assert process.wait(60) == 0
    assert sorted(rig.sink.ids) == ids(*range(21))
    report = status.read(rig.state)
    assert report is not None
    assert (report.totals.lines, report.totals.reloads, report.lag_bytes) == (21, 1, 0)
    text = rig.log.read_text()
    assert "expired" not in text
    assert f'"{RIGHT}"' not in text
    (entry,) = rig.entries("configuration_reread")
    assert entry["changed"] == ["opensearch.writer_password"]
    assert rig.entries("bulk_interrupted")
    assert not rig.entries("bulk_resumed"), "no all-clear when SIGHUP interrupts what waits"


def test_a_glob_that_matches_nothing_is_told_once_at_the_start(rig: Rig) -> None:
    write(rig.directory / "a.log", 0)
    process = rig.start("--path", f"{rig.directory}/*.lgo", "--path", f"{rig.directory}/*.log")
    wait_until(lambda: rig.sink.ids == ids(0), "the other one is followed")
    process.terminate()
    process.wait(60)
    (entry,) = rig.entries("no_file_matches")
    assert entry["pattern"] == f"{rig.directory}/*.lgo"
    assert entry["hint"]


def test_sighup_names_what_changed_of_the_connection_and_no_value(rig: Rig) -> None:
    process = rig.start()
    wait_until((rig.state / "status.json").exists, "runs")
    text = rig.config.read_text().replace("[agent]", "http_compress = true\n[agent]")
    rig.config.write_text(text.replace(USER, "somebody_else").replace(rig.sink.url, NOWHERE))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_reread")), "takes over")
    (entry,) = rig.entries("configuration_reread")
    assert entry["changed"] == [
        "opensearch.url",
        "opensearch.writer_username",
        "opensearch.http_compress",
    ]
    assert "somebody_else" not in rig.log.read_text()


def test_sighup_again_and_again_under_load_and_rotation_ships_each_line_once(rig: Rig) -> None:
    """Requests under way end; queues and files are handed over, those rotated away too."""
    rig.configure(agent="batch_events = 20\nflush_interval_seconds = 0.01", paths="a.log*")
    process = rig.start()
    wait_until((rig.state / "status.json").exists, "runs")
    path, count = rig.directory / "a.log", 0
    for turn in range(12):
        for _ in range(10):
            write(path, *range(count, count + 15))
            count += 15
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        if turn % 3 == 0:
            least = count - 149
            wait_until(lambda: len(rig.sink.ids) >= least, "is open before it leaves")  # noqa: B023  # called at once
            path.rename(rig.directory / f"gone.{turn}")
        elif turn % 3 == 1:
            path.rename(rig.directory / f"a.log.{turn}")
    wait_until(lambda: len(rig.sink.ids) >= count, "all of it")
    process.terminate()
    assert process.wait(60) == 0
    assert sorted(rig.sink.ids) == ids(*range(count)), "each once, not even sent twice"
    report = status.read(rig.state)
    assert report is not None
    assert report.totals.reloads >= 3
    assert report.totals.gaps == 0


def test_sighup_with_mistakes_tells_all_of_them_and_the_old_goes_on(rig: Rig) -> None:
    process = rig.start()
    wait_until((rig.state / "status.json").exists, "runs")
    rig.configure(agent="batch_events = 0\nflush_interval_seconds = 'soon'", index="colour = 1")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_refused")), "told")
    (entry,) = rig.entries("configuration_refused")
    assert entry["level"] == "error"
    assert len(entry["problems"]) == 3
    assert any("[agent] batch_events" in problem for problem in entry["problems"])
    assert entry["hint"]
    write(rig.directory / "a.log", 0)
    wait_until(lambda: rig.sink.ids == ids(0), "ships")


def test_sighup_with_another_layout_asks_for_a_restart(rig: Rig) -> None:
    process = rig.start()
    wait_until((rig.state / "status.json").exists, "runs")
    # The environment's state directory beats the file's: nothing changes there.
    rig.configure(agent='state_directory = "/elsewhere"', index='partition = "day"')
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_refused")), "told")
    (problem,) = rig.entries("configuration_refused")[0]["problems"]
    assert problem.startswith("[index] partition: 'month' cannot become 'day'")


def test_sighup_after_a_mistake_is_mended(rig: Rig) -> None:
    process = rig.start()
    wait_until((rig.state / "status.json").exists, "runs")
    rig.config.write_text("[agent")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_refused")), "no TOML at all")
    write(rig.directory / "a.log", 0)
    wait_until(lambda: rig.sink.ids == ids(0), "goes on")
    rig.configure(paths="*.events")
    write(rig.directory / "b.events", 1)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: rig.sink.ids == ids(0, 1), "the right one takes over")
    (entry,) = rig.entries("configuration_reread")
    assert entry["changed"] == ["agent.paths"]


def test_the_environment_file_is_read_again_too(rig: Rig) -> None:
    variables = rig.directory / "agent.env"
    variables.write_text("# ours\nINDELIBLE_AGENT_BATCH_EVENTS=7\n")
    process = rig.start("--environment-file", str(variables))
    wait_until((rig.state / "status.json").exists, "runs")
    variables.write_text('INDELIBLE_AGENT_BATCH_EVENTS="8"\n')
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_reread")), "takes over")
    assert rig.entries("configuration_reread")[0]["changed"] == ["agent.batch_events"]
    variables.unlink()
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(rig.entries("configuration_refused")), "told")
    assert process.poll() is None


class Manager:
    """A service manager: what it is told, until what it waits for."""

    def __init__(self, address: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(address))

    def hear(self, beginning: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            if text.startswith(beginning):
                return text
        return ""


def test_the_service_manager_hears_of_all_of_it(rig: Rig) -> None:
    manager = Manager(rig.directory / "notify")
    with manager.socket:
        process = rig.start(NOTIFY_SOCKET=str(rig.directory / "notify"))
        assert manager.hear("READY=1") == "READY=1"
        assert manager.hear("STATUS=") == "STATUS=0 files, nothing waits"
        process.send_signal(signal.SIGHUP)
        assert "\nMONOTONIC_USEC=" in manager.hear("RELOADING=1")
        assert manager.hear("READY=1")
        rig.config.write_text("[agent")
        process.send_signal(signal.SIGHUP)
        assert manager.hear("RELOADING=1")
        assert manager.hear("READY=1"), "after a refused one too"
        process.terminate()
        assert manager.hear("STOPPING=1")
        assert process.wait(60) == 0


def test_a_loop_that_does_not_turn_does_not_ping(rig: Rig) -> None:
    manager = Manager(rig.directory / "notify")
    with manager.socket:
        process = rig.start(NOTIFY_SOCKET=str(rig.directory / "notify"), WATCHDOG_USEC="600000")
        for _ in range(5):
            assert manager.hear("WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        while manager.hear("WATCHDOG=1", 0.01):
            """What was sent before."""
        assert not manager.hear("WATCHDOG=1", 1)
        process.send_signal(signal.SIGCONT)
        assert manager.hear("WATCHDOG=1")


def test_sigterm_with_a_server_that_does_not_answer_ends_in_time(rig: Rig) -> None:
    """Scenario 25: the rest stays at its offset, and the next start ships it."""
    rig.configure(agent="shutdown_seconds = 0.5")
    rig.sink.gate.clear()
    write(rig.directory / "a.log", 0, 1)
    process = rig.start()
    wait_until(lambda: rig.sink.requests > 0, "in flight")
    start = time.monotonic()
    process.terminate()
    assert process.wait(60) == 0
    # 20 s are what it waits for unless it is told otherwise.
    assert 0.5 <= time.monotonic() - start < 20
    report = status.read(rig.state)
    assert report is not None
    assert (report.state, report.in_flight) == ("stopped", 1)
    rig.sink.gate.set()
    assert rig.start("--once").wait(60) == 0
    assert set(rig.sink.ids) == set(ids(0, 1))


def test_sigterm_with_a_slow_server_settles_what_is_in_flight(rig: Rig) -> None:
    rig.sink.gate.clear()
    write(rig.directory / "a.log", 0)
    process = rig.start()
    wait_until(lambda: rig.sink.requests > 0, "in flight")
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    rig.sink.gate.set()
    assert process.wait(60) == 0
    report = status.read(rig.state)
    assert report is not None
    assert (report.totals.created, report.lag_bytes, report.in_flight) == (1, 0, 0)


def test_the_monitor_answers_while_the_cluster_does_not(rig: Rig) -> None:
    (port,) = free_ports(1)
    rig.configure(agent=f"monitor_port = {port}")
    rig.set_password("expired-secret")
    write(rig.directory / "a.log", *range(3))
    process = rig.start()
    wait_until(lambda: ask(port, "/readyz")[0] == 503, "is not ready")
    wait_until(lambda: b"cluster_halted" in ask(port, "/readyz")[1], "says why")
    assert ask(port, "/healthz")[0] == 200
    text = ask(port, "/metrics")[1].decode()
    assert 'indelible_agent_requests_total{answer="halted"} ' in text
    assert "indelible_agent_last_request_success 0.0" in text
    wait_until(
        lambda: (
            f'file_lag_bytes{{path="{rig.directory}/a.log"}}' in ask(port, "/metrics")[1].decode()
        ),
        "the file lags",
    )
    everything = b"".join(ask(port, path)[1] for path in ("/metrics", "/readyz", "/healthz"))
    assert b"secret" not in everything
    assert b"member.role_changed" not in everything
    rig.set_password(RIGHT)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "is ready")
    wait_until(
        lambda: b'indelible_agent_events_total{result="created"} 3.0' in ask(port, "/metrics")[1],
        "counts",
    )


def test_the_monitor_moves_with_the_settings(rig: Rig) -> None:
    first, second = free_ports(2)
    rig.configure(agent=f"monitor_port = {first}")
    process = rig.start()
    wait_until(lambda: ask(first, "/healthz")[0] == 200, "listens")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", second))
        taken.listen()
        rig.configure(agent=f"monitor_port = {second}")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(rig.entries("configuration_refused")), "it is taken")
        assert "Address already in use" in rig.entries("configuration_refused")[0]["problems"][0]
        assert ask(first, "/healthz")[0] == 200
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: ask(second, "/healthz")[0] == 200, "moved")
    wait_until(lambda: ask(first, "/healthz")[0] == 0, "is gone there")


def test_a_monitor_port_that_is_taken_ends_the_start_with_a_clear_error(rig: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rig.configure(agent=f"monitor_port = {port}")
        assert rig.start().wait(60) == 1
    text = rig.log.read_text()
    assert f"error: the monitor cannot listen on 127.0.0.1:{port}: Address already in use" in text
    assert "next: set INDELIBLE_AGENT_MONITOR_PORT" in text
    assert "Traceback" not in text


def test_once_opens_no_port(rig: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        rig.configure(agent=f"monitor_port = {taken.getsockname()[1]}")
        assert rig.start("--once").wait(60) == 0


def test_trouble_that_lasts_floods_no_log(rig: Rig) -> None:
    rig.set_password("expired")
    rig.configure(agent="shutdown_seconds = 0.2")
    process = rig.start()
    for number in range(10):
        write(rig.directory / "a.log", number)
        time.sleep(0.1)
    wait_until(lambda: bool(rig.entries("bulk_halted")), "the alarm")
    process.terminate()
    process.wait(60)
    assert len(rig.entries("bulk_halted")) == 1
    assert len(rig.entries("bulk_interrupted")) == 1
    assert not rig.entries("bulk_resumed"), "a stop is no all-clear"
    assert len(rig.log.read_bytes().splitlines()) < 10
