"""Archives: recognised as the content that they were made of, read on in steps, done with."""

import gzip
import shutil
import time
from pathlib import Path

import pytest

from agent.sources import Horizon
from tests.agent_world import (
    Bench,
    age,
    bench,
    compress,
    event_line,
    ids,
    read_twice,
    rest,
    write,
)


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
        started = time.thread_time()
        chunk = agent.follower.read(1.0)
        assert time.thread_time() - started < 1
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
