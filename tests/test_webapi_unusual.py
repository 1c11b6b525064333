"""What is called unusual: as likely as a plain sum says, and by the same counts as shown."""

from math import exp, factorial, isclose

import pytest

from webapi.unusual import at_least, compare


@pytest.mark.parametrize("count", [1, 2, 5, 20, 60])
@pytest.mark.parametrize("mean", [0.001, 0.5, 4.0, 19.5])
def test_the_tail_is_one_minus_the_sum_of_the_rest(count: int, mean: float) -> None:
    rest = sum(exp(-mean) * mean**n / factorial(n) for n in range(count))
    if count <= mean:
        assert at_least(count, mean) == 1.0
    elif 1 - rest > 1e-9:
        assert isclose(at_least(count, mean), 1 - rest, rel_tol=1e-6)
    else:
        assert at_least(count, mean) < 1e-8


@pytest.mark.parametrize(
    ("count", "before", "totals", "values", "unusual"),
    [
        pytest.param(1, 0, (30, 20_000), 30, True, id="never before"),
        pytest.param(1, 3, (30, 20_000), 30, False, id="rare, once, among many values"),
        pytest.param(9, 3, (30, 20_000), 30, True, id="rare, and often now"),
        pytest.param(30, 20_000, (30, 20_000), 1, False, id="all of it, as before"),
        pytest.param(300, 100, (300, 100), 1, False, id="more of everything is no share"),
        pytest.param(40, 100, (100, 1000), 5, True, id="four times its share"),
        pytest.param(12, 100, (100, 1000), 5, False, id="a little more than its share"),
        pytest.param(0, 100, (0, 1000), 5, False, id="nothing"),
        pytest.param(5, 0, (5, 0), 1, True, id="no days before"),
        pytest.param(100_000, 10, (100_000, 1_000_000), 500, True, id="a flood"),
    ],
)
def test_what_is_unusual(
    count: int, before: int, totals: tuple[int, int], values: int, *, unusual: bool
) -> None:
    found = compare(count, before, totals, values)
    assert found.unusual is unusual
    assert (found.count, found.before) == (count, before)
    assert 0 <= found.chance <= 1
