"""A line is in the file whole when the call returns, or not at all."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_events.errors import SinkError
from audit_events.event_file import LOOK_INTERVAL_SECONDS, EventFile


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
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    event_file.append(b"two\n")
    assert path.with_suffix(".1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"


def test_after_deletion_a_new_file_is_opened(path: Path) -> None:
    """The opposite is hashicorp/vault#31718: the open descriptor kept writing into nothing."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.unlink()
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    event_file.append(b"two\n")
    assert path.read_bytes() == b"two\n"


def test_a_descriptor_that_somebody_closed_is_not_written_to_again(
    path: Path, tmp_path: Path
) -> None:
    """A daemon that does not fork closes all descriptors; the next file it opens has the number."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    os.close(event_file._descriptor)
    with (tmp_path / "other").open("w+b", buffering=0) as other:
        assert other.fileno() == event_file._descriptor
        event_file.append(b"two\n")
        assert (tmp_path / "other").read_bytes() == b""
        other.write(b"its own\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_line_that_went_into_another_file_by_the_number_of_ours_is_written_again(
    path: Path, tmp_path: Path
) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    event_file._next_look = time.monotonic() + 60
    os.close(event_file._descriptor)
    with (tmp_path / "other").open("w+b", buffering=0) as other:
        assert other.fileno() == event_file._descriptor
        event_file.append(b"two\n")
        event_file.append(b"three\n")
        assert (tmp_path / "other").read_bytes() == b"two\n"
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_descriptor_that_was_closed_is_opened_again(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    os.close(event_file._descriptor)
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    event_file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_after_copytruncate_lines_begin_at_the_start(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    os.truncate(path, 0)
    event_file.append(b"two\n")
    assert path.read_bytes() == b"two\n"


@pytest.mark.parametrize("is_open_before", [True, False])
@pytest.mark.parametrize(
    ("piece", "kept"),
    [
        pytest.param(b'{"action":"member.inv', b"", id="torn by a kill: it vanishes"),
        pytest.param(b'{"act', b"", id="torn early"),
        pytest.param(b"{", b"", id="one byte"),
        pytest.param(
            b'{"action":"a.b"}', b'{"action":"a.b"}', id="whole, appended without its newline"
        ),
        pytest.param(b"some other program's", b"some other program's", id="none of our lines"),
        pytest.param(b"\0" * 100, b"\0" * 100, id="zeros of a power cut"),
    ],
)
def test_what_stands_before_a_line_without_a_newline_spoils_no_line(
    path: Path, piece: bytes, kept: bytes, *, is_open_before: bool
) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    if not is_open_before:
        event_file.close()
    with path.open("ab") as killed:
        killed.write(piece)
    event_file.append(b"two\n")
    event_file.append(b"three\n")
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    assert lines == [b"one", *([kept] if kept else []), b"two", b"three"]


def test_where_nothing_can_be_blanked_the_line_stands_again(
    path: Path,
) -> None:
    """A file that may only be appended to keeps the piece; the line stands again behind it."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    with path.open("ab") as killed:
        killed.write(b'{"action":"member.inv')
    if subprocess.run(["chattr", "+a", path], check=False, capture_output=True).returncode:  # noqa: S607
        pytest.skip("this file system has no such attribute")
    try:
        event_file.append(b"two\n")
    finally:
        subprocess.run(["chattr", "-a", path], check=True)  # noqa: S607
    assert path.read_bytes() == b'one\n{"action":"member.invtwo\ntwo\n'


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
    assert path.read_bytes() == b"one\n\n\n\n", "empty lines, which are none"
    monkeypatch.undo()
    event_file.append(b"two\n")
    assert path.read_bytes() == b"one\n\n\n\ntwo\n"


@pytest.mark.parametrize(
    ("between", "left"),
    [
        pytest.param(b"", b"one\nother\n\n\n\n", id="nobody yet"),
        pytest.param(b"2\n", b"one\nother\n\n\n\n\n\n2\n", id="somebody who saw it"),
    ],
)
def test_a_full_disk_cuts_off_nothing_where_others_have_the_file_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, between: bytes, left: bytes
) -> None:
    """Another's line may stand behind the half by now."""
    event_file, other = EventFile(path), EventFile(path)
    event_file.append(b"one\n")
    other.append(b"other\n")
    real_write = os.write
    calls: list[int] = []

    def write_until_full(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            monkeypatch.undo()
            if between:
                other.append(between)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, data[:3])

    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(SinkError, match="free space"):
        event_file.append(b"a longer line\n")
    assert path.read_bytes() == left
    event_file.append(b"two\n")
    assert path.read_bytes() == left + b"two\n"


def test_a_line_that_went_into_a_deleted_file_is_written_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the look at the path and the write: seen after it."""
    event_file = EventFile(path)
    event_file.append(b"one\n")
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    real_write = os.write

    def delete_first(descriptor: int, data: bytes) -> int:
        path.unlink(missing_ok=True)
        monkeypatch.undo()
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", delete_first)
    event_file.append(b"two\n")
    assert path.read_bytes() == b"two\n"


@pytest.mark.parametrize(
    ("leave", "look_seconds", "left"),
    [
        pytest.param(Path.unlink, 10.002, b"two\nthree\nfour\n", id="deleted"),
        pytest.param(Path.unlink, 12.0, b"four\n", id="deleted, and looked at much later"),
        pytest.param(lambda path: path.rename(f"{path}.1"), 10.002, b"four\n", id="renamed"),
    ],
)
def test_lines_between_two_looks_that_were_deleted_are_written_again(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[Path], object],
    look_seconds: float,
    left: bytes,
) -> None:
    now = [10.0]
    monkeypatch.setattr("audit_events.event_file.monotonic", lambda: now[0])
    event_file = EventFile(path)
    event_file.append(b"one\n")
    leave(path)
    event_file.append(b"two\n")
    event_file.append(b"three\n")
    assert not path.exists(), "nobody looked"
    now[0] = look_seconds
    event_file.append(b"four\n")
    assert path.read_bytes() == left


def test_a_forked_child_does_not_write_its_parent_s_lines_again(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"first\n")
    event_file.append(b"parent\n")
    path.unlink()
    event_file.close()  # as the fork hook does in the child
    event_file.append(b"child\n")
    assert path.read_bytes() == b"child\n"


def test_a_writer_that_stands_still_stops_nobody(path: Path) -> None:
    """No lock is held between two lines that another would wait for."""
    one, two = EventFile(path), EventFile(path)
    one.open()
    two.append(b"two\n")
    assert path.read_bytes() == b"two\n"


def test_a_short_write_beside_others_is_written_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_file, other = EventFile(path), EventFile(path)
    event_file.append(b"one\n")
    real_write = os.write

    def write_half(descriptor: int, data: bytes) -> int:
        monkeypatch.undo()
        written = real_write(descriptor, data[:4])
        other.append(b"other\n")
        return written

    monkeypatch.setattr(os, "write", write_half)
    event_file.append(b"a longer line\n")
    lines = path.read_bytes().splitlines()
    assert lines.count(b"a longer line") == 1
    assert lines.count(b"other") == 1
    assert path.read_bytes().endswith(b"\n")


def test_what_is_spoiled_without_end_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    real_write = os.write

    def spoil(descriptor: int, data: bytes) -> int:
        real_write(descriptor, b"no line")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", spoil)
    with pytest.raises(SinkError, match="who else writes"):
        event_file.append(b"two\n")


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


def test_a_pipe_takes_lines_too(tmp_path: Path) -> None:
    """Such as the standard output of a container."""
    os.mkfifo(tmp_path / "pipe")
    event_file = EventFile(tmp_path / "pipe")
    event_file.open()
    with (tmp_path / "pipe").open("rb") as reader:
        event_file.append(b"one\n")
        event_file.append(b"two\n")
        assert (reader.readline(), reader.readline()) == (b"one\n", b"two\n")


def test_a_directory_that_vanished_is_named(path: Path) -> None:
    event_file = EventFile(path)
    event_file.append(b"one\n")
    path.unlink()
    path.parent.rmdir()
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
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
