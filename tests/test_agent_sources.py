"""What counts as a gap, and when; what is forgotten, and what that means."""

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archives import Search
from agent.checkpoint import SourceState
from agent.chunk import Part, Span, by_source
from agent.content import Plain
from agent.sources import (
    INCOMPLETE_LIMIT,
    MISSING_LIMIT,
    SOURCES_LIMIT,
    Gap,
    Horizon,
    Sources,
    Spot,
)
from agent.tail import Tail
from audit_events import open_log
from audit_events.envelope import decode_envelope, to_columns
from audit_events.identifier import format_uuid7

A, B = "source-a", "source-b"


def span(first: int, last: int, source: str = A) -> Span:
    one = Span(source, first, f"hash-{last}")
    one.last = last
    return one


def settled(*spans: Span) -> Sources:
    sources = Sources({}, 0.0)
    for number, one in enumerate(spans):
        sources.settle(one, float(number), 0)
    return sources


@pytest.mark.parametrize(
    ("spans", "gaps"),
    [
        pytest.param([span(0, 9), span(10, 20)], [], id="in order"),
        pytest.param([span(10, 20), span(0, 9)], [], id="newer file read first"),
        pytest.param([span(0, 9), span(11, 20)], [Gap(A, 10, 10)], id="one missing"),
        pytest.param([span(3, 5)], [Gap(A, 0, 2)], id="the beginning missing"),
        pytest.param([span(0, 9), span(5, 9), span(10, 10)], [], id="some read again"),
        pytest.param([span(0, 2), span(6, 8), span(4, 4)],
                     [Gap(A, 3, 3), Gap(A, 5, 5)], id="filled in the middle"),
        pytest.param([span(0, 2), span(6, 8), span(2, 6)], [], id="filled and more"),
        pytest.param([span(0, 0), span(5, 5), span(9, 9), span(0, 9)], [], id="all filled at last"),
        pytest.param([span(0, 0), span(0, 0, B), span(2, 2, B), span(1, 1)],
                     [Gap(B, 1, 1)], id="each source for itself"),
    ],
)  # fmt: skip
def test_gaps(spans: list[Span], gaps: list[Gap]) -> None:
    sources = settled(*spans)
    assert sources.take_gaps(1e9) == gaps
    assert sources.take_gaps(1e9) == [], "each is told once"


def test_a_gap_is_told_only_if_it_was_noticed_early_enough() -> None:
    sources = settled(span(0, 0), span(2, 2), span(4, 4))
    assert sources.oldest_missing() == 1.0
    assert sources.take_gaps(1.0) == [Gap(A, 1, 1)]
    assert sources.oldest_missing() == 2.0
    assert sources.take_gaps(2.0) == [Gap(A, 3, 3)]
    assert sources.oldest_missing() is None


def test_what_is_missing_survives_a_restart() -> None:
    states = settled(span(0, 3), span(6, 7)).states()
    assert states == {A: SourceState(seq=7, hash="hash-7", touched=0, missing=((4, 5),))}
    again = Sources(states, 50.0)
    assert again.oldest_missing() == 50.0
    again.settle(span(4, 4), 51.0, 0)
    assert again.take_gaps(60.0) == [Gap(A, 5, 5)]


def test_where_it_was_noticed_survives_a_restart_too() -> None:
    sources = Sources({}, 0.0)
    sources.settle(span(2, 2), 0.0, 0, Spot("/a.log", 700))
    again = Sources(sources.states(), 50.0)
    assert again.take_gaps(60.0) == [Gap(A, 0, 1, "/a.log", 700)]


@pytest.mark.parametrize(
    ("later", "closed"),
    [
        pytest.param([span(3, 5)], [(3, 5)], id="all of it"),
        pytest.param([span(0, 9)], [(3, 5)], id="in a file that has more"),
        pytest.param([span(4, 4)], [(4, 4)], id="a part"),
        pytest.param([span(5, 5), span(3, 4)], [(5, 5), (3, 4)], id="in pieces"),
        pytest.param([span(3, 5), span(3, 5)], [(3, 5)], id="twice"),
        pytest.param([span(0, 2), span(6, 9), span(12, 13)], [], id="what was no gap"),
        pytest.param([span(10, 11), span(4, 5)], [(10, 11), (4, 5)], id="of another gap"),
    ],
)
def test_what_arrives_of_a_gap_that_was_told_closes_it(
    later: list[Span], closed: list[tuple[int, int]]
) -> None:
    sources = settled(span(0, 2), span(6, 9), span(12, 12))
    assert sources.take_gaps(1e9) == [Gap(A, 3, 5), Gap(A, 10, 11)]
    again = Sources(sources.states(), 50.0)
    for one in later:
        again.settle(one, 51.0, 0, Spot("/restored.log", 9))
    assert again.take_closed() == [Gap(A, *ends, "/restored.log", 9) for ends in closed]
    assert again.take_closed() == []
    assert again.take_gaps(1e9) == []


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_reading_tells_exactly_what_never_came(seed: int) -> None:
    """Against a set of numbers as the model; some are told in between and come later."""
    draw = random.Random(seed)  # noqa: S311  # a seed that repeats is the point
    lost = set(draw.sample(range(60), 15))
    came = [number for number in range(61) if number not in lost]
    draw.shuffle(came)
    sources, told, closed = Sources({}, 0.0), set[int](), set[int]()
    for now, number in enumerate(came):
        sources.settle(span(number, number), float(now), 0)
        if draw.random() < 0.1:
            told |= numbers(sources.take_gaps(now - 5.0))
        closed |= numbers(sources.take_closed())
        if draw.random() < 0.1:
            sources = Sources(sources.states(), float(now), sources.forgotten)
    told |= numbers(sources.take_gaps(1e9))
    assert told - closed == {one for one in lost if one < max(came)}
    assert closed == told - lost


def numbers(gaps: list[Gap]) -> set[int]:
    """Each `seq` of these ranges, and none of them twice."""
    found = [number for gap in gaps for number in range(gap.first, gap.last + 1)]
    assert len(found) == len(set(found))
    return set(found)


def uuid7(unix_seconds: int, number: int = 0) -> str:
    return format_uuid7(unix_seconds * 10**9, number)


def full_of_sources(unix_seconds: int) -> Sources:
    """As many sources as are remembered, each started and heard a second after the one before."""
    sources = Sources({}, 0.0)
    for second in range(unix_seconds, unix_seconds + SOURCES_LIMIT):
        sources.settle(span(0, 9, uuid7(second)), 0.0, second)
    return sources


def test_the_source_that_was_quiet_longest_is_forgotten() -> None:
    sources = full_of_sources(1000)
    sources.settle(span(10, 10, uuid7(1000)), 0.0, 9000)
    sources.settle(span(0, 0, uuid7(9001)), 0.0, 9001)
    assert len(sources.states()) == SOURCES_LIMIT
    assert uuid7(1000) in sources.states()
    assert uuid7(1001) not in sources.states()
    assert sources.forgotten == uuid7(1001)


def test_a_forgotten_source_that_writes_again_is_no_gap_and_is_followed_from_there() -> None:
    sources = full_of_sources(1000)
    sources.settle(span(0, 0, uuid7(9000)), 0.0, 9000)
    sources = Sources(sources.states(), 0.0, sources.forgotten)
    sources.settle(span(10, 10, uuid7(1000)), 0.0, 9001)
    assert sources.take_gaps(1e9) == []
    sources.settle(span(12, 12, uuid7(1000)), 0.0, 9002)
    assert sources.take_gaps(1e9) == [Gap(uuid7(1000), 11, 11)]


def test_a_lost_beginning_of_a_younger_source_is_a_gap_all_the_same() -> None:
    sources = full_of_sources(1000)
    sources.settle(span(0, 0, uuid7(9000)), 0.0, 9000)
    sources.settle(span(5, 5, uuid7(1000 + 3, 1)), 0.0, 9001)
    assert sources.take_gaps(1e9) == [Gap(uuid7(1003, 1), 0, 4)]


def test_what_is_missing_of_a_source_is_told_before_it_is_forgotten() -> None:
    sources = Sources({}, 0.0)
    sources.settle(span(3, 3, uuid7(1000)), 0.0, 1000)
    for second in range(1001, 1001 + SOURCES_LIMIT):
        sources.settle(span(0, 0, uuid7(second)), 0.0, second)
    assert sources.take_gaps(-1.0) == [Gap(uuid7(1000), 0, 2)]


def test_an_id_from_the_future_does_not_make_the_others_look_forgotten() -> None:
    """No UUIDv7, or a lie: what starts later is new for certain."""
    sources = Sources({}, 0.0)
    sources.settle(span(0, 0, "ffffffff-ffff-4fff-8fff-ffffffffffff"), 0.0, 1000)
    for second in range(1001, 1001 + SOURCES_LIMIT):
        sources.settle(span(0, 0, uuid7(second)), 0.0, second)
    sources.settle(span(3, 3, uuid7(9000)), 0.0, 9000)
    assert sources.take_gaps(1e9) == [Gap(uuid7(9000), 0, 2)]


def test_what_is_missing_is_bounded_and_the_oldest_of_it_is_told_at_once() -> None:
    sources = Sources({}, 0.0)
    for number in range(MISSING_LIMIT + 10):
        sources.settle(span(2 * number + 1, 2 * number + 1), 0.0, 10**6)
    assert len(sources.states()[A].missing) == MISSING_LIMIT
    assert [gap.first for gap in sources.take_gaps(-1.0)] == [2 * number for number in range(10)]
    for number in range(INCOMPLETE_LIMIT + 10):
        sources.settle(span(1, 1, f"b{number:04}"), 0.0, 10**6)
    told = sources.take_gaps(-1.0)
    assert len(told) == MISSING_LIMIT + 10
    assert {gap.source_id for gap in told} == {A, *(f"b{number:04}" for number in range(10))}


def test_what_was_told_is_bounded() -> None:
    sources = Sources({}, 0.0)
    for number in range(INCOMPLETE_LIMIT + 10):
        sources.settle(span(1, 1, f"b{number:04}"), 0.0, 10**6)
    sources.take_gaps(1e9)
    assert sum(bool(state.told) for state in sources.states().values()) == INCOMPLETE_LIMIT
    for number in range(MISSING_LIMIT + 10):
        sources.settle(span(2 * number + 1, 2 * number + 1), 0.0, 10**6)
    sources.take_gaps(1e9)
    assert len(sources.states()[A].told) == MISSING_LIMIT


def test_a_restart_among_many_sources_forgets_nothing_that_was_told() -> None:
    sources = settled(span(2, 2))
    assert sources.take_gaps(1e9) == [Gap(A, 0, 1)]
    for number in range(INCOMPLETE_LIMIT):
        sources.settle(span(0, 0, f"whole-{number:04}"), 0.0, 0)
    again = Sources(sources.states(), 50.0)
    again.settle(span(1, 1, B), 51.0, 0)
    assert again.take_gaps(1e9) == [Gap(B, 0, 0)]
    again.settle(span(0, 1), 52.0, 0)
    assert again.take_closed() == [Gap(A, 0, 1)]


def test_what_arrived_leaves_room_for_what_others_miss() -> None:
    sources = settled(span(1, 1))
    assert sources.take_gaps(1e9) == [Gap(A, 0, 0)]
    for number in range(INCOMPLETE_LIMIT + 1):
        name = f"b{number:04}"
        sources.settle(span(1, 1, name), 0.0, 0)
        sources.settle(span(0, 0, name), 0.0, 0)
        sources.settle(span(3, 3, name), 0.0, 0)
        assert sources.take_gaps(0.0) == [Gap(name, 2, 2)]
        sources.settle(span(2, 2, name), 0.0, 0)
        assert sources.take_closed() == [Gap(name, 2, 2)]
    sources.settle(span(0, 0), 0.0, 0)
    assert sources.take_closed() == [Gap(A, 0, 0)]


def test_what_was_told_of_a_forgotten_source_is_forgotten_with_it() -> None:
    sources = Sources({}, 0.0)
    sources.settle(span(1, 1, uuid7(1000)), 0.0, 1000)
    sources.take_gaps(1e9)
    for second in range(1001, 1001 + SOURCES_LIMIT):
        sources.settle(span(0, 0, uuid7(second)), 0.0, second)
    for second in range(9000, 9000 + INCOMPLETE_LIMIT):
        sources.settle(span(1, 1, uuid7(second)), 0.0, second)
    assert len(sources.take_gaps(1e9)) == INCOMPLETE_LIMIT
    assert sum(bool(state.told) for state in sources.states().values()) == INCOMPLETE_LIMIT


class Files:
    """A follower without archives."""

    def __init__(self, *tails: Tail) -> None:
        self.tails = list(tails)

    def contents(self) -> list[Tail]:
        return self.tails

    def searches(self) -> set[Search]:
        return set()


def tail_at(path: Path, size: int) -> Tail:
    path.write_bytes(b"x" * size)
    tail = Tail(Plain(os.open(path, os.O_RDONLY)), str(path), 1, 1, max_line_bytes=1000)
    tail.size = size
    return tail


def test_the_horizon_is_passed_when_all_that_was_there_is_settled(tmp_path: Path) -> None:
    tail, other = tail_at(tmp_path / "a", 10), tail_at(tmp_path / "b", 5)
    other.settled = 5
    horizon = Horizon(Files(tail, other), 1.0)
    assert not horizon.is_passed()
    tail.size = 1000
    tail.settled = 10
    assert horizon.is_passed(), "what came later does not count"
    for one in (tail, other):
        one.close()


def test_half_a_line_does_not_hold_the_horizon_up(tmp_path: Path) -> None:
    tail = tail_at(tmp_path / "a", 10)
    horizon = Horizon(Files(tail), 1.0)
    tail.position = 10
    part = Part(tail)
    tail.parts.append(part)
    assert not horizon.is_passed()
    tail.parts.clear()
    assert horizon.is_passed()
    tail.close()


def test_a_file_that_is_gone_unread_does_not_hold_the_horizon_up(tmp_path: Path) -> None:
    tail = tail_at(tmp_path / "a", 10)
    horizon = Horizon(Files(tail), 1.0)
    assert not horizon.is_passed()
    tail.close()
    assert horizon.is_passed()


def test_processes_that_take_turns_in_one_file_give_one_span_each(tmp_path: Path) -> None:
    """What is kept of a batch does not grow with how finely they interleave."""
    logs = [open_log(tmp_path / "x.log", service=f"s{number}") for number in range(3)]
    for number in range(30):
        logs[number % 3].info("member.invited", organization_id="o1", actor={"type": "system"})
    part = Part(tail_at(tmp_path / "y", 0))
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    envelopes = [decode_envelope(line) for line in lines]
    for some in (envelopes[:20], envelopes[20:]):
        columns = to_columns(some)
        part.note(columns, by_source(columns))
    assert [(one.first, one.last) for one in part.spans] == [(0, 9)] * 3
    assert [one.hash for one in part.spans] == [one.hash for one in envelopes[-3:]]
    sources = settled(*part.spans)
    assert sources.take_gaps(1e9) == []


def test_the_horizon_is_passed_when_a_half_line_was_taken_back(tmp_path: Path) -> None:
    """Else a gap would never be told, if nothing is written to that file any more."""
    tail = tail_at(tmp_path / "a", 10)
    tail.read()
    horizon = Horizon(Files(tail), 1.0)
    tail.parts.append(part := Part(tail))
    os.truncate(tmp_path / "a", 0)
    tail.size = 0
    tail.read()
    assert tail.position == 0
    assert not horizon.is_passed()
    part.settled = True
    tail.advance()
    assert horizon.is_passed()


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=600, unique=True))
def test_what_is_remembered_is_bounded_in_whatever_order_events_arrive(seqs: list[int]) -> None:
    """Who writes lines with any `seq` must not make the loop slow, or the state grow."""
    sources = Sources({}, 0.0)
    for seq in seqs:
        sources.settle(span(seq, seq), 0.0, 0)
        state = sources.states()[A]
        assert len(state.missing) <= MISSING_LIMIT
        assert len(state.told) <= MISSING_LIMIT


def test_what_was_told_and_what_arrived_add_up_in_any_order() -> None:
    order = list(range(0, 1000, 2))
    random.Random(7).shuffle(order)  # noqa: S311  # any order
    sources = Sources({}, 0.0)
    told: set[int] = set()
    for seq in order:
        sources.settle(span(seq, seq), 0.0, 0)
        told |= seqs_of(sources.take_gaps(-1.0))
    told |= seqs_of(sources.take_gaps(1.0))
    assert told >= set(range(1, max(order), 2)), "every event that is missing is told"


def seqs_of(gaps: Iterable[Gap]) -> set[int]:
    return {seq for gap in gaps for seq in range(gap.first, gap.last + 1)}
