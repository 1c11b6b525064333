"""A log whose process is killed, forked or interrupted by signals in the middle of an event."""

import contextlib
import errno
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from audit_events import open_log
from audit_events.chain import verify_chain
from audit_events.errors import SinkError
from audit_events.event import decode_event
from audit_events.event_file import EventFile
from audit_events.process_log import configure, get_logger
from tests.written import read_events, read_lines

EVENT: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}
CRITICAL = "organization.deleted"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


_ENDLESS = """
import os, sys, threading
from audit_events import open_log
log = open_log(sys.argv[1], service="s", durability="disk")
note = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
def emit():
    while True:
        event_id = log.info("app.created", organization_id="o", actor={"type": "system"})
        os.write(note, event_id.encode() + b"\\n")
for _ in range(16):
    threading.Thread(target=emit).start()
"""


def test_whoever_was_told_of_success_is_in_the_file_after_a_kill(
    path: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, str(path), str(notes)]) as process:
        deadline = time.monotonic() + 60
        while not (notes.exists() and notes.stat().st_size > 500 * 37):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    told = notes.read_text().split("\n")[:-1]
    open_log(path, service="next").info("app.created", **EVENT)
    lines = read_lines(path)
    assert set(told) <= {decode_event(line).id for line in lines}
    assert verify_chain(lines) == []


_FORKING = """
import os, sys, threading, time
from audit_events import open_log
log = open_log(sys.argv[1], service="s", durability="disk")
emit = lambda: log.info("app.created", organization_id="o", actor={"type": "system"})
emit()
began, real = threading.Event(), os.fsync
def slow(descriptor):
    began.set()
    time.sleep(0.3)
    real(descriptor)
os.fsync = slow
threads = [threading.Thread(target=emit) for _ in range(4)]
for thread in threads:
    thread.start()
began.wait()
child = os.fork()
if not child:
    names = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{name}")]
    emit()
    print(sum("audit.jsonl" in name for name in names), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
for thread in threads:
    thread.join()
emit()
"""


@pytest.mark.slow
def test_a_child_that_is_forked_while_a_sync_runs_is_a_source_of_its_own(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _FORKING, str(path)]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "0\n", "and has nothing open that is its parent's"
    assert len(read_lines(path)) == 7
    assert verify_chain(read_lines(path)) == []
    assert len({event.source.id for event in read_events(path)}) == 2


class _ThrownError(BaseException):
    """What a signal handler throws."""


@contextlib.contextmanager
def _signals(handler: Callable[[], object]) -> Generator[None]:
    """Send this thread signals, at random moments, whatever it does."""
    this, is_over = threading.get_ident(), threading.Event()

    def send() -> None:
        while not is_over.wait(random.uniform(0.0001, 0.002)):  # noqa: S311  # no secret
            signal.pthread_kill(this, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: handler())
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        is_over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("action", ["app.created", CRITICAL])
@pytest.mark.parametrize("recorded", ["app.created", CRITICAL])
def test_a_signal_handler_may_record_in_the_middle_of_an_event(
    path: Path, monkeypatch: pytest.MonkeyPatch, action: str, recorded: str
) -> None:
    log = open_log(path, service="s", heartbeat_seconds=60)
    log.info("app.created", **EVENT)
    append = EventFile.append

    def interrupt(self: EventFile, line: bytes) -> None:
        monkeypatch.setattr(EventFile, "append", append)
        log.info(recorded, **EVENT)
        append(self, line)

    monkeypatch.setattr(EventFile, "append", interrupt)
    log.info(action, **EVENT)
    log.info(action, **EVENT)
    assert [event.source.seq for event in read_events(path)] == [0, 0, 1, 2]
    assert verify_chain(read_lines(path)) == []
    chained: Any = log
    chained._logger.close()
    closed = [event for event in read_events(path) if event.action == "audit_log.source_closed"]
    assert len(closed) == 2, "both sources end"


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_signal_handler_may_record_at_any_moment(path: Path, durability: Any) -> None:
    log = open_log(path, service="s", durability=durability)
    recorded: list[str] = []
    ids: list[str] = []

    depth: list[None] = []

    def record() -> None:
        if len(depth) < 3:  # signals come in the middle of handlers, too
            depth.append(None)
            recorded.append(log.info("app.created", **EVENT))
            depth.pop()

    with _signals(record):
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends or len(recorded) <= 10:
            assert time.monotonic() < ends + 60
            ids.append(log.info("app.created", **EVENT))
    assert {event.id for event in read_events(path)} == {*ids, *recorded}
    assert verify_chain(read_lines(path)) == []


class _TimeoutError(TimeoutError):
    """An OSError that no system call returned."""


class _Attempts:
    """Records, and notes what it is told."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self.returned: list[str] = []
        self.refused: list[SinkError] = []
        self.is_over = threading.Event()

    def record(self) -> None:
        try:
            self.returned.append(self.log.info("app.created", **EVENT))
        except SinkError as error:
            self.refused.append(error)

    def record_until_it_is_over(self) -> None:
        while not self.is_over.is_set():
            self.record()
            time.sleep(0.0005)


def _record_under_signals(attempts: _Attempts, thrown: type[BaseException]) -> None:
    """Record, and be thrown out of it again and again, for a while and often."""
    is_caught = threading.Event()

    def throw() -> None:
        if is_caught.is_set():
            is_caught.clear()
            raise thrown

    thrown_out = 0
    ends = time.monotonic() + 0.7
    with _signals(throw):
        while time.monotonic() < ends or thrown_out <= 20:
            try:
                is_caught.set()
                while time.monotonic() < ends + 60:
                    attempts.record()
            except thrown:
                thrown_out += 1
            else:
                raise AssertionError("what a signal handler threw came out of no call")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("thrown", [_ThrownError, _TimeoutError])
def test_a_signal_handler_may_throw_at_any_moment(
    path: Path, durability: Any, thrown: type[BaseException]
) -> None:
    """Events of others are recorded, and who is not thrown out is told the truth."""
    attempts = _Attempts(open_log(path, service="s", durability=durability))

    threads = [threading.Thread(target=attempts.record_until_it_is_over) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        _record_under_signals(attempts, thrown)
    finally:
        attempts.is_over.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert {error.cause.errno for error in attempts.refused} <= {errno.EINTR}
    attempts.record()
    lines = read_lines(path)
    assert set(attempts.returned) <= {decode_event(line).id for line in lines}
    assert verify_chain(lines) == []


@pytest.mark.slow
def test_a_log_that_is_configured_otherwise_meanwhile_loses_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    configure(first, service="s", durability="disk", heartbeat_seconds=None)
    ids: list[str] = []
    is_over = threading.Event()

    def emit(_name: int) -> None:
        log = get_logger()
        while not is_over.is_set():
            ids.append(log.info("app.created", **EVENT))

    threads = [threading.Thread(target=emit, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for number in range(10):
        time.sleep(0.03)
        path, durability = ((second, "process"), (first, "disk"))[number % 2]
        configure(path, service="s", durability=durability, heartbeat_seconds=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # one of the two
    is_over.set()
    for thread in threads:
        thread.join(30)
    lines = [*read_lines(first), *read_lines(second)]
    assert {decode_event(line).id for line in lines} == set(ids)
    assert len(lines) == len(ids)
    assert verify_chain(lines) == []
