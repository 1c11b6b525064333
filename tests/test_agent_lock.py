"""One agent a state directory."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import LockedError, LockLostError, StateDirectoryError
from agent.lock import LOCK_NAME, hold, holder

HOLDER = """
import sys, time
from pathlib import Path
from agent.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def hold_elsewhere(directory: Path) -> Generator[subprocess.Popen[str]]:
    """Let another process hold it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with hold_elsewhere(tmp_path) as process:
        yield process


@pytest.mark.slow
def test_a_second_agent_is_refused_and_told_who_holds_it(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockedError, match=f"process {other.pid}") as caught, hold(tmp_path):
        pass
    assert caught.value.hint
    assert holder(tmp_path) == other.pid


def test_what_a_killed_agent_left_is_taken_over(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    other.kill()
    other.wait()
    assert holder(tmp_path) is None
    with hold(tmp_path):
        assert holder(tmp_path) == os.getpid()
    assert holder(tmp_path) is None


def test_a_directory_that_cannot_be_is_refused_loudly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StateDirectoryError, match="file/state") as caught,
        hold(tmp_path / "file" / "state"),
    ):
        pass
    assert "INDELIBLE_AGENT_STATE_DIRECTORY" in caught.value.hint


def test_a_directory_that_may_not_be_written_is_refused_loudly() -> None:
    directory = Path(tempfile.mkdtemp(prefix="agent-lock-"))
    directory.chmod(0o555)
    was = os.geteuid()
    os.seteuid(65_534 if was == 0 else was)
    try:
        with pytest.raises(StateDirectoryError, match="Permission denied"), hold(directory):
            pass
    finally:
        os.seteuid(was)
        directory.rmdir()


@pytest.mark.slow
def test_a_full_disk_keeps_nobody_from_holding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(tmp_path):
        pass

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with hold(tmp_path), pytest.raises(LockedError), hold(tmp_path):
        pass


def test_whoever_only_looks_keeps_no_agent_out(tmp_path: Path) -> None:
    """Looking takes the lock for a moment."""
    with hold(tmp_path):
        pass
    descriptor = os.open(tmp_path / LOCK_NAME, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    timer = threading.Timer(0.05, os.close, (descriptor,))
    timer.start()
    with hold(tmp_path):
        assert holder(tmp_path) == os.getpid()
    timer.join()


def test_a_lock_whose_file_was_deleted_is_taken_again(tmp_path: Path) -> None:
    with hold(tmp_path / "state") as lock:
        lock.keep()
        shutil.rmtree(tmp_path / "state")
        lock.keep()
        assert not (tmp_path / "state").exists(), "an operator may want it gone for a while"
        (tmp_path / "state").mkdir()
        lock.keep()
        assert holder(tmp_path / "state") == os.getpid()
        with pytest.raises(LockedError), hold(tmp_path / "state"):
            pass
    assert holder(tmp_path / "state") is None


@pytest.mark.slow
def test_a_lock_that_cannot_be_looked_at_for_a_moment_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with hold(tmp_path) as lock:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", fail)
            lock.keep()
        assert holder(tmp_path) == os.getpid()


def test_a_lock_that_another_agent_took_since_it_was_deleted_is_lost(tmp_path: Path) -> None:
    with hold(tmp_path) as lock:
        (tmp_path / LOCK_NAME).unlink()
        with hold_elsewhere(tmp_path) as other:
            with pytest.raises(LockLostError, match=f"deleted .* by process {other.pid}"):
                lock.keep()
            assert holder(tmp_path) == other.pid
