"""Marks beside the dead letter: what is open is counted cheaply, through crashes and moves."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from audit_events.instant import format_instant
from indexer.dead_letter import DeadLetter, Refusal
from indexer.dead_marks import (
    MARKS_NAME,
    Count,
    Mark,
    Tally,
    append_marks,
    letter_key,
    read_marks,
)
from indexer.dead_records import read_records
from indexer.errors import DeadLetterError

TIME = "2026-11-23T18:00:00.000000Z"


def bury(directory: Path, count: int = 1, *, pad: int = 0) -> list[str]:
    """Append records, and return the keys of all."""
    letter, when = DeadLetter(directory), format_instant(datetime.now(UTC))
    start = letter.path.stat().st_size if letter.path.exists() else 0
    letter.append(
        [
            Refusal(path="/a", offset=start + number, reason="why", time=when, line=b"x" * pad)
            for number in range(count)
        ]
    )
    return keys(directory)


def keys(directory: Path) -> list[str]:
    lines = DeadLetter(directory).path.read_bytes().splitlines()
    return [record.key for record in read_records(lines)]


def mark(directory: Path, *records: str) -> None:
    letter = letter_key(DeadLetter(directory).path)
    append_marks(
        directory,
        [Mark(letter=letter, record=one, outcome="stored", time=TIME) for one in records],
    )


def test_nothing_is_counted_where_nothing_is(tmp_path: Path) -> None:
    assert Tally(tmp_path).count() == Count(0, 0, 0)
    assert letter_key(tmp_path / "none") == ""


def test_records_are_open_until_they_have_a_mark(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    first, second = bury(tmp_path, 2)
    size = DeadLetter(tmp_path).path.stat().st_size
    assert tally.count() == Count(2, 2, size)
    mark(tmp_path, first)
    assert tally.count() == Count(2, 1, size)
    mark(tmp_path, first, second)
    assert tally.count() == Tally(tmp_path).count() == Count(2, 0, size)
    bury(tmp_path)
    assert tally.count().open == Tally(tmp_path).count().open == 1


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    bury(tmp_path, 3)
    tally = Tally(tmp_path)
    assert tally.count().records == 3
    path = DeadLetter(tmp_path).path
    # Another count would differ now; it is not taken.
    with path.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"   ")
    assert tally.count().records == 3
    assert Tally(tmp_path).count().records == 2


def test_a_torn_last_line_is_no_record(tmp_path: Path) -> None:
    bury(tmp_path)
    tally = Tally(tmp_path)
    with DeadLetter(tmp_path).path.open("ab") as file:
        file.write(b'{"path":"/a","off')
    assert tally.count().records == 1
    bury(tmp_path)
    assert tally.count().records == Tally(tmp_path).count().records == 2


@pytest.mark.parametrize("pad", [0, 1_500_000])
def test_records_longer_than_a_piece_are_counted(tmp_path: Path, pad: int) -> None:
    bury(tmp_path, 3, pad=pad)
    assert Tally(tmp_path).count().records == 3


def test_a_file_that_is_moved_away_begins_anew(tmp_path: Path) -> None:
    """Its marks stay, and must not hide records of the next file."""
    tally = Tally(tmp_path)
    mark(tmp_path, *bury(tmp_path, 5))
    assert tally.count().open == 0
    path = DeadLetter(tmp_path).path
    path.rename(tmp_path / "archived.jsonl")
    assert tally.count() == Count(0, 0, 0)
    (key, other) = bury(tmp_path, 2)
    assert (tally.count().records, tally.count().open) == (2, 2)
    mark(tmp_path, key)
    assert tally.count().open == Tally(tmp_path).count().open == 1
    assert other not in read_marks(tmp_path)


def test_a_file_of_the_same_inode_is_another_when_it_begins_otherwise(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    mark(tmp_path, *bury(tmp_path, 2))
    assert tally.count().open == 0
    path = DeadLetter(tmp_path).path
    path.write_bytes(b"")
    bury(tmp_path, 5)
    assert (tally.count().records, tally.count().open) == (5, 5)


def test_a_torn_mark_does_not_count(tmp_path: Path) -> None:
    first, second = bury(tmp_path, 2)
    mark(tmp_path, first)
    path = tmp_path / MARKS_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert list(read_marks(tmp_path)) == [first]
    mark(tmp_path, second)
    assert list(read_marks(tmp_path)) == [first, second]


def test_marks_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    keys = bury(tmp_path)
    (tmp_path / MARKS_NAME).symlink_to("/dev/full")
    with pytest.raises(DeadLetterError, match="No space left on device"):
        mark(tmp_path, *keys)


def test_marks_belong_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    """An operator's command, run as root, must not lock the agent out of its own files."""
    if os.geteuid():
        pytest.skip("only root makes files for others")
    os.chown(tmp_path, 65534, 65534)
    mark(tmp_path, *bury(tmp_path))
    for path in (DeadLetter(tmp_path).path, tmp_path / MARKS_NAME):
        assert path.stat().st_uid == 65534
        assert path.stat().st_mode & 0o777 == 0o600


def test_appends_of_several_threads_are_all_counted(tmp_path: Path) -> None:
    tally, stop = Tally(tmp_path), threading.Event()
    seen: list[int] = []

    def count() -> None:
        while not stop.is_set():
            seen.append(tally.count().records)

    counting = threading.Thread(target=count)
    counting.start()
    threads = [threading.Thread(target=bury, args=(tmp_path, 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    counting.join()
    assert seen == sorted(seen)
    assert tally.count().records == 200


def test_the_dead_letter_grows_aloud(tmp_path: Path) -> None:
    with capture_logs() as logs:
        for _ in range(9):
            bury(tmp_path, pad=500_000)
    assert [log["event"] for log in logs] == ["dead_letter_grows"] * 3
    sizes = [log["bytes"] for log in logs]
    assert [size.bit_length() for size in sizes] == [21, 22, 23]
