"""Buckets of time: no hole, no overlap, the same for everybody wherever they live."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.instant import parse_instant
from webapi.aggregation import Filters
from webapi.errors import UnavailableError
from webapi.histogram import (
    INTERVALS,
    MAX_BUCKETS,
    SENSIBLE_BUCKETS,
    FoundBucket,
    FoundHistogram,
    Interval,
    edges,
    fits,
    read_histogram,
    sensible,
)

INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  # the zone is added
    max_value=datetime(2262, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
LENGTHS = st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=20_000))


@given(INSTANTS, LENGTHS, st.sampled_from(list(INTERVALS.values())))
def test_buckets_cover_a_window_without_a_hole(
    since: datetime, length: timedelta, interval: Interval
) -> None:
    until = since + length
    if not fits(interval, since, until):
        return
    found = edges(interval, since, until)
    assert (found[0], found[-1]) == (since, until)
    assert len(found) - 1 <= MAX_BUCKETS
    for begin, end in pairwise(found):
        assert begin < end
        inside = (begin, begin + (end - begin) / 2, end - timedelta(microseconds=1))
        assert len({interval.floor(one) for one in inside}) == 1
    for edge in found[1:-1]:
        assert interval.floor(edge) == edge


@given(INSTANTS, LENGTHS)
def test_a_sensible_interval_is_the_shortest_that_can_be_shown(
    since: datetime, length: timedelta
) -> None:
    until = since + length
    chosen = sensible(since, until)
    assert len(edges(chosen, since, until)) - 1 <= SENSIBLE_BUCKETS
    for shorter in INTERVALS.values():
        if shorter == chosen:
            break
        assert not fits(shorter, since, until, SENSIBLE_BUCKETS)


@pytest.mark.parametrize(
    ("interval", "instant", "floor", "after"),
    [
        pytest.param("1w", "2026-03-29T01:30:00Z", "2026-03-23", "2026-03-30", id="Monday"),
        pytest.param("1w", "1970-01-02", "1969-12-29", "1970-01-05", id="the first week"),
        pytest.param("1d", "2026-03-29T23:59:59.999999Z", "2026-03-29", "2026-03-30", id="day"),
        pytest.param("1mo", "2024-02-29T12:00:00Z", "2024-02-01", "2024-03-01", id="leap year"),
        pytest.param("1mo", "2026-12-31T23:59:59Z", "2026-12-01", "2027-01-01", id="December"),
        pytest.param("1y", "2026-12-31T23:59:59Z", "2026-01-01", "2027-01-01", id="year"),
        pytest.param("3h", "2026-03-29T02:59:59Z", "2026-03-29", "2026-03-29T03:00:00Z", id="hour"),
    ],
)
def test_where_a_bucket_begins_and_ends(
    interval: str, instant: str, floor: str, after: str
) -> None:
    step = INTERVALS[interval]
    assert step.floor(parse_instant(instant)) == parse_instant(floor)
    assert step.after(parse_instant(floor)) == parse_instant(after)


def test_an_event_of_another_age_that_just_came_is_no_flood_of_buckets() -> None:
    """The interval was chosen for an hour; then an event of 1970 was stored."""
    now = int(parse_instant("2026-03-29").timestamp() * 1000)
    found = FoundHistogram([FoundBucket(0, 1, Filters()), FoundBucket(now, 1, Filters())])
    with pytest.raises(UnavailableError):
        read_histogram(INTERVALS["1s"], found, None, None)
