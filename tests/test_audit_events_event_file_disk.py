"""A disk that fails, fills or turns read-only under an open log, and is good again later."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_events import open_log
from audit_events.chain import verify_chain
from audit_events.errors import LineError, SinkError
from audit_events.event import decode_event
from audit_events.event_file import LOOK_INTERVAL_SECONDS, EventFile
from tests.mounted_disk import ErringDisk, ThinDisk, erring_disk, sync, thin_disk
from tests.written import read_lines

EVENT: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _open_files(path: Path) -> int:
    links = list(Path("/proc/self/fd").iterdir())
    targets = [os.readlink(link) for link in links if link.is_symlink()]  # noqa: PTH115  # need not be there
    return targets.count(str(path))


def _fail(monkeypatch: pytest.MonkeyPatch, call: str, error: int) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, call, fail)


TORN = b'{"action":"app.cr' + b"\0" * 20
FAILED = [errno.EROFS, errno.EIO, errno.EUCLEAN, errno.ENXIO, errno.ENODEV, errno.ESTALE]


@pytest.mark.slow
@pytest.mark.parametrize("error", FAILED)
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_file_system_that_failed_is_let_go_of_and_taken_up_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: int, durability: Any
) -> None:
    """An open file would keep it from being unmounted, and so from ever being writable again."""
    log = open_log(path, service="s", durability=durability)
    log.info("app.created", **EVENT)
    for _ in range(3):
        _fail(monkeypatch, "write", error)
        with pytest.raises(SinkError, match=os.strerror(error)):
            log.info("app.created", **EVENT)
        monkeypatch.undo()
        assert _open_files(path) == 0
    log.info("app.created", **EVENT)
    assert [decode_event(line).source.seq for line in read_lines(path)] == [0, 1]
    assert verify_chain(read_lines(path)) == []


def test_a_full_file_is_kept_open_for_a_process_that_may_not_open_it_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    _fail(monkeypatch, "write", errno.ENOSPC)
    with pytest.raises(SinkError, match="free space"):
        event_file.append(b"two\n")
    monkeypatch.undo()
    _fail(monkeypatch, "open", errno.EACCES)
    event_file.append(b"three\n")
    assert path.read_bytes() == b"one\nthree\n"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_lines_of_a_deleted_file_are_written_again_though_no_file_can_be_made_at_first(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    now = [10.0]
    monkeypatch.setattr("audit_events.event_file.monotonic", lambda: now[0])
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.unlink()
    event_file.append(b"two\n")
    now[0] = 10.002
    with monkeypatch.context() as failing:
        _fail(failing, "open", error)
        for _ in range(2):
            with pytest.raises(SinkError):
                event_file.append(b"three\n")
    event_file.append(b"four\n")
    assert path.read_bytes() == b"two\nfour\n"


@pytest.mark.parametrize(
    ("silent_seconds", "left"),
    [
        pytest.param(2.0, b"three\nfour\n", id="the torn piece and its zeros vanish"),
        pytest.param(0.5, TORN + b"three\nfour\n", id="sooner, no kernel drops anything"),
    ],
)
def test_after_a_silence_a_line_is_not_glued_to_what_the_kernel_could_not_write(
    path: Path, monkeypatch: pytest.MonkeyPatch, silent_seconds: float, left: bytes
) -> None:
    """It drops the pages then, and what is read comes from the disk."""
    now = [10.0]
    monkeypatch.setattr("audit_events.event_file.monotonic", lambda: now[0])
    event_file = EventFile(path)
    event_file.append(b"x" * (len(TORN) - 1) + b"\n")
    path.write_bytes(TORN)
    now[0] += silent_seconds
    event_file.append(b"three\n")
    event_file.append(b"four\n")
    assert path.read_bytes().lstrip(b"\n") == left


# --- Real file systems


@pytest.fixture
def erring(tmp_path: Path) -> Iterator[ErringDisk]:
    with erring_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def thin(tmp_path: Path) -> Iterator[ThinDisk]:
    with thin_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_an_ext4_that_turned_read_only_can_be_mended_below_a_log_that_goes_on(
    erring: ErringDisk, durability: Any
) -> None:
    path = erring.path / "audit.jsonl"
    log = open_log(path, service="s", durability=durability)
    ids = [log.info("app.created", **EVENT) for _ in range(3)]
    sync(erring.path)
    erring.fail()
    for _ in range(3):
        with pytest.raises(SinkError, match="unmount it, check it, mount it"):
            log.info("app.created", **EVENT)
    erring.mend()
    ids += [log.info("app.created", **EVENT) for _ in range(3)]
    assert [decode_event(line).id for line in read_lines(path)] == ids
    assert verify_chain(read_lines(path)) == []


def _whole(path: Path) -> list[bytes]:
    """The lines of a file that are events."""
    whole: list[bytes] = []
    for line in read_lines(path):
        with suppress(LineError, msgspec.MsgspecError):
            decode_event(line)
            whole.append(line)
    return whole


def test_a_disk_that_fails_at_each_sync_is_told_and_serves_again_when_it_is_good(
    thin: ThinDisk,
) -> None:
    path = thin.path / "audit.jsonl"
    log = open_log(path, service="s", durability="disk")
    before = [log.info("app.created", **EVENT) for _ in range(3)]
    thin.fill()
    operations: list[str] = []
    for _ in range(40):
        try:
            log.info("app.created", **EVENT, context={"pad": "x" * 300})
        except SinkError as error:
            operations.append(error.operation)
    assert len(operations) > 20
    assert set(operations) == {"sync"}
    thin.forget(path)
    thin.free()
    later = [log.info("app.created", **EVENT) for _ in range(3)]
    thin.forget(path)
    lines = _whole(path)
    ids = [decode_event(line).id for line in lines]
    assert (ids[:3], ids[-3:]) == (before, later)
    assert {one.kind for one in verify_chain(lines)} == {"gap"}


@pytest.mark.slow
def test_a_line_after_a_silence_stands_alone_though_the_disk_lost_those_before(
    thin: ThinDisk,
) -> None:
    path = thin.path / "audit.jsonl"
    log = open_log(path, service="s")
    log.info("app.created", **EVENT)
    thin.fill()
    for _ in range(40):
        log.info("app.created", **EVENT, context={"pad": "x" * 300})
    thin.forget(path)
    thin.free()
    _let_silence_pass()
    later = [log.info("app.created", **EVENT) for _ in range(2)]
    assert [decode_event(line).id for line in _whole(path)][-2:] == later


def _let_silence_pass() -> None:
    time.sleep(1 + 2 * LOOK_INTERVAL_SECONDS)
