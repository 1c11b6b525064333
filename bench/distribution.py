"""What many durations come to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles, in the unit of the values."""

    count: int
    p50: float
    p90: float
    p99: float
    longest: float


def distribute(values: Sequence[float]) -> Distribution:
    """The quantiles of some values; each is one of them (nearest rank)."""
    ranked = sorted(values)
    if not ranked:
        raise ValueError("nothing was measured")

    def rank(share: float) -> float:
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    return Distribution(len(ranked), rank(0.5), rank(0.9), rank(0.99), ranked[-1])
