"""The parameter `interval`, of every address that answers a histogram."""

from typing import Final

from webapi import values
from webapi.histogram import INTERVALS, MAX_BUCKETS, SENSIBLE_BUCKETS
from webapi.parameters import Parameter

INTERVAL: Final = Parameter(
    name="interval",
    read=values.choice_of(tuple(INTERVALS)),
    schema={"type": "string", "enum": list(INTERVALS)},
    description=f"Length of a bucket of the histogram, in UTC; at most {MAX_BUCKETS} buckets."
    f" Where it is left out: the shortest with at most {SENSIBLE_BUCKETS}.",
)
