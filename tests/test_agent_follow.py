"""What happens to files, one scenario each; the numbers are those of the list of known failures."""

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import checkpoint
from agent.discover import base_directory, is_compressed, may_match, scan
from agent.follow import TICK_SECONDS
from tests.agent_world import Bench, bench, event_id, event_line


def write(path: Path, *numbers: int, pad: int = 0) -> None:
    with path.open("ab") as file:
        for number in numbers:
            file.write(event_line(number, pad=pad) + b"\n")


def ids(*numbers: int) -> set[str]:
    return {event_id(number) for number in numbers}


def read_twice(agent: Bench) -> list[str]:
    return [one for one, count in agent.read_ids.items() if count > 1]


def test_renamed_inside_the_glob_it_is_read_on_and_nothing_again(tmp_path: Path) -> None:
    """Scenario 9."""
    agent = bench(tmp_path, "*.log*")
    for number in range(0, 40, 2):
        write(tmp_path / "a.log", number)
        agent.look()
        write(tmp_path / "a.log", number + 1)
        (tmp_path / "a.log").rename(tmp_path / f"a.log.{number}")
    agent.drain()
    assert agent.settled_ids == ids(*range(40))
    assert read_twice(agent) == []


def test_renamed_out_of_the_glob_it_is_read_to_its_end_and_then_let_go(tmp_path: Path) -> None:
    """Scenario 10; the writer goes on for a while."""
    agent = bench(tmp_path, rotated_grace_seconds=10)
    write(tmp_path / "a.log", 0)
    agent.drain()
    write(tmp_path / "a.log", 1)
    (tmp_path / "a.log").rename(tmp_path / "a.old")
    agent.look()
    for number in (2, 3):
        write(tmp_path / "a.old", number)
        agent.look(later=9)
    agent.settle_all()
    agent.look(later=9)
    assert len(agent.follower.tails) == 1
    agent.look(later=2)
    assert agent.follower.tails == {}
    assert list(agent.follower.places()) == []
    assert agent.settled_ids == ids(0, 1, 2, 3)


def test_renamed_while_stopped_its_tail_is_found_beside_its_old_name(tmp_path: Path) -> None:
    """Scenario 16: appended and rotated twice, and no glob matches the rotated names."""
    agent = bench(tmp_path)
    write(tmp_path / "a.log", *range(5))
    agent.drain()
    write(tmp_path / "a.log", 5, 6)
    (tmp_path / "a.log").rename(tmp_path / "a.1")
    write(tmp_path / "a.log", 7)
    (tmp_path / "a.1").rename(tmp_path / "a.2")
    (tmp_path / "a.log").rename(tmp_path / "a.1")
    write(tmp_path / "a.log", 8)
    agent.crash()
    agent.drain()
    # What was written and rotated away before it was ever seen is beyond any glob.
    assert agent.settled_ids == ids(*range(7), 8)
    assert read_twice(agent) == []
    assert [gap.first for gap in agent.sources.take_gaps(1e9)] == [7], "and it is told"


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


def test_deleted_and_recreated_the_deleted_tail_is_read_too(tmp_path: Path) -> None:
    """Scenario 14."""
    agent = bench(tmp_path)
    write(tmp_path / "a.log", 0)
    agent.drain()
    write(tmp_path / "a.log", 1)
    (tmp_path / "a.log").unlink()
    write(tmp_path / "a.log", 2)
    agent.drain()
    assert agent.settled_ids == ids(0, 1, 2)


def test_an_inode_reused_while_stopped_is_another_file(tmp_path: Path) -> None:
    """Scenarios 14 and 15: stale state is not applied, under the same name and under another."""
    agent = bench(tmp_path)
    write(tmp_path / "a.log", *range(10))
    agent.drain()
    (place,) = agent.follower.places()
    # Truncating and rewriting gives the inode another content, as reuse does.
    os.truncate(tmp_path / "a.log", 0)
    (tmp_path / "a.log").rename(tmp_path / "b.log")
    write(tmp_path / "b.log", *range(10, 30))
    assert (tmp_path / "b.log").stat().st_ino == place.inode
    agent.crash()
    agent.drain()
    assert agent.settled_ids == ids(*range(30))


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


def test_two_changes_in_one_tick_of_the_clock_of_its_file_are_both_seen(tmp_path: Path) -> None:
    """Same size, same time of change: a look that early is followed by another read."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0)
    agent.drain()
    status = path.stat()
    path.write_bytes(event_line(1) + b"\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    time.sleep(TICK_SECONDS)
    agent.drain()
    assert agent.settled_ids == ids(0, 1)


def test_a_quiet_file_is_not_read_at_each_look(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0)
    os.utime(path, (1, 1))
    agent.drain()
    agent.follower.rescan(agent.now)
    assert not agent.follower.has_more


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


def test_thousands_of_files_with_the_same_first_line_are_all_read_at_once(tmp_path: Path) -> None:
    """Scenario 18: empty ones and short ones among them."""
    agent = bench(tmp_path)
    for number in range(500):
        with (tmp_path / f"{number}.log").open("wb") as file:
            file.write(event_line(0, pad=1500) + b"\n")
            file.write(event_line(number + 1) + b"\n")
    (tmp_path / "empty.log").touch()
    (tmp_path / "short.log").write_bytes(b"\n")
    agent.look()
    agent.settle_all()
    assert agent.settled_ids == ids(*range(501))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\0" * 100, id="NUL bytes"),
        pytest.param(event_line(1).replace(b'"pad":""', b'"pad":"\xff"'), id="invalid UTF-8"),
        pytest.param(event_line(1) + b"\r", id="CRLF"),
        pytest.param("\ufeff".encode() + event_line(1), id="BOM"),
        pytest.param(event_line(1).replace(b'"id"', b'"no"'), id="no id"),
        pytest.param(b"127.0.0.1 - - [23/Nov/2026] GET /", id="another format"),
        pytest.param(b"x" * 70_000, id="too long"),
        pytest.param(event_line(1)[:-1], id="cut"),
    ],
)
def test_what_is_no_event_is_refused_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, line: bytes
) -> None:
    """Scenarios 19 and 20."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    path.write_bytes(event_line(0) + b"\n" + line + b"\n" + event_line(2) + b"\n")
    agent.drain()
    assert agent.settled_ids == ids(0, 2)
    (refusal,) = agent.refusals
    assert (refusal.path, refusal.offset) == (str(path), len(event_line(0)) + 1)
    assert refusal.reason
    assert refusal.line == line or refusal.length_bytes == len(line)
    assert [place.offset for place in agent.follower.places()] == [path.stat().st_size]


def test_state_is_bounded_over_thousands_of_generations(tmp_path: Path) -> None:
    """Scenario 24: what is gone, settled and past its grace is forgotten; what is unsettled not."""
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=5)
    for number in range(600):
        write(tmp_path / "a.log", number)
        agent.look()
        if number != 300:
            for shipment in agent.in_flight[1 if number > 300 else 0 :]:
                agent.settle(shipment)
        (tmp_path / "a.log").rename(tmp_path / f"a.log.{number}")
        (tmp_path / f"a.log.{number - 2}").unlink(missing_ok=True)
        assert len(list(agent.follower.places())) < 12
    (held,) = agent.in_flight
    assert held.batch.ids == [event_id(300)]
    assert [one.path for one in agent.follower.places() if one.path.endswith(".300")]
    agent.settle(held)
    assert agent.settled_ids == ids(*range(600))


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an unprivileged user reaches."""
    directory = Path(tempfile.mkdtemp(prefix="agent-follow-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def unprivileged(open_directory: Path) -> Iterator[Path]:
    """Run as somebody whom permissions hold back, which they do not for root."""
    if os.geteuid() != 0:
        yield open_directory
        return
    os.seteuid(65_534)
    try:
        yield open_directory
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_told_and_tried_again(unprivileged: Path) -> None:
    agent = bench(unprivileged)
    write(unprivileged / "a.log", 0)
    write(unprivileged / "b.log", 1)
    (unprivileged / "a.log").chmod(0)
    agent.drain()
    assert agent.settled_ids == ids(1)
    assert agent.follower.unreadable == {str(unprivileged / "a.log"): "Permission denied"}
    (unprivileged / "a.log").chmod(0o600)
    agent.drain()
    assert agent.settled_ids == ids(0, 1)
    assert agent.follower.unreadable == {}


def test_only_regular_files_are_opened_and_each_once(tmp_path: Path) -> None:
    """A FIFO would block, an archive holds no lines, two names of one file are one file."""
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "directory.log").mkdir()
    (tmp_path / "nowhere.log").symlink_to("/nonexistent")
    write(tmp_path / "a.log", 0)
    (tmp_path / "link.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "hard.log").hardlink_to(tmp_path / "a.log")
    with gzip.open(tmp_path / "old.log", "wb") as file:
        file.write(event_line(1) + b"\n")
    agent = bench(tmp_path)
    agent.drain()
    agent.drain()
    assert agent.settled_ids == ids(0)
    assert agent.refusals == []
    assert len(agent.follower.tails) == 1


def test_the_state_directory_is_never_followed(tmp_path: Path) -> None:
    agent = bench(tmp_path, "**")
    write(tmp_path / "a.log", 0)
    (tmp_path / "state" / "dead-letter.jsonl").write_bytes(b"{}\n")
    agent.drain()
    agent.drain()
    assert agent.refusals == []
    assert agent.settled_ids == ids(0)


def test_a_fresh_line_waits_for_one_read_of_a_backlog_and_not_for_all(tmp_path: Path) -> None:
    agent = bench(tmp_path, read_bytes=4000)
    for name in "abcdefgh":
        write(tmp_path / f"{name}.log", *range(200))
    write(tmp_path / "z-fresh.log", 1000)
    agent.follower.rescan(1.0)
    order: list[str] = []
    while (chunk := agent.follower.read(1.0)) is not None:
        order.append(Path(chunk.tail.path).name)
        if len(order) == 20:
            write(tmp_path / "z-fresh.log", 1001)
            agent.follower.touch([str(tmp_path / "z-fresh.log")])
    first, second = (at for at, name in enumerate(order) if name == "z-fresh.log")
    assert first <= 1
    assert second <= 22
    assert set(order[2:10]) == {f"{name}.log" for name in "abcdefgh"}, "each in turn"


def test_globs(tmp_path: Path) -> None:
    for name in ("a.log", "x/b.log", "x/y/c.log", "x/y/d.txt", "state/e.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = scan([f"{tmp_path}/**/*.log", f"{tmp_path}/a.*"], f"{tmp_path}/state")
    assert sorted(Path(path).name for path in found) == ["a.log", "b.log", "c.log"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/var/log/app/*.log", ("/var/log/app", False)),
        ("/var/log/app/x.log", ("/var/log/app", False)),
        ("/srv/*/log/*.log", ("/srv", True)),
        ("/srv/**/*.log", ("/srv", True)),
        ("/*.log", ("/", False)),
        ("/*/x.log", ("/", True)),
    ],
)
def test_the_directory_to_watch(pattern: str, expected: tuple[str, bool]) -> None:
    assert base_directory(pattern) == expected


def test_names_that_may_match() -> None:
    assert may_match("/x/y/a.log", ["/x/**/*.log"])
    assert not may_match("/x/y/a.txt", ["/x/**/*.log"])
    assert may_match("/x/y/anything", ["/x/**"])


def test_archives_are_known_by_their_first_bytes() -> None:
    assert is_compressed(gzip.compress(b"x"))
    assert not is_compressed(event_line(0))
