"""The days before a window: whether they are enough to compare with, and what is unusual. Pure."""

from datetime import datetime, timedelta
from typing import Final

from audit_events.instant import format_instant
from webapi.facet_counts import sums
from webapi.incident_search import FoundComparison, FoundSpan, FoundWindow, Window
from webapi.incident_shapes import Before, Unusual, UnusualLists
from webapi.participants import AnyKey, Dimension
from webapi.unusual import Comparison, compare

ENOUGH: Final = timedelta(days=7)
"""With a shorter history nothing is called new or unusual: everything would be."""
MAX_UNUSUAL: Final = 50
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)

Counts = dict[AnyKey, int]
Rates = tuple[float, float]
"""Hours of the window, and of the days before that the organisation has events of."""


def covered(window: Window, first: datetime | None, *, older: bool) -> timedelta:
    """Return how much of the days before the organisation has a history of.

    Args:
        window: which.
        first: its first event in these days.
        older: whether it has events before them.
    """
    if older:
        return window.since - window.before
    return timedelta(0) if first is None else window.since - first


def before_of(window: Window, compared: FoundComparison, days: timedelta) -> Before:
    """Describe the days before a window, of which so much is history."""
    return Before(
        since=format_instant(window.before),
        until=format_instant(window.since),
        total=compared.like.doc_count,
        covered_days=round(days / _DAY, 3),
        enough=days >= ENOUGH,
    )


def unusual_of(
    window: Window, total: int, counted: FoundWindow, before: FoundSpan, days: timedelta
) -> UnusualLists:
    """Return what the window has more of than the days before let expect.

    Args:
        window: which.
        total: its events.
        counted: what they are made of.
        before: what the days before have of that.
        days: how long those are.
    """
    totals = (total, before.doc_count)
    hours = ((window.until - window.since) / _HOUR, days / _HOUR)

    def of(dimension: Dimension) -> list[Unusual]:
        counts = Counts(
            (key, bucket.doc_count) for key, bucket in counted.of(dimension).buckets.items()
        )
        earlier = before.of(dimension)
        return unusual_values(counts, {key: earlier.count(key) for key in counts}, totals, hours)

    named, earlier = (
        Counts(sums(found.action.buckets, window.query.catalogue, "action").items())
        for found in (counted, before)
    )
    return UnusualLists(
        actions=unusual_values(named, earlier, totals, hours),
        actors=of("actor"),
        ip_addresses=of("ip"),
        resources=of("resource"),
    )


def unusual_values(
    here: Counts, before: Counts, totals: tuple[int, int], hours: Rates
) -> list[Unusual]:
    """Return the unusual ones of some values, the least likely first; 50 at most."""
    compared = {
        key: compare(count, before.get(key, 0), totals, len(here)) for key, count in here.items()
    }
    unusual = [(key, one) for key, one in compared.items() if one.unusual]
    unusual.sort(key=lambda one: (one[1].chance, -one[1].count, one[0]))
    return [_described(key, one, hours) for key, one in unusual[:MAX_UNUSUAL]]


def _described(key: AnyKey, found: Comparison, hours: Rates) -> Unusual:
    kind = None
    if not isinstance(key, str):
        kind, key = key
    return Unusual(
        value=key,
        kind=kind,
        count=found.count,
        count_before=found.before,
        expected=round(found.expected, 4),
        per_hour=round(found.count / hours[0], 4),
        per_hour_before=round(found.before / hours[1], 4),
        never_before=found.before == 0,
        chance=found.chance,
    )
