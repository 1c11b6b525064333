"""How many there are of something."""

import pytest

from indelible.quantity import counted, tallied


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1200, "1,200 events")],
)
def test_a_count_is_said_as_people_say_it(number: int, told: str) -> None:
    assert counted(number, "event") == told


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        pytest.param({}, "1 error, 1,200 warnings", id="no kinds"),
        pytest.param({"b": 1200, "a": 1}, "1 error, 1,200 warnings (1,200 b, 1 a)", id="kinds"),
    ],
)
def test_errors_and_warnings_are_counted_with_their_kinds(kinds: dict[str, int], text: str) -> None:
    assert tallied(1, 1200, kinds) == text
