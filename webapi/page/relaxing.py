"""Nothing matches: which filter hides the most, and how many events there would be without it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from webapi.errors import ParametersError
from webapi.page import listing
from webapi.page.address import Pair, read_state
from webapi.page.chips import Chip
from webapi.parts import parts
from webapi.storage_answer import Total

MOST_TRIED = 6


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A filter, and what there would be without it."""

    chip: Chip
    total: Total


def relaxations(chips: Sequence[Chip], now: datetime) -> list[Relaxation]:
    """Return the filters without which something matches, the least that is let in first.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    found = [Relaxation(chip, _total(chip.rest, now)) for chip in chips[:MOST_TRIED]]
    return sorted((one for one in found if one.total.value), key=lambda one: one.total.value)


def _total(rest: Iterable[Pair], now: datetime) -> Total:
    state = read_state(list(rest), now)
    alone = [pair for pair in state.api if pair[0] != "limit"]
    try:
        query = listing.read([*alone, ("limit", "1")])
    except ParametersError:
        # Without its moment a window means nothing.
        return Total(0, "eq")
    return parts().reading.page(query).hits.total
