"""How durable an event is when its call returns."""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit_events import chained_logger, open_log
from audit_events.chain import verify_chain
from audit_events.errors import ParameterError, SinkError
from audit_events.event import decode_event
from tests.waiting import wait_until
from tests.written import open_below, read_events, read_lines

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
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self.began.set()
        time.sleep(self.seconds)
        self.may_end.wait(30)
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
    syncs.may_end.clear()
    critical = threading.Thread(target=lambda: log.info(CRITICAL, **EVENT))
    critical.start()
    assert syncs.began.wait(60)
    log.info("app.created", **EVENT)
    assert not syncs.synced, "it is under way"
    syncs.may_end.set()
    critical.join(60)
    assert verify_chain(read_lines(path)) == []


def _eio() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.slow
def test_a_failed_sync_is_told_to_all_who_waited_for_it_and_to_no_other(
    path: Path, syncs: Syncs
) -> None:
    log: Any = open_log(path, service="s", durability="disk")
    syncs.errors = [None, _eio()]
    syncs.began.clear()
    syncs.may_end.clear()
    failed: list[SinkError] = []

    def emit(_name: int) -> None:
        try:
            log.info("app.created", **EVENT)
        except SinkError as error:
            failed.append(error)

    first = threading.Thread(target=emit, args=(0,))
    first.start()
    assert syncs.began.wait(60)
    # They wait together for the next one, which fails.
    others = [threading.Thread(target=emit, args=(name,)) for name in range(1, 7)]
    for one in others:
        one.start()
    wait_until(lambda: len(log._logger._commits._queue._waiting) == len(others), "all wait")
    syncs.may_end.set()
    for one in (first, *others):
        one.join(60)
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
    before = len(open_below(path.parent))
    for number in range(20):
        path.rename(path.with_suffix(f".{number}"))
        log.info("app.created", **EVENT)
    assert len(open_below(path.parent)) == before == 1


def test_what_is_known_of_a_thread_is_forgotten_when_its_event_is_over(path: Path) -> None:
    log: Any = open_log(path, service="s", durability="disk")
    _in_threads(8, lambda _name: log.info("app.created", **EVENT))
    chained: chained_logger.ChainedLogger = log._logger
    assert chained._waiting == set()
