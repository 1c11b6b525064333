from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.backoff import Backoff, delay_seconds, halted_delay_seconds, retry_after_seconds

NOW = datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC)


def highest(_low: float, high: float) -> float:
    return high


def lowest(low: float, _high: float) -> float:
    return low


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.1), (2, 0.2), (5, 1.6), (9, 25.6), (10, 30.0), (10_000, 30.0)]
)
def test_the_delay_doubles_up_to_thirty_seconds(attempt: int, longest: float) -> None:
    assert delay_seconds(attempt, Backoff(), uniform=highest) == pytest.approx(longest)


def test_the_jitter_is_full() -> None:
    assert delay_seconds(9, Backoff(), uniform=lowest) == 0


@settings(deadline=None)
@given(st.integers(1, 1000), st.floats(0, 1e9))
def test_retry_after_is_honoured_up_to_five_minutes(attempt: int, seconds: float) -> None:
    assert delay_seconds(attempt, Backoff(), retry_after_seconds=seconds) >= min(seconds, 300)
    assert delay_seconds(attempt, Backoff(), retry_after_seconds=seconds) <= 300


def test_ten_minutes_without_an_answer_take_few_attempts() -> None:
    waited, attempts = 0.0, 0
    while waited < 600:
        attempts += 1
        waited += delay_seconds(attempts, Backoff(), uniform=lambda low, high: (low + high) / 2)
    assert attempts < 100


def test_where_an_operator_is_needed_it_is_slow_from_the_start() -> None:
    assert halted_delay_seconds(1, Backoff(), uniform=lowest) == 10
    assert halted_delay_seconds(1, Backoff(), uniform=highest) == 10
    assert halted_delay_seconds(9, Backoff(), uniform=highest) == 30


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 0 ", 0.0, id="zero"),
        pytest.param("9" * 400, 999_999_999.0, id="absurd"),
        pytest.param("Mon, 23 Nov 2026 18:01:00 GMT", 60.0, id="date"),
        pytest.param("Mon, 23 Nov 2026 17:00:00 GMT", 0.0, id="date that has passed"),
        pytest.param(f"Mon, 23 Nov 2026 18:01:00 +{'9' * 20}", None, id="a zone beyond all"),
        pytest.param(f"Mon, {'9' * 20} Nov 2026 18:01:00 GMT", None, id="a day beyond all"),
        pytest.param("Mon, 23 Nov 2026 99999999999:00:00 GMT", None, id="an hour beyond all"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="not in the grammar"),
        pytest.param("soon", None, id="words"),
        pytest.param("٣", None, id="digits of another script"),
        pytest.param("", None, id="empty"),
        pytest.param("Mon, 23 Nov 2026 18:01:00 -0000", None, id="a date without a zone"),
    ],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds
