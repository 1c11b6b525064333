"""Batches: how large they get, and what moves when one of them is settled."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.batch import Batch
from indexer.dead_letter import render
from tests.agent_world import bench, event_id, event_line, ids, read_twice, write


def fill(path: Path, count: int, pad: int = 0) -> None:
    path.write_bytes(b"".join(event_line(number, pad=pad) + b"\n" for number in range(count)))


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 95])
@pytest.mark.parametrize("read_bytes", [500, 4000, 1 << 20])
def test_a_batch_ends_at_its_count_wherever_reads_end(
    tmp_path: Path, count: int, read_bytes: int
) -> None:
    agent = bench(tmp_path, batch_events=10, read_bytes=read_bytes)
    fill(tmp_path / "a.log", count)
    sizes = [len(shipment.batch) for shipment in agent.look()]
    assert sum(sizes) == count
    assert max(sizes) <= 10
    assert sizes.count(10) == count // 10


def test_a_batch_ends_at_the_read_that_filled_it(tmp_path: Path) -> None:
    """`batch_bytes` is passed by less than one read."""
    agent = bench(tmp_path, read_bytes=65_536)
    fill(tmp_path / "a.log", 200, pad=60_000)
    sizes = [shipment.bytes for shipment in agent.look()]
    assert max(sizes) < agent.settings.batch_bytes + 65_536
    assert min(sizes[:-1]) >= agent.settings.batch_bytes


def test_garbage_fills_a_batch_too(tmp_path: Path) -> None:
    """Refused lines are held in memory until they are in the dead letter."""
    agent = bench(tmp_path, batch_events=10)
    (tmp_path / "a.log").write_bytes(b"garbage\n" * 95)
    shipments = agent.look()
    assert [one.refusals.lines for one in shipments] == [10] * 9 + [5]
    assert agent.loader.counters.malformed_lines == 95
    agent.settle_all()
    assert [one.offset for one in agent.refusals] == [80 * number for number in range(10)]


@pytest.mark.parametrize("line", [b"x", b"\xff", b"key=value", b"y" * 250])
def test_the_dead_letter_grows_about_as_much_as_what_it_buries(tmp_path: Path, line: bytes) -> None:
    """It is on the disk of the checkpoint: a record for each letter was 75 times their bytes."""
    agent = bench(tmp_path)
    path = tmp_path / "a.log"
    path.write_bytes((line + b"\n") * 20_000)
    agent.drain()
    buried = sum(len(render(one)) for one in agent.refusals)
    assert buried < 2 * path.stat().st_size
    assert b"\n".join(one.line or b"" for one in agent.refusals) + b"\n" == path.read_bytes()


LINES = {
    "event": event_line(0),
    "short": b"short",
    "letter": b"x",
    "long": b"long" * 100,
    "blank": b"",
    "no text": b"\xff",
}


@settings(deadline=None)
@given(
    drawn=st.lists(st.tuples(st.sampled_from(sorted(LINES)), st.integers(1, 4)), max_size=30),
    read_bytes=st.integers(420, 2000),
    batch_events=st.integers(1, 8),
)
def test_each_line_that_is_no_event_is_buried_once_with_its_place(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str, int]],
    read_bytes: int,
    batch_events: int,
) -> None:
    """However they stand beside each other, and wherever reads and batches end."""
    directory = tmp_path_factory.mktemp("drawn")
    lines = [LINES[kind] for kind, count in drawn for _ in range(count)]
    data = b"".join(line + b"\n" for line in lines)
    (directory / "a.log").write_bytes(data)
    agent = bench(directory, read_bytes=read_bytes, batch_events=batch_events)
    shipments = agent.look()
    assert all(len(one.batch) + one.refusals.lines <= batch_events for one in shipments)
    agent.settle_all()
    assert agent.loader.counters.lines == len(lines)
    buried: list[bytes] = []
    for one in agent.refusals:
        text = one.line or b""
        assert data[one.offset : one.offset + len(text) + 1] == text + b"\n"
        assert one.lines == sum(map(bool, text.split(b"\n")))
        assert one.length_bytes == (len(text) if one.lines > 1 else None)
        buried += filter(None, text.split(b"\n"))
    assert buried == [line for line in lines if line and line != LINES["event"]]
    assert agent.loader.counters.malformed_lines == len(buried)
    agent.follower.close()


def test_empty_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    (tmp_path / "a.log").write_bytes(b"\n\n" + event_line(0) + b"\n\n")
    agent.drain()
    assert agent.refusals == []
    assert agent.settled_ids == {event_id(0)}
    assert agent.loader.counters.empty_lines == 3
    assert [place.offset for place in agent.follower.places()] == [len(event_line(0)) + 4]


@pytest.mark.parametrize("line", [b"", b"x"])
def test_lines_that_are_no_events_are_not_added_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """A read of 262,144 empty ones took 4 s, in which no other file was read."""
    added: list[int] = []
    extend = Batch.extend

    def count(batch: Batch, lines: Sequence[bytes], *rest: Any) -> None:
        added.append(len(lines))
        extend(batch, lines, *rest)

    monkeypatch.setattr(Batch, "extend", count)
    agent = bench(tmp_path)
    no_events = (line + b"\n") * 1000
    event = event_line(0) + b"\n"
    (tmp_path / "a.log").write_bytes(no_events + event + no_events)
    agent.drain()
    assert added == [1]
    assert agent.settled_ids == ids(0)
    assert [place.offset for place in agent.follower.places()] == [len(no_events * 2 + event)]


def test_each_read_is_stamped_when_it_is_taken_not_when_its_batch_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = bench(tmp_path)
    instants = [f"2026-03-15T09:00:0{second}.000000Z" for second in range(3)]
    clock = iter(instants)
    monkeypatch.setattr(agent.loader, "_instant", lambda: next(clock))
    for number, name in enumerate(("a.log", "b.log", "c.log")):
        (tmp_path / name).write_bytes(event_line(number) + b"\n")
    (shipment,) = agent.look()
    body = b"".join(shipment.batch.body([0, 1, 2]))
    assert re.findall(rb'"ingestedAt":"([^"]+)"', body) == [one.encode() for one in instants]
    assert sorted(shipment.batch.lines()) == sorted(event_line(number) for number in range(3))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_whatever_comes_back_first_a_restart_reads_all_that_is_not_settled(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    for settled in range(5):
        directory = tmp_path / str(settled)
        directory.mkdir()
        agent = bench(directory, batch_events=10)
        fill(directory / "a.log", 40)
        shipments = agent.look()
        for number in order[:settled]:
            agent.settle(shipments[number])
        agent.save()
        agent.crash()
        (*_, place) = agent.follower.places()
        prefix = next((n for n in range(4) if n not in order[:settled]), 4)
        line = len(event_line(0)) + 1
        growth = sum(len(str(number)) - 1 for number in range(prefix * 10))
        assert place.offset == prefix * 10 * line + growth
        agent.drain()
        assert agent.settled_ids == {event_id(number) for number in range(40)}
        agent.follower.close()


def test_a_batch_takes_lines_of_many_files_and_each_moves(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    for number in range(30):
        (tmp_path / f"{number}.log").write_bytes(event_line(number) + b"\n")
    (shipment,) = agent.look()
    assert len({part.tail for part in shipment.parts}) == 30
    assert all(place.offset == 0 for place in agent.follower.places())
    agent.settle(shipment)
    assert all(place.offset > 0 for place in agent.follower.places())


def test_each_line_carries_where_it_stood(tmp_path: Path) -> None:
    agent = bench(tmp_path, read_bytes=700, batch_events=3)
    path = tmp_path / "a.log"
    path.write_bytes(
        b"".join(
            event_line(n, pad=n) + b"\n" + (b"junk\n\n" if n % 4 == 0 else b"") for n in range(40)
        )
    )
    data = path.read_bytes()
    shipments = agent.look()
    assert sum(len(one.batch) for one in shipments) == 40
    assert sum(one.refusals.lines for one in shipments) == 10
    for shipment in shipments:
        batch = shipment.batch
        located = batch.located(range(len(batch)))
        assert [line for _, _, line in located] == batch.lines()
        for _, offset, line in located:
            assert data[offset : offset + len(line) + 1] == line + b"\n"
        for refusal in shipment.refusals.records:
            assert data[refusal.offset : refusal.offset + 5] == b"junk\n"


def test_a_batch_that_is_full_to_the_last_line_leaves_no_part_of_nothing(tmp_path: Path) -> None:
    """Such a part ended at 0, and a checkpoint just then made its file unreadable for good."""
    agent = bench(tmp_path, read_bytes=1500, batch_events=3)
    write(tmp_path / "a.log", *range(8), pad=800)
    first = agent.look()[0]
    agent.settle(first)
    agent.save()
    assert [place.offset for place in agent.follower.places()] == [first.bytes + 3]
    agent.crash()
    agent.look()
    agent.settle_all()
    assert agent.settled_ids == ids(*range(8))
    assert set(read_twice(agent)) == ids(*range(3, 8))
