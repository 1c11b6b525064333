"""Content that changes under its name: cut, copied, half a line; one scenario each."""

import os
import shutil
import time
from pathlib import Path

import pytest

from agent import checkpoint
from agent.places import COPYING_SECONDS
from tests.agent_world import bench, event_id, event_line, ids, read_twice, write


@pytest.mark.parametrize("pad", [0, 2000], ids=["short lines", "with the same first kilobytes"])
def test_copied_and_truncated_the_copy_is_recognised(tmp_path: Path, pad: int) -> None:
    """Scenario 11, while it runs and while it is stopped."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(5), pad=pad)
    agent.drain()
    for generation in range(1, 5):
        if generation == 3:
            agent.follower.close()
        shutil.copyfile(tmp_path / "a.log", tmp_path / f"a.log.{generation}")
        os.truncate(tmp_path / "a.log", 0)
        write(tmp_path / "a.log", *range(generation * 5, generation * 5 + 5), pad=pad)
        if generation == 3:
            agent.crash()
        agent.drain()
    assert agent.settled_ids == ids(*range(25))
    assert read_twice(agent) == []
    assert agent.sources.take_gaps(1e9) == []


def test_what_was_written_before_copy_and_truncate_is_read_from_the_copy(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(5))
    agent.drain()
    write(tmp_path / "a.log", 5, 6)
    shutil.copyfile(tmp_path / "a.log", tmp_path / "a.log.1")
    os.truncate(tmp_path / "a.log", 0)
    write(tmp_path / "a.log", 7)
    agent.drain()
    assert agent.settled_ids == ids(*range(8))
    assert read_twice(agent) == []


def test_a_copy_that_is_still_being_made_is_left_alone_for_a_while(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(20))
    agent.drain()
    whole = (tmp_path / "a.log").read_bytes()
    (tmp_path / "a.log.1").write_bytes(whole[: len(whole) // 2])
    agent.look()
    assert agent.follower.is_copy_awaited
    (tmp_path / "a.log.1").write_bytes(whole)
    agent.look()
    assert not agent.follower.is_copy_awaited
    assert read_twice(agent) == []


def test_half_a_copy_whose_time_lies_ahead_is_not_awaited_for_as_long(tmp_path: Path) -> None:
    """As `cp -p` leaves it of a file from a host whose clock is ahead."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(20))
    agent.drain()
    whole = (tmp_path / "a.log").read_bytes()
    (tmp_path / "a.log.1").write_bytes(whole[: len(whole) // 2])
    ahead = time.time() + 7200
    os.utime(tmp_path / "a.log.1", (ahead, ahead))
    agent.look()
    assert agent.follower.is_copy_awaited
    agent.look(later=COPYING_SECONDS)
    assert not agent.follower.is_copy_awaited


def test_what_truncation_took_before_it_was_read_is_a_gap_and_no_silence(tmp_path: Path) -> None:
    """Scenario 12."""
    agent = bench(tmp_path)
    write(tmp_path / "a.log", 0, 1)
    agent.drain()
    write(tmp_path / "a.log", 2, 3)
    os.truncate(tmp_path / "a.log", 0)
    write(tmp_path / "a.log", 4)
    agent.drain()
    assert agent.settled_ids == ids(0, 1, 4)
    assert [(gap.first, gap.last) for gap in agent.sources.take_gaps(1e9)] == [(2, 3)]
    assert agent.follower.truncations == 1


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("pad", [0, 5000], ids=["other head", "same first 4 KB"])
def test_truncated_and_grown_past_the_old_offset(
    tmp_path: Path, pad: int, *, stopped: bool
) -> None:
    """Scenario 13."""
    agent = bench(tmp_path)
    write(tmp_path / "a.log", 0, pad=pad)
    write(tmp_path / "a.log", 1, 2)
    agent.drain()
    os.truncate(tmp_path / "a.log", 0)
    write(tmp_path / "a.log", 3, pad=pad)
    write(tmp_path / "a.log", *range(4, 12))
    if stopped:
        agent.crash()
    agent.drain()
    assert agent.settled_ids == ids(*range(12))


def test_half_a_line_is_never_torn(tmp_path: Path) -> None:
    """Scenario 17: completed after any time; a restart in between changes nothing."""
    agent = bench(tmp_path, rotated_grace_seconds=10)
    whole = event_line(0).replace(b'"pad":""', '"pad":"é"'.encode()) + b"\n"
    middle = whole.index("é".encode()) + 1
    path = tmp_path / "a.log"
    path.write_bytes(whole[:middle])
    agent.look(later=1000)
    agent.look(later=1000)
    agent.drain()
    agent.crash()
    agent.look(later=1000)
    assert not agent.read_ids
    with path.open("ab") as file:
        file.write(whole[middle:])
    agent.drain()
    assert agent.settled_ids == ids(0)
    assert agent.refusals == []


def test_a_half_line_that_its_writer_takes_back_is_in_no_dead_letter(tmp_path: Path) -> None:
    """And nothing before it is read again."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0)
    size = path.stat().st_size
    for number in range(1, 4):
        with path.open("ab") as file:
            file.write(event_line(90 + number)[:120])
        agent.drain()
        os.truncate(path, size)
        agent.look()
        write(path, number)
        size = path.stat().st_size
        agent.drain()
    assert agent.settled_ids == ids(*range(4))
    assert agent.refusals == []
    assert read_twice(agent) == []
    assert agent.follower.truncations == 0


def test_more_than_one_read_behind_a_half_line_that_was_taken_back(tmp_path: Path) -> None:
    """One look is enough for all of it, however far a read reaches."""
    agent = bench(tmp_path, read_bytes=1500)
    path = tmp_path / "a.log"
    path.write_bytes(event_line(90)[:200])
    agent.drain()
    os.truncate(path, 0)
    write(path, *range(40))
    agent.drain()
    assert agent.settled_ids == ids(*range(40))


def test_two_changes_in_one_tick_of_the_clock_of_its_file_are_both_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same size, same time of change: a look that early is followed by another read."""
    monkeypatch.setattr("agent.follow.TICK_SECONDS", 60)
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0)
    agent.drain()
    status = path.stat()
    path.write_bytes(event_line(1) + b"\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    agent.drain()
    assert agent.settled_ids == ids(0, 1)


@pytest.mark.parametrize("settled", [False, True])
def test_a_copy_is_remembered_as_itself_and_not_as_its_original(
    tmp_path: Path, *, settled: bool
) -> None:
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(8))
    agent.drain()
    shutil.copyfile(tmp_path / "a.log", tmp_path / "a.log.1")
    write(tmp_path / "a.log", 8)
    agent.look()
    if settled:
        agent.settle_all()
    agent.save()
    places = checkpoint.load(tmp_path / "state").files
    assert {place.path: place.inode for place in places} == {
        str(path): path.stat().st_ino for path in (tmp_path / "a.log", tmp_path / "a.log.1")
    }


def test_truncated_and_rewritten_with_the_bytes_that_stood_before_its_offset(
    tmp_path: Path,
) -> None:
    """The bytes before the offset agree, how the file begins does not."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0, 1, pad=2000)
    agent.drain()
    content = path.read_bytes()
    first = event_line(2) + b"\n"
    path.write_bytes(first + content[len(first) :])
    write(path, 3)
    agent.drain()
    assert {event_id(2), event_id(3)} <= agent.settled_ids
    assert agent.follower.truncations == 1


def test_the_half_line_of_a_rotated_file_goes_to_the_dead_letter_once(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=10)
    path = tmp_path / "a.log"
    path.write_bytes(event_line(0) + b"\n" + event_line(1)[:50])
    agent.look()
    path.rename(tmp_path / "a.log.1")
    write(path, 2)
    for _ in range(3):
        agent.look(later=20)
        agent.settle_all()
    agent.save()
    agent.crash()
    for _ in range(3):
        agent.look(later=20)
        agent.settle_all()
    assert agent.settled_ids == ids(0, 2)
    assert [(one.offset, one.line) for one in agent.refusals] == [
        (len(event_line(0)) + 1, event_line(1)[:50])
    ]


def test_the_last_line_of_a_rotated_file_needs_no_newline(tmp_path: Path) -> None:
    agent = bench(tmp_path, rotated_grace_seconds=10)
    path = tmp_path / "a.log"
    path.write_bytes(event_line(0) + b"\n" + event_line(1))
    agent.look()
    path.unlink()
    agent.look(later=20)
    agent.look(later=20)
    agent.settle_all()
    agent.look(later=20)
    assert agent.settled_ids == ids(0, 1)
    assert agent.follower.tails == {}
