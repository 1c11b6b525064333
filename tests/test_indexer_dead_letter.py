"""The dead letter: every record durable, none torn, whatever the line holds."""

import base64
import errno
import os
import stat
import threading
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from indexer.dead_letter import DeadLetter, Refusal
from indexer.errors import DeadLetterError

TIME = "2026-11-23T18:00:00.000000Z"


def refusal(line: bytes | None = b"{}", *, path: str = "/a.log", offset: int = 0) -> Refusal:
    return Refusal(path=path, offset=offset, reason="why", status=400, time=TIME, line=line)


def records(dead_letter: DeadLetter) -> list[dict[str, object]]:
    lines = dead_letter.path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines]


def test_a_record_says_where_the_line_was_and_why_it_is_here(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path / "new" / "directory")
    dead_letter.append([refusal(b'{"a":"\xc3\xa9"}', offset=17)])
    assert records(dead_letter) == [
        {
            "path": "/a.log",
            "offset": 17,
            "reason": "why",
            "status": 400,
            "time": TIME,
            "line": '{"a":"é"}',
        }
    ]
    assert stat.S_IMODE(dead_letter.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"\x00", b"", b'{"a":"\n"}', b"\xed\xa0\x80", "\u2028".encode()]
)
def test_any_bytes_come_back(tmp_path: Path, line: bytes) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.append([refusal(line)])
    (record,) = records(dead_letter)
    if "line" in record:
        assert str(record["line"]).encode() == line
    else:
        assert base64.b64decode(str(record["lineBase64"])) == line


def test_a_line_too_long_to_hold_is_known_by_its_length_and_digest(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.append(
        [
            Refusal(
                path="/a", offset=0, reason="too long", time=TIME, length_bytes=10**9, sha256="ab"
            )
        ]
    )
    (record,) = records(dead_letter)
    assert (record["bytes"], record["sha256"]) == (10**9, "ab")
    assert "line" not in record
    assert "status" not in record


def test_a_path_that_is_no_utf8_is_written_readably(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.append([refusal(path=os.fsdecode(b"/var/\xff.log"))])
    assert records(dead_letter)[0]["path"] == "/var/\\xff.log"


def test_a_torn_record_does_not_spoil_the_next(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.append([refusal()])
    whole = dead_letter.path.read_bytes()
    dead_letter.path.write_bytes(whole + whole[:20])
    dead_letter.append([refusal(offset=9)])
    assert dead_letter.path.read_bytes().splitlines()[2] == whole.replace(
        b'"offset":0', b'"offset":9'
    ).rstrip(b"\n")


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    DeadLetter(tmp_path).append([])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.path.symlink_to("/dev/full")
    with pytest.raises(DeadLetterError, match="No space left on device") as raised:
        dead_letter.append([refusal()])
    assert str(tmp_path) in raised.value.hint


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLetterError, match="cannot write the dead letter"):
        DeadLetter(tmp_path / "file" / "below").append([refusal()])


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_disk_that_fails_for_a_while_leaves_each_record_once_and_the_all_clear_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    dead_letter = DeadLetter(tmp_path)
    dead_letter.append([refusal()])
    with monkeypatch.context() as patched:
        patched.setattr(os, failing, _fail)
        for _ in range(3):
            with pytest.raises(DeadLetterError, match="Input/output error"):
                dead_letter.append([refusal(offset=1), refusal(offset=2)])
        assert dead_letter.problem.endswith("dead-letter.jsonl: Input/output error")
    with capture_logs() as said:
        dead_letter.append([refusal(offset=1), refusal(offset=2)])
        dead_letter.append([refusal(offset=3)])
    assert [one["event"] for one in said] == ["dead_letter_written_again"]
    assert dead_letter.problem == ""
    assert [record["offset"] for record in records(dead_letter)] == [0, 1, 2, 3]


def _fail(*_arguments: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_name_that_could_not_be_made_durable_is_tried_again_with_the_next_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut may take the file, with what was told to be in it."""
    synced: list[bool] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if is_directory and not synced:
            synced.append(False)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced.extend([True] * is_directory)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    dead_letter = DeadLetter(tmp_path)
    with pytest.raises(DeadLetterError):
        dead_letter.append([refusal()])
    dead_letter.append([refusal()])
    assert synced == [False, True]
    assert len(records(dead_letter)) == 1


def test_threads_do_not_mix_their_records(tmp_path: Path) -> None:
    dead_letter = DeadLetter(tmp_path)

    def append(number: int) -> None:
        for offset in range(20):
            dead_letter.append([refusal(b"x" * 5000, path=f"/{number}", offset=offset)] * 2)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records(dead_letter)) == 4 * 20 * 2
