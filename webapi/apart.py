"""Asking each index by itself, where reading the question is what costs. Pure.

The patterns that a text becomes (`webapi.accents`) are made anew by each index that is asked: once
to find, and once more to fetch, unless it is the only one of a search. Over ten days of which each
holds a few events of a page, asking them apart takes a fifth of the time off (`bench/query.py`).
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Final

from webapi.order import reading_key
from webapi.storage_answer import Hits, Total

ALONE_AT_MOST: Final = 32
"""Each is a search more to check and to gather; of more, all are one again."""


def apart(names: Sequence[str], counted: Collection[str]) -> Sequence[Sequence[str]]:
    """Return the groups of indices that are asked one search each.

    Args:
        names: what is asked.
        counted: names of which it is known how much they hold. Together these have not many more
            events than the page, so that little is fetched in vain; all others are one group.
    """
    alone = [name for name in names if name in counted]
    others = [name for name in names if name not in counted]
    if len(alone) > ALONE_AT_MOST:
        return [names]
    return [*([others] if others else []), *([name] for name in alone)]


def together(answers: Iterable[Hits], size: int, *, newest_first: bool) -> Hits:
    """Return what one search of all would have answered.

    Args:
        answers: of searches for `size` events each, that have no index in common.
        size: how many.
        newest_first: the order of each.
    """
    found = list(answers)
    hits = sorted(
        chain.from_iterable(one.hits for one in found),
        key=lambda hit: reading_key(*hit.sort[1:], newest_first=newest_first),
        reverse=newest_first,
    )
    exact = all(one.total.relation == "eq" for one in found)
    total = Total(sum(one.total.value for one in found), "eq" if exact else "gte")
    return Hits(hits[:size], total)
