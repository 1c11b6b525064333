"""How durable an event is when its call returns; what becomes of one that is not written."""

import contextlib
import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit_events import chained_logger, open_log
from audit_events.chain import verify_chain
from audit_events.errors import ParameterError, SinkError
from audit_events.event import decode_event
from audit_events.event_file import LOOK_INTERVAL_SECONDS, EventFile
from audit_events.failure import EVENT_MARK
from audit_events.process_log import configure, get_logger
from tests.written import read_events, read_lines

EVENT: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}
CRITICAL = "organization.deleted"
_REAL_FSYNC = os.fsync


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


class Syncs:
    """Stands in for `os.fsync`: notes what is synced, and may fail or take its time."""

    def __init__(self) -> None:
        self.synced: list[tuple[bool, int]] = []
        """Whether a directory, and its size or that of the file."""
        self.seconds = 0.0
        self.errors: Sequence[BaseException | None] = ()
        """What the next ones end with."""
        self.began = threading.Event()

    def __call__(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self.began.set()
        time.sleep(self.seconds)
        self.synced.append((stat.S_ISDIR(found.st_mode), found.st_size))
        error, *self.errors = self.errors or [None]
        if error is not None:
            raise error
        _REAL_FSYNC(descriptor)

    @property
    def files(self) -> int:
        return sum(not is_directory for is_directory, _ in self.synced)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    stand_in = Syncs()
    monkeypatch.setattr(os, "fsync", stand_in)
    return stand_in


def _in_threads(number: int, work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(name,)) for name in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


def test_on_the_disk_a_line_is_synced_before_its_call_returns(path: Path, syncs: Syncs) -> None:
    log = open_log(path, service="s", durability="disk")
    for number in range(1, 4):
        log.info("app.created", **EVENT)
        assert syncs.synced[-1] == (False, path.stat().st_size), "all of it"
        assert syncs.files == number + 1, "and once at start"
    assert verify_chain(read_lines(path)) == []


def test_a_file_that_is_new_is_synced_with_the_directories_that_lead_to_it(
    tmp_path: Path, syncs: Syncs
) -> None:
    path = tmp_path / "var" / "logs" / "audit.jsonl"
    log = open_log(path, service="s", durability="disk")
    directories = sum(is_directory for is_directory, _ in syncs.synced)
    assert directories == 3, "logs, which has the file; var, which has logs; and what has var"
    log.info("app.created", **EVENT)
    assert sum(is_directory for is_directory, _ in syncs.synced) == directories, "they were"
    path.rename(path.with_suffix(".1"))
    log.info("app.created", **EVENT)
    assert sum(is_directory for is_directory, _ in syncs.synced) == directories + 1
    assert len(read_lines(path)) == 1


def test_a_process_log_syncs_what_is_critical_and_nothing_else(path: Path, syncs: Syncs) -> None:
    log = open_log(path, service="s")
    log.info("app.created", **EVENT)
    assert syncs.synced == []
    log.info(CRITICAL, **EVENT)
    assert (False, path.stat().st_size) in syncs.synced
    log.info("app.created", **EVENT)
    assert syncs.files == 1
    assert [event.source.seq for event in read_events(path)] == [0, 1, 2]
    assert verify_chain(read_lines(path)) == []


def test_an_application_s_own_critical_actions_are_synced_under_their_old_ids_too(
    path: Path, tmp_path: Path, syncs: Syncs
) -> None:
    own = tmp_path / "actions.toml"
    own.write_text(
        '[invoice.approved]\ncategory="Billing & Subscriptions"\ncolour="blue"\n'
        'title="Invoice approved"\ndescription="An invoice was approved."\ncritical=true\n'
        'aliases=["invoice.accepted"]\nexample={}\n'
    )
    log = open_log(path, service="s", catalogue_path=own)
    log.info("invoice.approved", **EVENT)
    log.info("invoice.accepted", **EVENT)
    assert syncs.files == 2


def test_a_line_that_is_to_be_on_the_disk_is_never_left_in_a_deleted_file(path: Path) -> None:
    log = open_log(path, service="s", durability="disk")
    for _ in range(20):
        path.unlink()
        event_id = log.info("app.created", **EVENT)
        assert [event.id for event in read_events(path)] == [event_id]


@pytest.mark.slow
def test_sixteen_threads_share_syncs(path: Path, syncs: Syncs) -> None:
    log = open_log(path, service="s", durability="disk")
    syncs.seconds = 0.01

    def emit(_name: int) -> None:
        for _ in range(20):
            event_id = log.info("app.created", **EVENT)
            size = max(size for is_directory, size in syncs.synced if not is_directory)
            assert event_id.encode() in path.read_bytes()[:size], "a sync that covers it is over"

    _in_threads(16, emit)
    lines = read_lines(path)
    assert len(lines) == 320
    assert verify_chain(lines) == []
    assert syncs.files <= 320 / 8, "eight times the events of one sync each"
    stamps = [event.timestamp for event in read_events(path)]
    assert stamps == sorted(stamps), "when it was called, in the order of the chain"


@pytest.mark.slow
def test_events_that_need_no_sync_do_not_wait_for_one(path: Path, syncs: Syncs) -> None:
    log = open_log(path, service="s")
    syncs.seconds = 0.5
    critical = threading.Thread(target=lambda: log.info(CRITICAL, **EVENT))
    critical.start()
    syncs.began.wait(10)
    before = time.monotonic()
    log.info("app.created", **EVENT)
    assert time.monotonic() - before < 0.4
    critical.join()
    assert verify_chain(read_lines(path)) == []


def _eio() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.slow
def test_a_failed_sync_is_told_to_all_who_waited_for_it_and_to_no_other(
    path: Path, syncs: Syncs
) -> None:
    log = open_log(path, service="s", durability="disk")
    syncs.seconds, syncs.errors = 1.0, [None, _eio()]
    syncs.began.clear()
    failed: list[SinkError] = []

    def emit(_name: int) -> None:
        try:
            log.info("app.created", **EVENT)
        except SinkError as error:
            failed.append(error)

    first = threading.Thread(target=emit, args=(0,))
    first.start()
    assert syncs.began.wait(10)
    # They wait together for the next one, which fails.
    _in_threads(6, emit)
    first.join()
    emit(7)
    assert len(failed) == 6
    assert {error.operation for error in failed} == {"sync"}
    assert len({id(error) for error in failed}) == len(failed), "each has its own"
    assert "look at the disk" in str(failed[0])
    assert len(read_lines(path)) == 8, "the lines stand in the file, and keep their places"
    assert verify_chain(read_lines(path)) == []


def test_after_a_failed_sync_the_next_line_is_not_glued_to_what_may_be_lost(
    path: Path, syncs: Syncs
) -> None:
    log = open_log(path, service="s", durability="disk")
    syncs.errors = [_eio()]
    with pytest.raises(SinkError, match="cannot sync"):
        log.info("app.created", **EVENT)
    log.info("app.created", **EVENT)
    assert path.read_bytes().count(b"\n\n") == 1
    assert verify_chain(read_lines(path)) == []


def test_a_directory_that_could_not_be_synced_is_synced_with_the_next_event(
    path: Path, syncs: Syncs
) -> None:
    log = open_log(path, service="s")
    log.info("app.created", **EVENT)
    directory_fails: list[BaseException] = [_eio()]

    def fail(descriptor: int) -> None:
        if directory_fails and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise directory_fails.pop()
        syncs(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(SinkError, match="cannot sync"):
            log.info(CRITICAL, **EVENT)
    syncs.synced.clear()
    log.info(CRITICAL, **EVENT)
    assert any(is_directory for is_directory, _ in syncs.synced)


def test_a_sync_that_failed_where_no_line_was_written_is_not_forgotten(
    path: Path, syncs: Syncs
) -> None:
    """Nobody is told of it, and the next event is on the disk only with the name of its file."""
    log = open_log(path, service="s")
    syncs.errors = [_eio()]

    def refuse(_descriptor: int, _line: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", refuse)
        with pytest.raises(SinkError, match="free space"):
            log.info(CRITICAL, **EVENT)
    assert not syncs.errors, "it was tried"
    syncs.synced.clear()
    log.info(CRITICAL, **EVENT)
    assert any(is_directory for is_directory, _ in syncs.synced)


def test_a_handler_gets_the_line_that_may_not_be_on_the_disk(path: Path, syncs: Syncs) -> None:
    got: list[tuple[SinkError, bytes]] = []
    log = open_log(path, service="s", durability="disk", on_error=lambda *pair: got.append(pair))
    syncs.errors = [_eio()]
    event_id = log.info("app.created", **EVENT)
    ((error, line),) = got
    assert error.operation == "sync"
    assert decode_event(line).id == event_id
    assert read_lines(path) == [line.rstrip()]


def test_what_cannot_be_synced_shows_at_start(tmp_path: Path, syncs: Syncs) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParameterError, match="no regular file"):
        open_log(tmp_path / "pipe", service="s", durability="disk")
    syncs.errors = [OSError(errno.EINVAL, os.strerror(errno.EINVAL))]
    with pytest.raises(SinkError, match="cannot sync"):
        open_log(tmp_path / "audit.jsonl", service="s", durability="disk")


def test_a_critical_event_goes_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    log = open_log(tmp_path / "pipe", service="s")
    with (tmp_path / "pipe").open("rb") as reader:
        log.info(CRITICAL, **EVENT)
        assert decode_event(reader.readline()).action == CRITICAL


def test_no_descriptor_stays_open(path: Path) -> None:
    log = open_log(path, service="s", durability="disk")
    log.info("app.created", **EVENT)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no path of ours
    for number in range(20):
        path.rename(path.with_suffix(f".{number}"))
        log.info("app.created", **EVENT)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  # as above


# --- What the file does not take


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB that can be filled."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)  # noqa: S607


def _fill(directory: Path) -> Path:
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_on_a_full_disk_the_action_fails_and_takes_no_seq(
    small_disk: Path, durability: Any
) -> None:
    path = small_disk / "audit.jsonl"
    log = open_log(path, service="s", durability=durability)
    log.info("app.created", **EVENT)
    filler = _fill(small_disk)
    for _ in range(20):
        # Some may still fit into the last page.
        with contextlib.suppress(SinkError):
            log.info("app.created", **EVENT, context={"padding": "x" * 300})
    with pytest.raises(SinkError, match="free space") as caught:
        log.info("app.created", **EVENT, context={"padding": "x" * 3000})
    assert caught.value.cause.errno == errno.ENOSPC
    filler.unlink()
    log.info("app.created", **EVENT)
    assert verify_chain(read_lines(path)) == []


def test_a_callable_gets_each_line_of_a_full_disk_and_the_business_goes_on(
    small_disk: Path,
) -> None:
    path = small_disk / "audit.jsonl"
    kept: list[bytes] = []
    log = open_log(path, service="s", on_error=lambda _error, line: kept.append(line))
    ids = [log.info("app.created", **EVENT)]
    filler = _fill(small_disk)
    ids += [log.info("app.created", **EVENT, context={"n": "x" * 300}) for _ in range(30)]
    ids += [log.info(CRITICAL, **EVENT, context={"n": "x" * 300}) for _ in range(3)]
    filler.unlink()
    ids.append(log.info("app.created", **EVENT))
    assert len(kept) > 3
    gaps = verify_chain(read_lines(path))
    assert {one.kind for one in gaps} == {"gap"}
    assert sum(one.seq - one.expected_seq for one in gaps) == len(kept), "each is missed"
    whole = sorted([*read_lines(path), *(line.rstrip() for line in kept)], key=_seq)
    assert verify_chain(whole) == [], "with the lines that were kept nothing is"
    assert [decode_event(line).id for line in whole] == ids


def _seq(line: bytes) -> int:
    return decode_event(line).source.seq


_TO_STDERR = """
import resource, sys
from audit_events import open_log
log = open_log(sys.argv[1], service="s", on_error="stderr", durability=sys.argv[2])
log.info("app.created", organization_id="o", actor={"type": "system", "name": "Zoë"})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
log.info("app.created", organization_id="o", actor={"type": "system", "name": "Zoë"})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("app.created", organization_id="o", actor={"type": "system", "name": "Zoë"})
"""


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_what_is_appended_from_stderr_closes_the_gap(path: Path, durability: str) -> None:
    command = [sys.executable, "-c", _TO_STDERR, str(path), durability]
    done = subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"}
    )
    (said,) = done.stderr.splitlines()
    assert b"raise the limit of this process" in said
    one, three = read_lines(path)
    two = said.split(EVENT_MARK)[1]
    assert verify_chain([one, three]) != []
    assert verify_chain([one, two, three]) == []


def test_a_handler_that_fails_raises_what_it_could_not_handle(path: Path) -> None:
    def fail(_error: SinkError, _line: bytes) -> None:
        raise ValueError("the queue is full too")

    log = open_log(path, service="s", on_error=fail)
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    with pytest.raises(SinkError, match="create the directory") as caught:
        log.info("app.created", **EVENT)
    assert "queue is full too" in caught.value.__notes__[0]
    hidden.rename(path.parent)
    log.info("app.created", **EVENT)
    assert [one.kind for one in verify_chain(read_lines(path))] == ["gap"]


def test_a_handler_may_record_in_the_same_log(path: Path) -> None:
    """It runs when the log is let go of; else it would wait for itself."""
    inner: list[str] = []

    def note(_error: SinkError, _line: bytes) -> None:
        if not inner:
            inner.append("entered")
            with contextlib.suppress(SinkError):
                log.info("app.created", **EVENT)

    log = open_log(path, service="s", on_error=note)
    path.parent.rename(path.parent.with_name("hidden"))
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    log.info("app.created", **EVENT)
    assert inner


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_vanished_directory_fails_the_action_until_it_is_back(
    path: Path, durability: Any
) -> None:
    log = open_log(path, service="s", durability=durability)
    log.info("app.created", **EVENT)
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    for _ in range(3):
        with pytest.raises(SinkError, match="create the directory"):
            log.info("app.created", **EVENT)
    hidden.rename(path.parent)
    log.info("app.created", **EVENT)
    assert verify_chain(read_lines(path)) == []
    assert len(read_lines(path)) == 2


_AS_NOBODY = """
import os, sys, time
from audit_events import open_log
from audit_events.errors import SinkError
os.setgid(65534); os.setuid(65534)
log = open_log(sys.argv[1], service="s", durability=sys.argv[2])
emit = lambda: log.info("app.created", organization_id="o", actor={"type": "system"})
emit()
print("recorded", flush=True)
sys.stdin.readline()
time.sleep(0.01)
try:
    emit()
except SinkError as error:
    print(error, flush=True)
sys.stdin.readline()
emit()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_permission_that_was_taken_away_fails_the_action_until_it_is_back(
    tmp_path: Path, durability: str
) -> None:
    """Rotated, and whoever rotates made a directory in which the application may not write."""
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir()
    os.chown(logs, 65534, 65534)
    path = logs / "audit.jsonl"
    command = [sys.executable, "-c", _AS_NOBODY, str(path), durability]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        path.rename(logs / "audit.jsonl.1")
        os.chown(logs, 0, 0)
        process.stdin.write("\n")
        process.stdin.flush()
        assert "Permission denied; let this user write there" in process.stdout.readline()
        os.chown(logs, 65534, 65534)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(30) == 0
    assert verify_chain([*read_lines(logs / "audit.jsonl.1"), *read_lines(path)]) == []


def test_a_file_system_that_is_read_only_is_told_at_start(small_disk: Path) -> None:
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(SinkError, match="remount it writable"):
        open_log(small_disk / "audit.jsonl", service="s", on_error="stderr")


# --- Kills, forks, signals


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
        while time.monotonic() < ends:
            ids.append(log.info("app.created", **EVENT))
    assert len(recorded) > 10
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


def _record_under_signals(attempts: _Attempts, thrown: type[BaseException]) -> int:
    """Record, and be thrown out of it again and again; return how often."""
    is_caught = threading.Event()

    def throw() -> None:
        if is_caught.is_set():
            is_caught.clear()
            raise thrown

    thrown_out = 0
    ends = time.monotonic() + 0.7
    with _signals(throw):
        while time.monotonic() < ends:
            try:
                is_caught.set()
                while True:
                    attempts.record()
            except thrown:
                thrown_out += 1
    return thrown_out


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
    thrown_out = _record_under_signals(attempts, thrown)
    attempts.is_over.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert thrown_out > 20
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


def test_what_is_known_of_a_thread_is_forgotten_when_its_event_is_over(path: Path) -> None:
    log: Any = open_log(path, service="s", durability="disk")
    _in_threads(8, lambda _name: log.info("app.created", **EVENT))
    chained: chained_logger.ChainedLogger = log._logger
    assert chained._waiting == set()
