"""Where the moment is on a page of the incident view."""

from datetime import UTC, datetime, timedelta

import pytest

from webapi.page.incident_place import divide

MOMENT = datetime(2026, 3, 29, 9, tzinfo=UTC)
ALONE, MIDDLE, FIRST, LAST = (False, False), (True, True), (False, True), (True, False)


@pytest.mark.parametrize(
    ("seconds", "pages", "place"),
    [
        pytest.param([-2, -1, 0, 1], ALONE, 2, id="before the event of the moment"),
        pytest.param([-1, 1], MIDDLE, 1, id="between two events"),
        pytest.param([1, 2], ALONE, 0, id="before all events"),
        pytest.param([-2, -1], ALONE, 2, id="behind all events"),
        pytest.param([0, 1], LAST, 0, id="at the first event of a page"),
        pytest.param([1, 2], LAST, None, id="on a page before"),
        pytest.param([-2, -1], FIRST, None, id="on a page behind"),
        pytest.param([], ALONE, None, id="where nothing happened"),
    ],
)
def test_the_moment_is_marked_where_it_is(
    seconds: list[int], pages: tuple[bool, bool], place: int | None
) -> None:
    instants = [MOMENT + timedelta(seconds=one) for one in seconds]
    assert divide(instants, MOMENT, earlier=pages[0], later=pages[1]) == place
