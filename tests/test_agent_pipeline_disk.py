"""The agent whose state directory takes nothing for a while: what it says, and what it loses."""

import errno
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from agent.health import judge
from indexer.dead_letter import RecordLine
from tests.agent_loop import Agent, ids, write
from tests.mounted_disk import erring_disk, fill, small_disk, thin_disk
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def failing(directory: Path, error: int, *, name: str = "") -> Generator[None]:
    """Nothing below `directory` is opened for writing, as on a disk that is full or read-only."""
    real = os.open
    begin = f"{directory}/{name}"

    def refuse(path: str | Path, flags: int, *rest: int) -> int:
        if str(path).startswith(begin) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(error, os.strerror(error), str(path))
        return real(path, flags, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", refuse)
        yield


def problems(agent: Agent) -> list[str]:
    """What `/readyz` says."""
    return [one.what for one in judge(agent.board.status, 0, datetime.now(UTC))]


def records(agent: Agent) -> list[str]:
    lines = agent.dead_letter.path.read_bytes().splitlines()
    return [
        line
        for record in lines
        for line in str(msgspec.json.decode(record, type=RecordLine).line).split("\n")
    ]


def is_settled(agent: Agent, path: Path) -> bool:
    return agent.offset() == path.stat().st_size


def bury(path: Path, count: int) -> None:
    with path.open("ab") as file:
        file.write(b"garbage\n" * count)


def test_a_quiet_agent_says_that_its_state_directory_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no checkpoint to save, and would tell only when a line comes."""
    path = tmp_path / "a.log"
    write(path, 0)
    agent = Agent(tmp_path)
    with agent.running():
        wait_until(lambda: is_settled(agent, path), "settled")
        wait_until(lambda: problems(agent) == [], "ready")
        with monkeypatch.context() as patched, failing(agent.state, errno.EROFS):
            patched.setattr("agent.status._write", _refuse)
            wait_until(lambda: problems(agent) == ["checkpoint_not_saved"], "not ready")
        wait_until(lambda: problems(agent) == [], "ready again")
        write(path, 1)
        wait_until(lambda: agent.sink.ids == ids(0, 1), "and ships on")


def _refuse(*_arguments: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC])
def test_a_dead_letter_that_cannot_be_written_is_told_and_written_later(
    tmp_path: Path, error: int
) -> None:
    """Everything behind it waits, although the cluster answers and checkpoints are saved."""
    path = tmp_path / "a.log"
    agent = Agent(tmp_path)
    with capture_logs() as said, agent.running():
        with failing(agent.state, error, name="dead-letter"):
            bury(path, 3)
            write(path, 0)
            wait_until(lambda: problems(agent) == ["dead_letter_not_written"], "is told")
            assert agent.board.status is not None
            assert os.strerror(error) in agent.board.status.dead_letter_problem
            assert str(agent.dead_letter.path) in agent.board.status.dead_letter_problem
            assert agent.offset() == 0
        wait_until(lambda: is_settled(agent, path), "settled", 60)
        wait_until(lambda: problems(agent) == [], "ready again")
    told = [one["event"] for one in said if one["event"].startswith("dead_letter")]
    assert told == ["dead_letter_not_written", "dead_letter_written_again"]
    assert (records(agent), agent.sink.ids) == (["garbage"] * 3, ids(0))


# --- Real file systems


@contextmanager
def state_on(directory: Path, disk: Path) -> Generator[None]:
    """Let the state directory of an agent in `directory` be on that file system."""
    (disk / "state").mkdir(exist_ok=True)
    (directory / "state").symlink_to(disk / "state")
    yield


def test_a_state_directory_that_fills_and_frees_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with small_disk(tmp_path / "disk", "256k") as disk, state_on(tmp_path, disk):
        agent = Agent(tmp_path)
        buried: list[int] = []

        def is_told() -> bool:
            # A file that is replaced right then leaves room that was taken when the disk was full.
            fill(disk)
            buried.append(1)
            bury(path, 1)
            return "checkpoint_not_saved" in problems(agent)

        with agent.running():
            write(path, 0)
            wait_until(lambda: is_settled(agent, path), "settled")
            for number in range(1, 4):
                wait_until(is_told, "is told", pause_seconds=0.5)
                write(path, number)
                fill(disk).unlink()
                wait_until(lambda: is_settled(agent, path), "settled")
                wait_until(lambda: problems(agent) == [], "ready again")
        assert agent.sink.ids == ids(0, 1, 2, 3)
        assert records(agent) == ["garbage"] * len(buried)


def test_on_storage_where_every_sync_fails_the_dead_letter_has_each_line_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.log"
    with thin_disk(tmp_path / "disk") as disk, state_on(tmp_path, disk.path):
        agent = Agent(tmp_path)
        with agent.running():
            write(path, 0)
            wait_until(lambda: is_settled(agent, path), "settled")
            disk.fill()
            bury(path, 5)
            wait_until(lambda: "dead_letter_not_written" in problems(agent), "is told")
            time.sleep(3)
            assert agent.offset() < path.stat().st_size
            disk.free()
            wait_until(lambda: is_settled(agent, path), "settled", 60)
            wait_until(lambda: problems(agent) == [], "ready again")
        assert records(agent) == ["garbage"] * 5


def test_a_state_directory_whose_ext4_turned_read_only_is_told_and_mended_by_a_restart(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.log"
    with erring_disk(tmp_path / "disk") as disk, state_on(tmp_path, disk.path):
        agent = Agent(tmp_path)
        with agent.running():
            write(path, 0)
            wait_until(lambda: is_settled(agent, path), "settled")
            disk.fail()
            wait_until(lambda: problems(agent) == ["checkpoint_not_saved"], "is told")
            bury(path, 2)
            write(path, 1)
            time.sleep(1)
            assert agent.sink.ids == ids(0), "nothing is read that could not be remembered"
        disk.mend()
        again = Agent(tmp_path)
        with again.running():
            wait_until(lambda: is_settled(again, path), "settled")
        assert again.sink.ids[-1:] == ids(1)
        assert set(again.sink.ids) <= set(ids(0, 1))
        assert records(again) == ["garbage"] * 2
