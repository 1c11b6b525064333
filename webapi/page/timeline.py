"""The timeline above the list: bars of events over time, stacked by kind. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from audit_events.instant import parse_instant
from webapi.histogram import Histogram, TimeBucket
from webapi.page.moment import clock, exact, offset

HEIGHT: Final = 100
"""Units of the drawing; the tallest bar has all of them."""
LEAST: Final = 3
"""What is not nothing is seen."""
KINDS: Final = ("green", "blue", "red", "none")


@dataclass(frozen=True, slots=True)
class Piece:
    """The events of one kind in a bar, from the top down."""

    kind: str
    top: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The events of `[since, until)`; `words` say the same as the drawing."""

    since: str
    until: str
    count: int
    words: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The drawing, and what it says in words."""

    bars: Sequence[Bar]
    interval: str
    summary: str
    first: datetime
    last: datetime


def timeline(histogram: Histogram, zone: tzinfo) -> Timeline | None:
    """Return the drawing of a histogram; None where there is nothing to draw."""
    most = max((one.count for one in histogram.buckets), default=0)
    if not most:
        return None
    bars = [_bar(one, most, zone) for one in histogram.buckets]
    tallest = max(bars, key=lambda one: one.count)
    first = parse_instant(bars[0].since)
    last = parse_instant(bars[-1].until)
    return Timeline(
        bars=bars,
        interval=histogram.interval,
        summary=f"Events from {exact(first, zone)} to {clock(last, zone)} {offset(last, zone)};"
        f" most at {tallest.words}.",
        first=first,
        last=last,
    )


def _bar(bucket: TimeBucket, most: int, zone: tzinfo) -> Bar:
    since = parse_instant(bucket.since)
    events = "event" if bucket.count == 1 else "events"
    return Bar(
        since=bucket.since,
        until=bucket.until,
        count=bucket.count,
        words=f"{exact(since, zone)}: {bucket.count:,} {events}",
        pieces=_pieces(bucket, most),
    )


def _pieces(bucket: TimeBucket, most: int) -> list[Piece]:
    counts = bucket.by_colour
    by_kind = zip(KINDS, (counts.green, counts.blue, counts.red, counts.uncatalogued), strict=True)
    found: list[Piece] = []
    top = float(HEIGHT)
    for kind, count in by_kind:
        if count:
            height = max(HEIGHT * count / most, LEAST)
            top -= height
            found.append(Piece(kind, round(max(top, 0), 1), round(height, 1)))
    return found
