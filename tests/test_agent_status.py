"""When the status file is written."""

from pathlib import Path

import msgspec
import pytest

from agent.status import REPEAT_SECONDS, STATUS_NAME, Status, StatusFile, Totals, read
from tests.mounted_disk import small_disk
from tests.test_indelible_agent_status import RUNNING


def at(second: int) -> Status:
    return msgspec.structs.replace(RUNNING, updated_at=f"2026-11-30T12:00:{second:02}.000000Z")


READ = msgspec.structs.replace(at(2), totals=Totals(lines=1))
ENDING = msgspec.structs.replace(at(2), state="stopping")


@pytest.fixture
def file(tmp_path: Path) -> StatusFile:
    kept = StatusFile(tmp_path)
    kept.keep(at(1), 1.0)
    return kept


@pytest.mark.parametrize(
    ("status", "now", "found"),
    [
        pytest.param(at(2), 2.0, at(1), id="nothing new"),
        pytest.param(at(6), 1.0 + REPEAT_SECONDS, at(6), id="nothing new for long"),
        pytest.param(READ, 2.0, READ, id="a line was read"),
        pytest.param(ENDING, 2.0, ENDING, id="it ends"),
    ],
)
def test_the_file_is_written_at_once_when_it_says_something_new_and_now_and_then_otherwise(
    tmp_path: Path, file: StatusFile, status: Status, now: float, found: Status
) -> None:
    file.keep(status, now)
    assert read(tmp_path) == found


def test_a_file_that_could_not_be_written_is_written_as_soon_as_it_can_be(
    tmp_path: Path, file: StatusFile
) -> None:
    (tmp_path / f"{STATUS_NAME}.new").mkdir()
    with pytest.raises(IsADirectoryError):
        file.keep(at(7), 7.0)
    (tmp_path / f"{STATUS_NAME}.new").rmdir()
    file.keep(at(8), 8.0)
    assert read(tmp_path) == at(8)


def test_a_disk_that_has_room_for_a_part_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The system takes a part then, and that is no error."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        kept = StatusFile(disk)
        kept.keep(at(1), 1.0)
        (disk / "other").write_bytes(bytes(48 << 10))
        long = msgspec.structs.replace(at(2), checkpoint_problem="n" * (16 << 10))
        with pytest.raises(OSError, match="No space left"):
            kept.keep(long, 2.0)
        assert read(disk) == at(1)
