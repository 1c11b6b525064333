"""A line is in the file whole when the call returns, or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit_events.errors import SinkError
from audit_events.event_file import EventFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_lines_are_appended_in_order(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    event_file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o007 == 0, "others may not read it"


def test_after_rename_rotation_a_new_file_is_opened(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.rename(path.with_suffix(".1"))
    event_file.append(b"two\n")
    assert path.with_suffix(".1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"


def test_after_deletion_a_new_file_is_opened(path: Path) -> None:
    """The opposite is hashicorp/vault#31718: the open descriptor kept writing into nothing."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.unlink()
    event_file.append(b"two\n")
    assert path.read_bytes() == b"two\n"


def test_after_copytruncate_lines_begin_at_the_start(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    os.truncate(path, 0)
    event_file.append(b"two\n")
    assert path.read_bytes() == b"two\n"


def test_a_line_torn_by_a_kill_is_ended_and_spoils_no_other(path: Path) -> None:
    path.write_bytes(b'one\n{"half')
    EventFile(path).append(b"two\n")
    assert path.read_bytes() == b'one\n{"half\ntwo\n'


def test_two_writers_of_one_file_do_not_mix(path: Path) -> None:
    one, two = EventFile(path), EventFile(path)
    one.append(b"1\n")
    two.append(b"2\n")
    one.append(b"3\n")
    assert path.read_bytes() == b"1\n2\n3\n"


def test_a_full_disk_leaves_nothing_of_the_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes the first bytes, then says ENOSPC: they are cut off again."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    real_write = os.write
    calls: list[int] = []

    def write_until_full(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, data[:3])

    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(SinkError, match="free space") as caught:
        event_file.append(b"a longer line\n")
    assert caught.value.path == path
    assert path.read_bytes() == b"one\n"
    monkeypatch.undo()
    event_file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_short_write_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:4]))
    EventFile(path).append(b"in three pieces\n")
    assert path.read_bytes() == b"in three pieces\n"


def test_a_real_full_device_is_an_error_at_the_call() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(SinkError, match="No space left"):
        EventFile(full).append(b"line\n")


def test_a_directory_that_vanished_is_named(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(SinkError, match="create the directory"):
        event_file.append(b"two\n")


_WRITER = """
import sys
from pathlib import Path
from audit_events.event_file import EventFile
event_file = EventFile(Path(sys.argv[1]))
for number in range(500):
    event_file.append(f"{sys.argv[2]}-{number}-{'x' * 9000}\\n".encode())
"""


@pytest.mark.slow
def test_processes_that_share_a_file_write_whole_lines(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(name)]) for name in range(3)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert len(lines) == 1500
    assert all(line.endswith("x" * 9000) for line in lines)
    for name in range(3):
        numbers = [int(line.split("-")[1]) for line in lines if line.startswith(f"{name}-")]
        assert numbers == list(range(500))
