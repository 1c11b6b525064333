import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.request import (
    CONGESTED_FLOOR_BYTES,
    REMEMBERED_SECONDS,
    UNANSWERED_FLOOR_BYTES,
    RequestLimit,
    split,
)


@pytest.mark.parametrize(
    ("sizes", "limit_bytes", "requests"),
    [
        pytest.param([5, 5, 5], None, [[0, 1, 2]], id="no limit"),
        pytest.param([5, 5, 5], 10, [[0, 1], [2]], id="full requests"),
        pytest.param([5, 50, 5], 10, [[0], [1], [2]], id="a large row goes alone"),
        pytest.param([], 10, [], id="nothing to send"),
        pytest.param([], None, [], id="nothing to send without a limit"),
    ],
)
def test_rows_are_cut_into_requests(
    sizes: list[int], limit_bytes: int | None, requests: list[list[int]]
) -> None:
    assert split(sizes, range(len(sizes)), limit_bytes) == requests


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), max_size=30), st.integers(1, 300))
def test_each_row_is_sent_once_and_no_request_is_too_large(
    sizes: list[int], limit_bytes: int
) -> None:
    requests = split(sizes, range(len(sizes)), limit_bytes)
    assert [row for rows in requests for row in rows] == list(range(len(sizes)))
    assert all(len(rows) == 1 or sum(sizes[r] for r in rows) <= limit_bytes for rows in requests)


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=2, max_size=30))
def test_half_the_size_of_a_request_always_splits_it(sizes: list[int]) -> None:
    assert len(split(sizes, range(len(sizes)), sum(sizes) // 2)) > 1


def test_a_smaller_size_is_remembered_for_a_while() -> None:
    now = 0.0
    limit = RequestLimit(clock=lambda: now)
    assert limit.current() is None
    limit.lower(1000)
    limit.lower(2000)
    assert limit.current() == 1000
    now = REMEMBERED_SECONDS
    assert limit.current() is None


FULL = 4 << 20


def send_all(limit: RequestLimit, takes_bytes: int, requests: int) -> tuple[int, int]:
    """Send full requests through something that breaks larger ones; returns failures and bytes."""
    failures = through = 0
    for _ in range(requests):
        known = limit.current()
        size = FULL if known is None else min(known, FULL)
        if size > takes_bytes:
            failures += 1
            limit.fail(size, UNANSWERED_FLOOR_BYTES)
        else:
            through += size
            limit.succeed(size)
    return failures, through


def test_a_limit_that_nobody_states_is_found_and_met_ever_more_rarely() -> None:
    """A proxy that resets the connection where it should answer 413."""
    limit, takes = RequestLimit(), 1_000_000
    first, _ = send_all(limit, takes, 50)
    send_all(limit, takes, 200)
    later, through = send_all(limit, takes, 200)
    assert first <= 15
    assert later <= 8
    assert through > 200 * takes * 0.6


@pytest.mark.parametrize(
    ("floor", "expected"),
    [
        pytest.param(CONGESTED_FLOOR_BYTES, CONGESTED_FLOOR_BYTES, id="429 and 503"),
        pytest.param(UNANSWERED_FLOOR_BYTES, UNANSWERED_FLOOR_BYTES, id="no answer"),
    ],
)
def test_failures_halve_the_size_down_to_a_floor(floor: int, expected: int) -> None:
    limit = RequestLimit()
    limit.fail(FULL, floor)
    assert limit.current() == FULL // 2
    for _ in range(20):
        limit.fail(limit.current() or FULL, floor)
    assert limit.current() == expected


def test_a_small_request_that_fails_says_nothing_about_the_size() -> None:
    limit = RequestLimit()
    limit.fail(1000, UNANSWERED_FLOOR_BYTES)
    assert limit.current() is None


def test_the_full_size_comes_back_after_an_outage() -> None:
    limit = RequestLimit()
    for _ in range(50):
        limit.fail(limit.current() or FULL, UNANSWERED_FLOOR_BYTES)
    failures, _ = send_all(limit, FULL, 20)
    assert failures == 0
    assert limit.current() is None


def test_small_requests_do_not_bring_the_full_size_back() -> None:
    limit = RequestLimit()
    limit.fail(FULL, UNANSWERED_FLOOR_BYTES)
    for _ in range(100):
        limit.succeed(1000)
    assert limit.current() == FULL // 2


def test_the_smaller_of_both_limits_counts() -> None:
    limit = RequestLimit()
    limit.lower(3 << 20)
    limit.fail(FULL, UNANSWERED_FLOOR_BYTES)
    assert limit.current() == 2 << 20
    limit.lower(1 << 20)
    assert limit.current() == 1 << 20
