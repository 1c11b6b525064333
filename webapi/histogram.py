"""Counts over time: which interval, where its buckets begin, and what each of them holds. Pure.

All of it is UTC, where each day has 24 hours. Buckets are `[since, until)` and leave no hole;
the first and the last are cut off where the window is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from audit_events.catalogue import Catalogue
from audit_events.catalogue_entry import COLOURS
from audit_events.instant import format_instant
from webapi.aggregation import Filters
from webapi.answered import Moment
from webapi.errors import UnavailableError
from webapi.query import EARLIEST, catalogued, holdable

MAX_BUCKETS: Final = 1000
SENSIBLE_BUCKETS: Final = 100
"""As many bars as a page has room for."""
_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)

Calendar = Literal["month", "year"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The length of a bucket.

    Args:
        name: as it is asked for.
        seconds: its length; of a month or a year the least one.
        calendar: set where the length depends on the calendar.
    """

    name: str
    seconds: int
    calendar: Calendar | None = None

    def floor(self, instant: datetime) -> datetime:
        """Return where the bucket of an instant begins; weeks begin on Monday."""
        if self.calendar is not None:
            first = instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return first if self.calendar == "month" else first.replace(month=1)
        step = timedelta(seconds=self.seconds)
        origin = _MONDAY if self.name == "1w" else EARLIEST
        return origin + (instant - origin) // step * step

    def after(self, begin: datetime) -> datetime:
        """Return where the bucket that begins there ends."""
        if self.calendar == "year":
            return begin.replace(year=begin.year + 1)
        if self.calendar == "month":
            return (begin + timedelta(days=31)).replace(day=1)
        return begin + timedelta(seconds=self.seconds)


INTERVALS: Final[Mapping[str, Interval]] = {
    one.name: one
    for one in (
        Interval("1s", 1),
        Interval("5s", 5),
        Interval("15s", 15),
        Interval("1m", 60),
        Interval("5m", 300),
        Interval("15m", 900),
        Interval("1h", 3600),
        Interval("3h", 10_800),
        Interval("12h", 43_200),
        Interval("1d", 86_400),
        Interval("1w", 604_800),
        Interval("1mo", 28 * 86_400, "month"),
        Interval("1y", 365 * 86_400, "year"),
    )
}
"""By name, the shortest first."""


class ColourCounts(Struct, frozen=True):
    """How many events have an action of each colour, or of none (`uncatalogued`)."""

    green: int = 0
    blue: int = 0
    red: int = 0
    uncatalogued: int = 0


class TimeBucket(Struct, frozen=True, rename="camel"):
    """The events of `[since, until)`."""

    since: Moment
    until: Moment
    count: int
    by_colour: ColourCounts


class FoundBucket(Struct, frozen=True):
    """One bucket as OpenSearch answers it; `key` is its beginning in milliseconds."""

    key: int
    doc_count: int
    colours: Filters


class FoundHistogram(Struct, frozen=True):
    """The answer to `histogram_aggregation`."""

    buckets: list[FoundBucket] = []


class Histogram(Struct, frozen=True):
    """Buckets without a hole, oldest first; none where there is no event and no window."""

    interval: str
    buckets: list[TimeBucket]


def fits(interval: Interval, since: datetime, until: datetime, most: int = MAX_BUCKETS) -> bool:
    """Tell whether a window has at most so many buckets."""
    # The first and the last one may be cut off.
    return (until - since) // timedelta(seconds=interval.seconds) + 2 <= most


def sensible(since: datetime, until: datetime) -> Interval:
    """Return the shortest interval that cuts a window into few enough buckets to be shown."""
    for interval in INTERVALS.values():
        if fits(interval, since, until, SENSIBLE_BUCKETS):
            return interval
    return INTERVALS["1y"]


def edges(interval: Interval, since: datetime, until: datetime) -> list[datetime]:
    """Return where the buckets of a window begin, and its end; the window must fit."""
    found = [since]
    while (after := interval.after(interval.floor(found[-1]))) < until:
        found.append(after)
    return [*found, until]


def histogram_aggregation(interval: Interval, catalogue: Catalogue) -> dict[str, object]:
    """Return the aggregation that counts in each bucket, by colour too."""
    how = {"fixed_interval": f"{interval.seconds}s"}
    if interval.calendar is not None:
        how = {"calendar_interval": interval.calendar}
    elif interval.name == "1w":
        how = {"calendar_interval": "week"}
    colours = {
        colour: {"terms": {"action": catalogued(catalogue, "colour", [colour])}}
        for colour in COLOURS
    }
    return {
        "date_histogram": {"field": "timestamp", **how, "min_doc_count": 1},
        "aggs": {"colours": {"filters": {"filters": colours}}},
    }


def read_histogram(
    interval: Interval, found: FoundHistogram, since: datetime | None, until: datetime | None
) -> Histogram:
    """Return the buckets of a window, empty ones too.

    Args:
        interval: as was asked.
        found: what `histogram_aggregation` answered.
        since: where the window begins; None: with the bucket of the first event.
        until: where it ends; None: with the bucket of the last event.

    Raises:
        UnavailableError: a window that is open became far wider since the interval was chosen.
    """
    since, until = since and holdable(since), until and holdable(until)
    counted = {EARLIEST + timedelta(milliseconds=one.key): one for one in found.buckets}
    if since is None:
        since = min(counted, default=until)
    if until is None and counted:
        until = interval.after(max(counted))
    if since is None or until is None or since >= until:
        return Histogram(interval.name, [])
    if not fits(interval, since, until, 2 * MAX_BUCKETS):
        # An open window is as wide as its events, of which some may have come just now.
        raise UnavailableError("storage_incomplete", "events of another time came meanwhile")
    return Histogram(
        interval.name,
        [
            _bucket(begin, end, counted.get(interval.floor(begin)))
            for begin, end in pairwise(edges(interval, since, until))
        ],
    )


def _bucket(begin: datetime, end: datetime, found: FoundBucket | None) -> TimeBucket:
    count = 0 if found is None else found.doc_count
    coloured = {} if found is None else found.colours.counts
    return TimeBucket(
        since=format_instant(begin),
        until=format_instant(end),
        count=count,
        by_colour=ColourCounts(**coloured, uncatalogued=count - sum(coloured.values())),
    )
