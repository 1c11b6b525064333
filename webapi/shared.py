"""What all workers of one server count together: made before they are forked."""

from typing import NamedTuple

from webapi.limits import Counters
from webapi.tallies import Tallies


class Shared(NamedTuple):
    """How often each organisation asked, and what the metrics are made of."""

    counters: Counters
    tallies: Tallies


_made: list[Shared] = []


def share() -> None:
    """Make what processes forked from now on share."""
    _made[:] = [Shared(Counters(), Tallies())]


def shared() -> Shared:
    """Return what all workers share; where nobody made it, something of its own."""
    return _made[0] if _made else Shared(Counters(), Tallies())
