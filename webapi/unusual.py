"""What is unusual in a window against the days before it. Pure.

Shares are compared, not rates: an hour of work has more of everything than a night. If a value has
a share of the events before, so many are expected in the window; how likely so many as there are
would then be is the upper tail of a Poisson distribution. It is unusual where, among all values
that were looked at, fewer than one window in a hundred would have even one like it by chance; and
always, where it never was before.
"""

from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Final

CHANCE: Final = 0.01
_NEGLIGIBLE: Final = 1e-17


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value in the window and before.

    Args:
        count: events in the window.
        before: events in the days before.
        expected: events that its share before leads to expect.
        chance: how likely at least `count` are if nothing has changed.
        unusual: whether it should be looked at.
    """

    count: int
    before: int
    expected: float
    chance: float
    unusual: bool


def compare(count: int, before: int, totals: tuple[int, int], values: int) -> Comparison:
    """Compare one value.

    Args:
        count: its events in the window.
        before: its events in the days before.
        totals: all events in the window, and in the days before.
        values: how many values are compared.
    """
    total, total_before = totals
    expected = total * before / total_before if total_before else 0.0
    # Never seen is not impossible: as if it had been seen once, just before the days.
    least = total / (total_before + 1)
    chance = at_least(count, max(expected, least))
    return Comparison(count, before, expected, chance, before == 0 or chance * values < CHANCE)


def at_least(count: int, mean: float) -> float:
    """Return how likely a Poisson variable is to be `count` or more."""
    if count <= mean:
        # Whatever is expected is not unusual; how likely exactly is nobody's question.
        return 1.0
    term = exp(count * log(mean) - mean - lgamma(count + 1))
    total = 0.0
    while term > total * _NEGLIGIBLE:
        total += term
        count += 1
        term *= mean / count
    return min(total, 1.0)
