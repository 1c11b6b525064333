"""Archives: recognised as the content that they were made of, read on, done with; or told."""

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.lag import Lags
from agent.places import COPYING_SECONDS
from agent.sources import Horizon
from tests.agent_world import Bench, bench, event_id, event_line, ids, read_twice, write


def compress(path: Path) -> Path:
    """As logrotate does: the archive has the time of the file, and the file goes."""
    subprocess.run(["gzip", path], check=True)  # noqa: S607  # wherever it is installed
    return path.with_name(path.name + ".gz")


def rest(agent: Bench) -> None:
    """Look until it is sure that nothing changes any more."""
    for _ in range(3):
        agent.drain()


def age(path: Path, seconds: float = 2 * COPYING_SECONDS) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("pad", [0, 5000], ids=["short lines", "with the same first 4 KB"])
@pytest.mark.parametrize("glob", ["*.log*", "*.log"], ids=["matched", "not matched"])
def test_compressed_while_stopped_it_is_read_on_where_it_was_settled(
    tmp_path: Path, glob: str, pad: int
) -> None:
    """Scenario 16: appended, rotated twice, the second compressed."""
    agent = bench(tmp_path, glob)
    write(tmp_path / "a.log", *range(10), pad=pad)
    agent.drain()
    agent.follower.close()
    write(tmp_path / "a.log", 10, 11)
    (tmp_path / "a.log").rename(tmp_path / "a.log.2")
    compress(tmp_path / "a.log.2")
    write(tmp_path / "a.log", 12, 13, pad=pad)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write(tmp_path / "a.log", 14)
    agent.crash()
    agent.drain()
    # What was written and rotated away before it was ever seen is beyond a glob that is too narrow.
    seen = range(15) if glob == "*.log*" else (*range(12), 14)
    assert agent.settled_ids == ids(*seen)
    assert read_twice(agent) == []
    missing = [(gap.first, gap.last) for gap in agent.sources.take_gaps(1e9)]
    assert missing == ([] if glob == "*.log*" else [(12, 13)]), "told"


def test_the_horizon_is_passed_when_an_archive_is_settled_that_had_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is searched for first, and it unpacks to many times its size."""
    monkeypatch.setattr("agent.content.STEP_BYTES", 2000)
    agent = bench(tmp_path, "*.log*", read_bytes=3000)
    write(tmp_path / "a.log", *range(40), pad=300)
    agent.drain()
    agent.follower.close()
    write(tmp_path / "a.log", *range(40, 120), pad=300)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    compress(tmp_path / "a.log.1")
    write(tmp_path / "a.log", 120)
    agent.crash()
    agent.follower.rescan(agent.now)
    horizon = Horizon(agent.follower, agent.now)
    while not horizon.is_passed():
        chunk = agent.follower.read(agent.now)
        if chunk is not None:
            agent.loader.load(chunk, agent.now)
            agent.loader.close()
            agent.in_flight.append(agent.loader.ready.popleft())
            agent.settle_all()
    assert agent.settled_ids == ids(*range(121))


def test_compressed_under_the_agent_nothing_is_read_again(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=10)
    for generation in range(6):
        write(tmp_path / "a.log", *range(20 * generation, 20 * generation + 20))
        agent.drain()
        (tmp_path / "a.log").rename(tmp_path / f"a.log.{generation}")
        if generation:
            compress(tmp_path / f"a.log.{generation - 1}")
        rest(agent)
    assert agent.settled_ids == ids(*range(120))
    assert read_twice(agent) == []
    assert len(list(agent.follower.places())) <= 6 + 5, "the archives, and what they were made of"


def test_what_is_done_with_is_not_unpacked_again(tmp_path: Path) -> None:
    """Neither at the next look, nor after a restart, nor after the next rotation."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(100))
    archive = compress(tmp_path / "a.log")
    rest(agent)
    assert agent.settled_ids == ids(*range(100))
    assert agent.follower.tails == {}
    assert not agent.follower.has_more
    agent.save()
    agent.crash()
    archive.rename(tmp_path / "a.log.2.gz")
    agent.look()
    assert not agent.follower.has_more
    assert agent.follower.tails == {}
    assert read_twice(agent) == []
    (place,) = agent.follower.places()
    assert place.path == str(tmp_path / "a.log.2.gz")


def test_an_archive_that_nobody_knows_is_read_from_its_start(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz")
    for number in range(40):
        write(tmp_path / f"{number}.log", 0, number + 1, pad=2000)
        compress(tmp_path / f"{number}.log")
    rest(agent)
    assert agent.settled_ids == ids(*range(41))
    assert agent.follower.tails == {}


def test_it_is_forgotten_when_it_is_gone(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz", rotated_grace_seconds=5)
    write(tmp_path / "a.log", 0)
    archive = compress(tmp_path / "a.log")
    rest(agent)
    archive.unlink()
    agent.look()
    assert len(list(agent.follower.places())) == 1, "its disk may be back in a moment"
    agent.look(later=6)
    assert list(agent.follower.places()) == []


def test_a_crash_in_the_middle_of_an_archive(tmp_path: Path) -> None:
    """It is read on at what was settled, a half-way offset in what it unpacks to."""
    agent = bench(tmp_path, "*.gz", batch_events=10, read_bytes=1500)
    write(tmp_path / "a.log", *range(100))
    compress(tmp_path / "a.log")
    agent.look()
    for shipment in agent.in_flight[:4]:
        agent.settle(shipment)
    agent.settle(agent.in_flight[3])
    agent.save()
    agent.crash()
    agent.drain()
    assert agent.settled_ids == ids(*range(100))
    assert set(read_twice(agent)) == ids(*range(40, 100))


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_an_archive_that_is_still_being_written(tmp_path: Path, *, known: bool) -> None:
    """It is not torn, nothing of it is read again, and it is read to its end."""
    agent = bench(tmp_path, "*.log*")
    for number in range(400):
        write(tmp_path / "a.log", number, pad=number)
    if known:
        agent.drain()
        write(tmp_path / "a.log", 400)
    packed = gzip.compress((tmp_path / "a.log").read_bytes())
    (tmp_path / "a.log").unlink()
    if known:
        agent.crash()
    archive = tmp_path / "a.log.1.gz"
    archive.touch()
    agent.look()
    for start in range(0, len(packed), len(packed) // 7):
        with archive.open("ab") as file:
            file.write(packed[start : start + len(packed) // 7])
        agent.look()
        assert agent.refusals == []
    rest(agent)
    assert agent.settled_ids == ids(*range(401 if known else 400))
    assert read_twice(agent) == []
    assert agent.follower.tails == {}
    assert agent.follower.unreadable == {}


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


def test_another_archive_under_the_same_name_and_inode(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz")
    path = tmp_path / "a.log.1.gz"
    path.write_bytes(gzip.compress(event_line(0) + b"\n"))
    rest(agent)
    path.write_bytes(gzip.compress(event_line(1) + b"\n" + event_line(2) + b"\n"))
    rest(agent)
    assert agent.settled_ids == ids(0, 1, 2)


def test_another_archive_in_the_place_of_one_that_is_being_read(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz")
    path = tmp_path / "a.log.1.gz"
    path.write_bytes(gzip.compress(event_line(0) + b"\n"))
    agent.look()
    assert agent.follower.tails
    path.write_bytes(gzip.compress(event_line(1) + b"\n" + event_line(2) + b"\n"))
    rest(agent)
    assert agent.settled_ids == ids(0, 1, 2)
    assert agent.refusals == []
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


def test_an_archive_that_is_unpacked_again_is_known(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(30))
    archive = compress(tmp_path / "a.log")
    rest(agent)
    with gzip.open(archive) as packed, (tmp_path / "again.log").open("wb") as file:
        shutil.copyfileobj(packed, file)
    agent.drain()
    assert agent.settled_ids == ids(*range(30))
    assert read_twice(agent) == []


def test_the_last_line_of_an_archive_needs_no_newline(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz")
    (tmp_path / "a.gz").write_bytes(gzip.compress(event_line(0) + b"\n" + event_line(1)))
    rest(agent)
    assert agent.settled_ids == ids(0, 1)
    assert agent.follower.tails == {}


@pytest.mark.slow
def test_a_bomb_holds_nobody_up(tmp_path: Path) -> None:
    """A line of 300 MB in 300 kB: a refusal, and the others are read meanwhile."""
    agent = bench(tmp_path, "*.log*")
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"x" * 300_000_000 + b"\n", 1))
    write(tmp_path / "b.log", 0)
    agent.follower.rescan(1.0)
    reads = 0
    while agent.follower.has_more:
        started = time.monotonic()
        chunk = agent.follower.read(1.0)
        assert time.monotonic() - started < 1
        if chunk is not None:
            agent.loader.load(chunk, 1.0)
            if chunk.tail.path.endswith("b.log"):
                assert reads < 3
        reads += 1
    assert agent.loader.counters.over_long_lines == 1
    assert reads > 10


def step_to_the_end(agent: Bench) -> int:
    count = 0
    while agent.follower.has_more:
        agent.follower.read(agent.now)
        count += 1
    return count


def test_an_archive_that_is_known_is_searched_a_step_at_a_turn(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*")
    path = tmp_path / "a.log"
    with path.open("wb") as file:
        for number in range(10_000):
            file.write(event_line(number, pad=500) + b"\n")
    agent.drain()
    compress(path)
    agent.crash()
    agent.follower.rescan(agent.now)
    assert step_to_the_end(agent) > 20
    assert agent.read_ids.total() == 10_000


def read_and_look(agent: Bench) -> list[str]:
    """Which file each read brought lines of; none is told meanwhile as one without an end."""
    order: list[str] = []
    agent.follower.rescan(agent.now)
    while agent.follower.has_more:
        chunk = agent.follower.read(agent.now)
        if chunk is not None:
            agent.loader.load(chunk, agent.now)
        order.append(Path(chunk.tail.path).name if chunk else "")
        if len(order) % 10 == 0:
            agent.follower.rescan(agent.now)
            assert dict(agent.follower.unreadable) == {}, "it is not at its end"
    return order


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_an_archive_of_empty_members_holds_nobody_up(tmp_path: Path, *, known: bool) -> None:
    """It is work without a line: others are read between two pieces of it, and its line is too."""
    agent = bench(tmp_path, "*.log*")
    numbers = range(20)
    write(tmp_path / "c.log", *numbers, pad=100)
    packed = gzip.compress(b"") * 100_000 + gzip.compress((tmp_path / "c.log").read_bytes())
    if known:
        agent.drain()
    (tmp_path / "c.log").unlink()
    (tmp_path / "a.log.gz").write_bytes(packed + gzip.compress(event_line(20) + b"\n"))
    age(tmp_path / "a.log.gz")
    agent.follower.rescan(agent.now)
    agent.follower.read(agent.now)
    write(tmp_path / "b.log", 30)
    order = read_and_look(agent)
    assert len(order) > 10
    assert order.index("b.log") < 3
    rest(agent)
    assert agent.settled_ids == ids(*numbers, 20, 30)
    assert read_twice(agent) == []
