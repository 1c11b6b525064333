"""What happens to files, one scenario each; the numbers are those of the list of known failures."""

import lzma
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_world import bench, event_id, event_line, ids, read_twice, write


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


def test_a_look_is_due_at_once_when_another_file_has_a_known_name(tmp_path: Path) -> None:
    """Else a rotated file's successor waits for the next interval, or is itself gone by then."""
    path = tmp_path / "a.log"
    agent = bench(tmp_path)
    write(path, 0)
    agent.drain()
    write(path, 1)
    assert not agent.follower.touch([str(path)]), "it only grew"
    path.rename(tmp_path / "a.old")
    write(path, 2)
    assert agent.follower.touch([str(path)])
    agent.drain()
    assert agent.settled_ids == ids(0, 1, 2)
    assert not agent.follower.touch([str(path)])


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


@pytest.mark.parametrize(
    ("name", "begins", "found"),
    [
        pytest.param("a.old", b"", True, id="its name begins like the former one"),
        pytest.param("a-20261123.log.1", b"", True, id="with the date in it"),
        pytest.param("notes.txt", b"", False, id="another name"),
        pytest.param("a.old", b"no event\n", False, id="another text"),
    ],
)
@pytest.mark.parametrize("half", [b"", b'{"action":"another.one'], ids=["empty", "half a line"])
def test_a_file_of_which_nothing_whole_was_known_is_found_outside_the_globs(
    tmp_path: Path, name: str, begins: bytes, half: bytes, *, found: bool
) -> None:
    """Its half line was taken back, and it was written to and renamed, all while stopped."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    path.write_bytes(half)
    agent.drain()
    agent.follower.close()
    os.truncate(path, 0)
    path.write_bytes(begins)
    write(path, 0, 1)
    path.rename(tmp_path / name)
    agent.crash()
    agent.drain()
    assert agent.settled_ids == (ids(0, 1) if found else set())
    assert agent.refusals == []


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


def test_a_quiet_file_is_not_read_at_each_look(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    write(path, 0)
    os.utime(path, (1, 1))
    agent.drain()
    agent.follower.rescan(agent.now)
    assert not agent.follower.has_more


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


@pytest.mark.slow
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
    """A FIFO would block, an xz archive holds no lines, two names of one file are one file."""
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "directory.log").mkdir()
    (tmp_path / "nowhere.log").symlink_to("/nonexistent")
    write(tmp_path / "a.log", 0)
    (tmp_path / "link.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "hard.log").hardlink_to(tmp_path / "a.log")
    (tmp_path / "old.log").write_bytes(lzma.compress(event_line(1) + b"\n"))
    agent = bench(tmp_path)
    agent.drain()
    agent.drain()
    assert agent.settled_ids == ids(0)
    assert agent.refusals == []
    assert len(agent.follower.tails) == 1
    assert agent.follower.unreadable == {str(tmp_path / "old.log"): "xz archive"}, "it is told"


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_to_what_the_agent_writes_is_told_and_not_read(
    tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    """Each line of the dead letter would be another one there, until the disk is full."""
    (tmp_path / "state").mkdir()
    dead_letter = tmp_path / "state" / "dead-letter.jsonl"
    dead_letter.write_bytes(b'{"line": "no event"}\n')
    make(dead_letter, tmp_path / "b.log")
    write(tmp_path / "a.log", 0)
    agent = bench(tmp_path)
    agent.drain()
    assert agent.settled_ids == ids(0)
    assert agent.refusals == []
    assert agent.follower.unreadable == {f"{tmp_path}/b.log": "the agent itself writes it"}


def test_a_name_that_is_not_utf8_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """No checkpoint could hold it."""
    write(tmp_path / "a.log", 0)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.log")).write_bytes(event_line(1) + b"\n")
    agent = bench(tmp_path)
    for _ in range(2):
        agent.drain()
    assert agent.settled_ids == ids(0)
    assert agent.follower.unreadable == {f"{tmp_path}/\\xff.log": "its name is not UTF-8"}


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


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_jumps_makes_nothing_lost_or_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Scenario 25: while it runs, and while it is stopped."""
    agent = bench(tmp_path, "*.log*")
    write(tmp_path / "a.log", *range(10))
    agent.drain()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    write(tmp_path / "a.log", 10)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write(tmp_path / "a.log", 11)
    agent.drain()
    agent.crash()
    write(tmp_path / "a.log", 12)
    agent.drain()
    monkeypatch.setattr(time, "time", real)
    agent.crash()
    write(tmp_path / "a.log.1", 13)
    agent.drain()
    assert agent.settled_ids == ids(*range(14))
    assert read_twice(agent) == []
