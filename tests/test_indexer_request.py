import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.request import REMEMBERED_SECONDS, RequestLimit, split


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
