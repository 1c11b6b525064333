"""Archives that are cut or damaged: what is whole is read, and the rest is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.lag import Lags
from agent.places import COPYING_SECONDS
from tests.agent_world import age, bench, compress, event_id, ids, read_twice, rest, write


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def add_rubbish(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"rubbish")


@pytest.mark.parametrize(
    ("damage", "least", "told"),
    [
        pytest.param(cut, 100, "incomplete archive", id="cut"),
        pytest.param(flip, 400, "damaged archive: ", id="checksum"),
        pytest.param(add_rubbish, 400, "damaged archive: ", id="rubbish behind it"),
    ],
)
def test_of_a_damaged_archive_what_is_whole_is_sent_and_it_is_told_once(
    tmp_path: Path, damage: Callable[[Path], None], least: int, told: str
) -> None:
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=10)
    for number in range(400):
        write(tmp_path / "a.log", number, pad=number)
    archive = compress(tmp_path / "a.log")
    damage(archive)
    age(archive)
    write(tmp_path / "b.log", 1000)
    for _ in range(4):
        agent.look(later=11)
        agent.settle_all()
    assert len(agent.settled_ids) > least
    assert agent.settled_ids <= ids(*range(400), 1000)
    assert event_id(1000) in agent.settled_ids, "the others go on"
    (reason,) = agent.follower.unreadable.values()
    assert reason.startswith(told)
    assert read_twice(agent) == []
    assert [Path(tail.path).name for tail in agent.follower.tails.values()] == ["b.log"]
    assert len(agent.refusals) <= 1, "the line that was cut"


def test_an_archive_without_an_end_is_told_in_the_first_look(tmp_path: Path) -> None:
    """An agent that runs once has no other."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(400))
    archive = compress(tmp_path / "a.log")
    cut(archive)
    age(archive)
    agent.drain()
    assert agent.follower.unreadable == {str(archive): "incomplete archive"}


@pytest.mark.parametrize("ahead", [0.0, 3600.0], ids=["our clock", "a clock ahead of ours"])
def test_an_archive_without_an_end_is_awaited_until_it_rests_and_is_told(
    tmp_path: Path, ahead: float
) -> None:
    """Who runs once ends before that neither in silence nor, with a strange clock, never."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(400))
    archive = compress(tmp_path / "a.log")
    cut(archive)
    age(archive, -ahead)
    agent.drain()
    assert agent.settled_ids, "what is there is read meanwhile"
    assert agent.follower.is_copy_awaited
    assert agent.follower.unreadable == {}
    agent.look(later=COPYING_SECONDS)
    assert agent.follower.unreadable == {str(archive): "incomplete archive"}
    assert not agent.follower.is_copy_awaited


def test_an_archive_that_gets_its_end_meanwhile_is_awaited_no_more(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(400))
    archive = compress(tmp_path / "a.log")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-4])
    agent.drain()
    assert agent.follower.is_copy_awaited
    agent.look(later=COPYING_SECONDS)
    assert agent.follower.unreadable
    archive.write_bytes(whole)
    rest(agent)
    assert not agent.follower.is_copy_awaited
    assert agent.follower.unreadable == {}
    assert agent.settled_ids == ids(*range(400))


def test_half_a_line_at_the_end_of_a_cut_archive_is_no_lag(tmp_path: Path) -> None:
    """It is told, and nobody is going to complete it: nothing waits."""
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=3600)
    for number in range(400):
        write(tmp_path / "a.log", number, pad=number)
    archive = compress(tmp_path / "a.log")
    cut(archive)
    agent.drain()
    assert agent.follower.lag_bytes() > 0, "somebody may be writing it"
    age(archive)
    agent.drain()
    (tail,) = agent.follower.tails.values()
    assert tail.has_half_line
    assert agent.follower.unreadable == {str(archive): "incomplete archive"}
    assert agent.follower.lag_bytes() == 0
    assert Lags().measure(agent.follower.contents()) == {}


def test_an_incomplete_archive_that_is_completed_is_read_on(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=10)
    for number in range(400):
        write(tmp_path / "a.log", number, pad=number)
    archive = compress(tmp_path / "a.log")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    age(archive)
    for _ in range(4):
        agent.look(later=11)
        agent.settle_all()
    assert agent.follower.tails == {}
    agent.save()
    with archive.open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    rest(agent)
    assert agent.settled_ids == ids(*range(400))
    assert agent.follower.unreadable == {}


def test_a_known_archive_that_ends_before_its_place_is_not_waited_for_for_ever(
    tmp_path: Path,
) -> None:
    agent = bench(tmp_path, "*.log*")
    for number in range(400):
        write(tmp_path / "a.log", number, pad=number)
    agent.drain()
    archive = compress(tmp_path / "a.log")
    cut(archive)
    write(tmp_path / "b.log", 1000)
    agent.look()
    assert agent.follower.is_copy_awaited
    for _ in range(2):
        agent.look(later=2 * COPYING_SECONDS)
    assert not agent.follower.is_copy_awaited
    assert agent.follower.unreadable == {str(archive): "incomplete archive"}
    agent.settle_all()
    assert agent.settled_ids == ids(*range(400), 1000)
