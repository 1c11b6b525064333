"""How many there are of something."""

import pytest

from indelible.quantity import counted


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1200, "1,200 events")],
)
def test_a_count_is_said_as_people_say_it(number: int, told: str) -> None:
    assert counted(number, "event") == told
