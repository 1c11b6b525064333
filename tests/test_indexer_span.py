"""Spans: what a name says of time, in either spelling."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.instant import format_instant
from indexer.names import late_name, partition_name
from indexer.settings import IndexSettings
from indexer.span import MONTH_DAYS, Span, span_in_name, span_of

MONTHLY = IndexSettings()
DAILY = IndexSettings(partition="day")


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("settings", [MONTHLY, DAILY])
@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        pytest.param("audit-events-2026.11", "2026-11-01", "2026-12-01", id="month"),
        pytest.param("audit-events-2026.12", "2026-12-01", "2027-01-01", id="December"),
        pytest.param("audit-events-2028.02", "2028-02-01", "2028-03-01", id="leap year"),
        pytest.param("audit-events-2026.11.30", "2026-11-30", "2026-12-01", id="day"),
        pytest.param("audit-events-2028.02.29", "2028-02-29", "2028-03-01", id="leap day"),
        pytest.param("audit-late-2026.11", "2026-11-01", "2026-12-01", id="late"),
    ],
)
def test_the_span_follows_from_the_name_whatever_the_setting_is(
    name: str, start: str, end: str, settings: IndexSettings
) -> None:
    assert span_of(name, settings) == Span(day(start), day(end))
    for prefix in ("audit", "a", "late-events-2", "x-events"):
        assert span_in_name(name.replace("audit", prefix)) == Span(day(start), day(end))


@pytest.mark.parametrize(
    "name",
    [
        "audit-journal",
        "audit-events-",
        "audit-events-2026",
        "audit-events-2026.13",
        "audit-events-2026.00",
        "audit-events-2026.11.00",
        "audit-events-2026.02.29",
        "audit-events-0000.01",
        "audit-events-9999.12",
        "audit-events-9999.12.31",
        "audit-events-2026.11\n",
        "audit-events-2026.11-copy",
        "audit-events-restored-2026.11",
        "audit-events-\uff12\uff10\uff12\uff16.11",
        "audit-late-2026.11.23",
        "audit-t1-events-2026.11",
        "indelible-audit-control",
        "",
    ],
)
def test_a_name_that_says_no_time_has_no_span(name: str) -> None:
    assert span_of(name, MONTHLY) is None


@given(
    st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 11, 30)),  # noqa: DTZ001  # hypothesis adds the zone
    st.sampled_from(["month", "day"]),
    st.sampled_from(["month", "day"]),
)
def test_every_event_lies_in_the_span_of_its_index(
    instant: datetime, then: Literal["month", "day"], now: Literal["month", "day"]
) -> None:
    """Also after the setting was changed, and no span is longer than the longest."""
    instant = instant.replace(tzinfo=UTC)
    timestamp = format_instant(instant)
    settings = IndexSettings(partition=then)
    for name in (partition_name(timestamp, settings), late_name(timestamp, settings)):
        span = span_of(name, IndexSettings(partition=now))
        assert span is not None
        assert span.start <= instant < span.end
        assert span.end - span.start <= timedelta(days=MONTH_DAYS)


@pytest.mark.parametrize(
    ("since", "until", "meets"),
    [
        pytest.param("2026-10-01", "2026-11-01", False, id="ends as it starts"),
        pytest.param("2026-12-01", "2026-12-02", False, id="starts as it ends"),
        pytest.param("2026-10-01", "2026-11-02", True, id="its beginning"),
        pytest.param("2026-11-30", "2027-01-01", True, id="its end"),
        pytest.param("2026-11-10", "2026-11-11", True, id="within"),
        pytest.param("2026-01-01", "2027-01-01", True, id="around"),
        pytest.param("2026-11-10", "2026-11-10", False, id="an empty window"),
    ],
)
def test_windows_meet_where_they_have_an_instant_in_common(
    since: str, until: str, *, meets: bool
) -> None:
    span = Span(day("2026-11-01"), day("2026-12-01"))
    assert span.meets(day(since), day(until)) is meets
