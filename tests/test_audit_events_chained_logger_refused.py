"""What becomes of an event that its file does not take."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_events import open_log
from audit_events.chain import verify_chain
from audit_events.errors import SinkError
from audit_events.event import decode_event
from audit_events.event_file import LOOK_INTERVAL_SECONDS
from audit_events.failure import EVENT_MARK
from tests.mounted_disk import fill, small_disk
from tests.node_home import open_up
from tests.written import read_lines

EVENT: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}
CRITICAL = "organization.deleted"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "64k") as directory:
        yield directory


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_on_a_full_disk_the_action_fails_and_takes_no_seq(disk: Path, durability: Any) -> None:
    path = disk / "audit.jsonl"
    log = open_log(path, service="s", durability=durability)
    log.info("app.created", **EVENT)
    filler = fill(disk)
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


def test_a_callable_gets_each_line_of_a_full_disk_and_the_business_goes_on(disk: Path) -> None:
    path = disk / "audit.jsonl"
    kept: list[bytes] = []
    log = open_log(path, service="s", on_error=lambda _error, line: kept.append(line))
    ids = [log.info("app.created", **EVENT)]
    filler = fill(disk)
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
    open_up(tmp_path)
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


def test_a_file_system_that_is_read_only_is_told_at_start(disk: Path) -> None:
    remount = ["mount", "-o", "remount,ro", str(disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(SinkError, match="remount it writable"):
        open_log(disk / "audit.jsonl", service="s", on_error="stderr")
