"""Instants have one spelling, and two that people may write."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.instant import CANONICAL_INSTANT, format_instant, format_unix_ns, parse_instant

_instants = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.timezones() | st.just(UTC),
)


@pytest.mark.slow
@given(_instants)
def test_the_canonical_form_has_27_characters_and_reads_back(instant: datetime) -> None:
    text = format_instant(instant)
    assert len(text) == 27
    assert re.fullmatch(CANONICAL_INSTANT, text)
    assert parse_instant(text) == instant.astimezone(UTC)


@pytest.mark.slow
@given(_instants, _instants)
def test_text_order_is_time_order(one: datetime, two: datetime) -> None:
    assert (format_instant(one) < format_instant(two)) == (
        one.astimezone(UTC) < two.astimezone(UTC)
    )


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_nanoseconds_lose_only_what_is_below_a_microsecond(unix_ns: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_ns // 1000)
    assert format_unix_ns(unix_ns) == format_instant(instant)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("2026-03-15", datetime(2026, 3, 15, tzinfo=UTC), id="date"),
        pytest.param("2026-03-15T09:30:00Z", datetime(2026, 3, 15, 9, 30, tzinfo=UTC), id="utc"),
        pytest.param(
            "2026-03-15t09:30:00.5z",
            datetime(2026, 3, 15, 9, 30, 0, 500_000, tzinfo=UTC),
            id="lower case, tenths",
        ),
        pytest.param(
            "2026-03-15 09:30:00.1234567+02:00",
            datetime(2026, 3, 15, 9, 30, 0, 123_456, timezone(timedelta(hours=2))),
            id="zone, blank, beyond microseconds",
        ),
    ],
)
def test_what_people_write(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant.astimezone(UTC)
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("yesterday", id="words"),
        pytest.param("1", id="a number"),
        pytest.param("2026-02-30", id="no such day"),
        pytest.param("2026-W11-1", id="day of a week"),
        pytest.param("2026-03-15T09:30:00", id="no zone"),
        pytest.param("2026-03-15T25:00:00Z", id="no such hour"),
        pytest.param("\u0662\u0660\u0662\u0666-\u0660\u0663-\u0661\u0665", id="other digits"),
        pytest.param("0001-01-01T00:00:00+23:59", id="before the first year"),
        pytest.param("2026-03-15T09:30:00Z\n", id="trailing line break"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="2026-03-15"):
        parse_instant(text)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_instant(datetime(2026, 3, 15))  # noqa: DTZ001  # that it lacks a zone is the point
