"""What counts as a gap, and when; and hashes on the way."""

import os
from pathlib import Path

import pytest

from agent.chain import MISSING_LIMIT, SOURCES_LIMIT, Gap, Horizon, Links, Sources
from agent.checkpoint import SourceState
from agent.chunk import Part, Span
from agent.tail import Tail
from audit_events import open_log
from audit_events.envelope import decode_envelope

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


def test_state_is_bounded() -> None:
    sources = Sources({}, 0.0)
    for number in range(SOURCES_LIMIT + 50):
        sources.settle(span(0, 0, f"s{number}"), 0.0, number)
    assert len(sources.states()) == SOURCES_LIMIT
    assert "s0" not in sources.states()
    for number in range(MISSING_LIMIT + 10):
        sources.settle(span(2 * number + 1, 2 * number + 1), 0.0, 10**6)
    assert len(sources.states()[A].missing) == MISSING_LIMIT
    assert len(sources.take_gaps(-1.0)) == 10, "the oldest are told at once"


def tail_at(path: Path, size: int) -> Tail:
    path.write_bytes(b"x" * size)
    tail = Tail(os.open(path, os.O_RDONLY), str(path), 1, 1, max_line_bytes=1000)
    tail.size = size
    return tail


def test_the_horizon_is_passed_when_all_that_was_there_is_settled(tmp_path: Path) -> None:
    tail, other = tail_at(tmp_path / "a", 10), tail_at(tmp_path / "b", 5)
    other.settled = 5
    horizon = Horizon([tail, other], 1.0)
    assert not horizon.is_passed()
    tail.size = 1000
    tail.settled = 10
    assert horizon.is_passed(), "what came later does not count"
    for one in (tail, other):
        one.close()


def test_half_a_line_does_not_hold_the_horizon_up(tmp_path: Path) -> None:
    tail = tail_at(tmp_path / "a", 10)
    horizon = Horizon([tail], 1.0)
    tail.position = 10
    part = Part(tail)
    tail.parts.append(part)
    assert not horizon.is_passed()
    tail.parts.clear()
    assert horizon.is_passed()
    tail.close()


def test_hashes_are_verified_across_a_restart_and_a_break_is_found(tmp_path: Path) -> None:
    log = open_log(tmp_path / "x.log", service="s")
    for number in range(6):
        log.info(
            "member.invited", organization_id="o", actor={"type": "system"}, context={"n": number}
        )
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    envelopes = [decode_envelope(line) for line in lines]
    sources = Sources({}, 0.0)
    links = Links(sources)
    assert [links.holds(one, line) for one, line in zip(envelopes[:3], lines, strict=False)] == [
        True
    ] * 3
    one = Span(envelopes[2].source.id, 0, envelopes[2].hash)
    one.last = 2
    sources.settle(one, 0.0, 0)
    restarted = Links(Sources(sources.states(), 0.0))
    assert restarted.holds(envelopes[3], lines[3])
    assert not restarted.holds(envelopes[4], lines[4].replace(b'"n":4', b'"n":5'))
    assert restarted.holds(envelopes[5], lines[5]), "each break is told once"


def test_an_event_whose_predecessor_was_not_read_is_not_accused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "x.log", service="s")
    for _ in range(3):
        log.info("member.invited", organization_id="o", actor={"type": "system"})
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    links = Links(Sources({}, 0.0))
    assert links.holds(decode_envelope(lines[2]), lines[2])


def test_processes_that_take_turns_in_one_file_give_one_span_each(tmp_path: Path) -> None:
    """What is kept of a batch does not grow with how finely they interleave."""
    logs = [open_log(tmp_path / "x.log", service=f"s{number}") for number in range(3)]
    for number in range(30):
        logs[number % 3].info("member.invited", organization_id="o1", actor={"type": "system"})
    part = Part(tail_at(tmp_path / "y", 0))
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    envelopes = [decode_envelope(line) for line in lines]
    part.note(envelopes[:20])
    part.note(envelopes[20:])
    assert [(one.first, one.last) for one in part.spans] == [(0, 9)] * 3
    assert [one.hash for one in part.spans] == [one.hash for one in envelopes[-3:]]
    sources = settled(*part.spans)
    assert sources.take_gaps(1e9) == []


def test_the_horizon_is_passed_when_a_half_line_was_taken_back(tmp_path: Path) -> None:
    """Else a gap would never be told, if nothing is written to that file any more."""
    tail = tail_at(tmp_path / "a", 10)
    tail.read()
    horizon = Horizon([tail], 1.0)
    tail.parts.append(part := Part(tail))
    os.truncate(tmp_path / "a", 0)
    tail.size = 0
    tail.read()
    assert tail.position == 0
    assert not horizon.is_passed()
    part.settled = True
    tail.advance()
    assert horizon.is_passed()
