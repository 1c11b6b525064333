"""What the log tells of itself as missing or altered, and when that was."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.settings import IndexSettings
from indexer.span import Span
from webapi.losses import (
    BREAK,
    GAP,
    GAP_CLOSED,
    GONE,
    SILENT,
    Loss,
    Place,
    Sides,
    count,
    losses_of,
    read_told,
    silent_of,
    subtract,
    window_of,
)

INDEX = IndexSettings()
MISSING, RESTORED = "audit_log.partition_missing", "audit_log.partition_restored"
PARTITION = "audit-events-2026.09"
SEPTEMBER = Span(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))


def at(minute: int) -> datetime:
    return datetime(2026, 11, 20, 12, minute, tzinfo=UTC)


def told(action: str, minute: int, context: dict[str, Any] | None = None, **resource: str) -> bytes:
    return msgspec.json.encode(
        {
            "timestamp": f"2026-11-20T12:{minute:02}:00.000000Z",
            "action": action,
            "resource": resource,
            "context": context or {},
        }
    )


def numbers(action: str, minute: int, *ranges: str, events: int | str, source: str = "s") -> bytes:
    context = {"events": events, "ranges": list(ranges)}
    return told(action, minute, context, type="source", id=source)


def partition(action: str, minute: int, name: str = PARTITION, **context: Any) -> bytes:
    return told(action, minute, context, type="partition", id=name)


def gap(events: int, minute: int, first: int, last: int, source: str = "s") -> Loss:
    place = Place(source, first, last)
    return Loss(kind="gap", events=events, found_at=at(minute), place=place)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([numbers(GAP, 1, "3-7", events=5)], [gap(5, 1, 3, 7)], id="a gap"),
        pytest.param([numbers(GAP, 1, "3", events=1)], [gap(1, 1, 3, 3)], id="of one event"),
        pytest.param(
            [numbers(GAP, 1, "3-7", events=5), numbers(GAP_CLOSED, 2, "3-7", events=5)],
            [],
            id="it arrived after all",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-7", events=5), numbers(GAP_CLOSED, 2, "3-4", events=2)],
            [gap(3, 1, 5, 7)],
            id="some of it did",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-7", events=5), numbers(GAP_CLOSED, 2, "3-7", events=5, source="t")],
            [gap(5, 1, 3, 7)],
            id="another source's arrived",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-7", events=5), numbers(GAP, 2, "3-7", events=5)],
            [gap(5, 1, 3, 7)],
            id="told twice after a crash",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-7", events=5), numbers(GAP, 2, "3-9", events=7)],
            [gap(5, 1, 3, 7), gap(2, 2, 8, 9)],
            id="told again with more",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-4", "8", events=100)],
            [gap(100, 1, 3, 8)],
            id="more ranges than there is room for",
        ),
        pytest.param(
            [numbers(BREAK, 1, "12", events=1), numbers(GAP_CLOSED, 2, "12", events=1)],
            [Loss(kind="altered", events=1, found_at=at(1), place=Place("s", 12, 12))],
            id="what was altered stays so",
        ),
        pytest.param(
            [told(GAP, 1, {"events": 9, "sources": 400}, type="file", id="/var/log/a.log")],
            [Loss(kind="gap", events=9, found_at=at(1))],
            id="too many sources to tell each",
        ),
        pytest.param(
            [numbers(GAP, 1, "3-7", "x", "9-8", "-", events="more than 9007199254740991")],
            [gap(5, 1, 3, 7)],
            id="foreign ranges",
        ),
        pytest.param(
            [partition(MISSING, 1)],
            [Loss(kind="partition_missing", events=0, found_at=at(1), span=SEPTEMBER)],
            id="a partition is gone",
        ),
        pytest.param(
            [partition(MISSING, 1), partition(GONE, 2), partition(RESTORED, 3)],
            [],
            id="it came back from the archive",
        ),
        pytest.param(
            [partition(RESTORED, 1), partition(MISSING, 3)],
            [Loss(kind="partition_missing", events=0, found_at=at(3), span=SEPTEMBER)],
            id="it went again",
        ),
        pytest.param(
            [partition(GONE, 1, "audit-events-x", eventTimestamp="2026-11-20T11:00:00Z")],
            [
                Loss(
                    kind="event_missing",
                    events=0,
                    found_at=at(1),
                    span=Span(*[datetime(2026, 11, 20, 11, tzinfo=UTC)] * 2),
                )
            ],
            id="a stored event of a partition without a date",
        ),
        pytest.param([b"[]", b'{"timestamp":"x","action":"y"}', b"{"], [], id="foreign documents"),
    ],
)
def test_what_is_missing_or_altered_still(lines: list[bytes], expected: list[Loss]) -> None:
    assert losses_of(read_told(lines), INDEX) == expected
    assert losses_of(read_told(reversed(lines)), INDEX) == expected, "whatever order they are in"


def test_who_fell_silent_and_when_last() -> None:
    lines = [told(SILENT, minute, type="source", id=one) for minute, one in ((9, "a"), (1, "a"))]
    assert silent_of(read_told([*lines, numbers(GAP, 4, "1", events=1)])) == {"a": at(9)}


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple))


@given(RANGES, RANGES)
def test_ranges_are_taken_from_each_other_as_sets_are(
    ranges: list[tuple[int, int]], known: list[tuple[int, int]]
) -> None:
    def members(of: list[tuple[int, int]]) -> set[int]:
        return {one for first, last in of for one in range(first, last + 1)}

    single = [one for at, one in enumerate(ranges) if not members(ranges[:at]) & members([one])]
    rest = subtract(single, known)
    assert members(rest) == members(single) - members(known)
    assert count(rest) == len(members(rest))


def sides(before: int | None, behind: int | None) -> Sides:
    def found(minute: int | None) -> object:
        return {"at": {"value": None if minute is None else at(minute).timestamp() * 1000}}

    return msgspec.convert({"before": found(before), "behind": found(behind)}, Sides)


@pytest.mark.parametrize(
    ("before", "behind", "expected"),
    [
        pytest.param(1, 5, (at(1), at(5)), id="between two heartbeats"),
        pytest.param(1, None, (at(1), at(9)), id="before it was found"),
        pytest.param(1, 20, (at(1), at(9)), id="the next heartbeat came after that"),
        pytest.param(None, 5, (None, at(5)), id="from the beginning of the process"),
        pytest.param(None, None, (None, at(9)), id="nobody can say"),
        pytest.param(7, 5, (None, at(9)), id="a clock that was set back"),
        pytest.param(20, None, (None, at(20)), id="a clock that was ahead"),
    ],
)
def test_when_it_happened(
    before: int | None, behind: int | None, expected: tuple[datetime | None, datetime]
) -> None:
    assert window_of(gap(5, 9, 3, 7), sides(before, behind)) == expected


def test_a_partition_is_missing_for_all_of_its_time() -> None:
    loss = Loss(kind="partition_missing", events=0, found_at=at(1), span=SEPTEMBER)
    assert window_of(loss, Sides()) == (SEPTEMBER.start, SEPTEMBER.end)
