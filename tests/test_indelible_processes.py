"""Children of `up`: who they are, when they start again, and that they end in time."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indelible import run_record
from indelible.children import Children, child_environ, describe_exit
from indelible.display import Display
from indelible.errors import ChildFailedError, HomeInUseError, PortTakenError
from indelible.ports import check_free
from indelible.processes import (
    RESTART_DELAYS_SECONDS,
    RESTART_WINDOW_SECONDS,
    Child,
    Identity,
    Program,
    end,
    restart_delay_seconds,
    started,
)
from indelible.run_record import RunningChild, RunRecord, end_children, lock, read_record
from tests.waiting import wait_until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(60)"
)
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"


def wait_for_log(children: Children, name: str, word: str) -> None:
    wait_until(lambda: word in children.log_tail(name), word)


def make_child(directory: Path, script: str, stop_seconds: float = 60.0) -> Child:
    program = Program("thing", ("-c", script), stop_seconds)
    child = Child(program, directory / "thing.log", {"PATH": os.defpath})
    child.start()
    if script in {STUBBORN, OBEDIENT}:
        wait_until(lambda: child.log_tail(1) == "up", "is up")
    return child


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    (tmp_path / "run").mkdir()
    environ = child_environ({"PATH": os.defpath}, {})
    made = Children(tmp_path, environ, stop_order=("second", "first"), display=Display())
    yield made
    made.kill()


@pytest.mark.parametrize(
    ("ages_seconds", "expected"),
    [
        pytest.param([0], RESTART_DELAYS_SECONDS[0], id="the first end"),
        pytest.param([30, 0], RESTART_DELAYS_SECONDS[1], id="the second soon after"),
        pytest.param([RESTART_WINDOW_SECONDS, 0], RESTART_DELAYS_SECONDS[0], id="long ago"),
        pytest.param([4, 3, 2, 1, 0], RESTART_DELAYS_SECONDS[-1], id="the last try"),
        pytest.param([5, 4, 3, 2, 1, 0], None, id="given up"),
    ],
)
def test_restarts_slow_down_and_end(ages_seconds: list[float], expected: float | None) -> None:
    assert restart_delay_seconds([1000 - age for age in ages_seconds], 1000) == expected


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    own = Identity(os.getpid(), started(os.getpid()))
    assert own.lives()
    assert not Identity(os.getpid(), own.started + "1").lives()
    assert not Identity(2**22 + 1, own.started).lives()


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity(process.pid, started(process.pid))
    assert identity.lives()
    process.kill()
    wait_until(lambda: not identity.lives(), "it is dead")
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def test_a_child_ends_when_it_is_asked(tmp_path: Path) -> None:
    child = make_child(tmp_path, OBEDIENT)
    assert child.stop()
    assert not child.lives()
    assert child.log.stat().st_mode & 0o777 == 0o600


def test_a_child_that_does_not_listen_is_killed_in_time(tmp_path: Path) -> None:
    child = make_child(tmp_path, STUBBORN, stop_seconds=0.2)
    begun = time.monotonic()
    assert not child.stop()
    assert not child.lives()
    assert time.monotonic() - begun < 30, "by itself it would live for 60 s"


def test_what_a_killed_child_started_ends_with_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        f"inner = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        "print(inner.pid, flush=True)\n"
        "inner.wait()"
    )
    child = make_child(tmp_path, script)
    wait_until(lambda: child.log_tail(5).count("\n") == 1, "both are up")
    pid = int(next(line for line in child.log_tail(5).splitlines() if line.isdecimal()))
    inner = Identity(pid, started(pid))
    assert inner.lives()
    child.kill()
    wait_until(lambda: not inner.lives(), "it is dead")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "stop_seconds"),
    [pytest.param(OBEDIENT, 5.0, id="in time"), pytest.param(STUBBORN, 0.2, id="by force")],
)
def test_a_process_of_somebody_else_is_ended(
    script: str, stop_seconds: float, tmp_path: Path
) -> None:
    child = make_child(tmp_path, script)
    assert child.pid is not None
    identity = Identity(child.pid, started(child.pid))
    assert end(identity, stop_seconds=stop_seconds)
    assert not identity.lives()
    assert not end(identity, stop_seconds=stop_seconds)
    child.kill()


@pytest.mark.slow
def test_a_child_that_ends_is_started_again_and_told_of(
    children: Children, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = "import os, sys; print('why it ended'); sys.exit(3)"
    children.start(Program("first", ("-c", script), 1.0))
    record = read_record(tmp_path)
    assert record is not None
    first = record.children[0].pid

    def restarted() -> bool:
        children.tend()
        latest = read_record(tmp_path)
        return latest is not None and latest.children[0].pid != first

    wait_until(restarted, "it runs again")
    told = capsys.readouterr().err
    assert "first ended with exit code 3" in told
    assert "| why it ended" in told
    assert "starts again in 0.5 s" in told


def test_a_child_that_does_not_stay_up_is_an_error_with_its_log(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indelible.processes.RESTART_DELAYS_SECONDS", ())
    children.start(Program("first", ("-c", "print('broken'); raise SystemExit(1)"), 1.0))

    def tend() -> bool:
        children.tend()
        return False

    with pytest.raises(ChildFailedError, match="does not stay up") as caught:
        wait_until(tend, "it is given up")
    assert "| broken" in str(caught.value)
    assert "first.log" in caught.value.hint


def test_children_end_in_order_and_leave_no_record(children: Children, tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(order)!r}, 'a').write(NAME), "
        "sys.exit(0)))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)"
    )
    for name in ("first", "second"):
        children.start(Program(name, ("-c", f"NAME = '{name} '\n{script}"), 60.0))
        wait_for_log(children, name, "up")
    children.stop()
    children.forget()
    assert order.read_text() == "second first "
    assert read_record(tmp_path) is None


def test_the_log_of_the_run_before_is_kept(children: Children, tmp_path: Path) -> None:
    for word in ("one", "two"):
        children.start(Program("first", ("-c", f"print({word!r})"), 1.0))
        wait_for_log(children, "first", word)
        children.stop()
    assert (tmp_path / "logs" / "first.log").read_text() == "two\n"
    assert (tmp_path / "logs" / "first.log.1").read_text() == "one\n"


def record_of(pid: int, *running: RunningChild) -> RunRecord:
    return RunRecord(pid=pid, started=started(pid), children=running)


def test_only_one_up_holds_a_home(tmp_path: Path) -> None:
    with lock(tmp_path):
        run_record.write_record(tmp_path, record_of(os.getpid()))
        with pytest.raises(HomeInUseError, match=f"process {os.getpid()}"), lock(tmp_path):
            pytest.fail("locked twice")
        run_record.remove_record(tmp_path)
    with lock(tmp_path):
        assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.slow
def test_an_up_waits_for_the_guard_that_cleans_up_before_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    guard = os.open(tmp_path / "run", os.O_RDONLY)
    fcntl.flock(guard, fcntl.LOCK_EX)
    is_done = threading.Event()

    def end() -> None:
        is_done.set()
        os.close(guard)

    threading.Timer(0.3, end).start()
    with lock(tmp_path):
        assert is_done.is_set()


def test_what_a_killed_up_left_is_ended_but_nobody_else(tmp_path: Path) -> None:
    left, other = (make_child(tmp_path / name, OBEDIENT) for name in ("left", "other"))
    assert left.pid is not None
    assert other.pid is not None
    record = record_of(
        2**22 + 1,
        RunningChild(name="agent", pid=left.pid, started=started(left.pid), stop_seconds=5),
        RunningChild(name="web", pid=other.pid, started="another time", stop_seconds=5),
    )
    assert end_children(record) == ["agent"]
    assert not left.lives()
    assert other.lives()
    other.kill()


def test_a_taken_port_names_its_holder_and_what_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            check_free("127.0.0.1", port, hint="--port PORT or INDELIBLE_WEB_PORT")
    assert f"port {port}" in str(caught.value)
    assert f"({os.getpid()})" in str(caught.value)
    assert "INDELIBLE_WEB_PORT" in caught.value.hint


def test_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check_free("127.0.0.1", port, hint="")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(3, "exit code 3", id="an exit"),
        pytest.param(-signal.SIGKILL, "signal 9", id="a signal"),
    ],
)
def test_how_a_process_ended(code: int, expected: str) -> None:
    assert describe_exit(code) == expected
