"""Which indices a page needs, from their names alone. Pure.

An index has a span of time that follows from its name. In the order of reading, newest or oldest
first, a moment has a *place*, a whole number that grows as one reads on; an index reaches from
`near` to `far`, `[near, far)`. What was read of some indices is complete up to the `near` of the
first one that was not asked: that is the `limit` of a `Choice`. The journal, and whatever else has
no span, reaches over everything and is always asked.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from msgspec import Struct

from audit_events.instant import format_instant
from indexer.names import journal_name, partition_name
from indexer.settings import IndexSettings
from indexer.span import Span, span_of
from webapi.query import unix_ns

EVER: Final = 1 << 80
"""Further than any place."""
MOST_KEPT: Final = 4096
"""Spans whose place is kept: each question orders all indices that it may be about."""
AROUND_NOW: Final = (timedelta(days=-1), timedelta(0), timedelta(days=1))
"""When events of now may carry: late by an agent's outage, early by a clock."""


class Index(Struct, frozen=True):
    """One index, or the pattern of one that may be made at any moment (without a uuid)."""

    name: str
    uuid: str = ""
    span: Span | None = None
    steady: str = ""
    """Stands for all that it holds: as long as this is the same, what was counted stays. Empty
    where nobody can tell."""
    blocked: bool = False
    """Nothing can be added now; what was added right before may not be found yet."""

    @property
    def sealed(self) -> bool:
        """Whether nothing can be added, and all that was can be found."""
        return self.blocked and bool(self.steady)


class Want(Struct, frozen=True, kw_only=True):
    """Which events are looked for.

    Args:
        events: so many, from the start on.
        start: events before this place are not wanted.
        newest_first: the order of reading.
        guess: how many events an index is taken to have whose count is not known.
    """

    events: int
    start: int
    newest_first: bool
    guess: int


class Choice(Struct, frozen=True):
    """What to ask, and how far the answer is complete."""

    asked: tuple[Index, ...]
    limit: int
    """Hits at this place or behind it may have others before them in what was not asked."""


def expected(listed: Collection[str], now: datetime, settings: IndexSettings) -> list[Index]:
    """Return patterns of the journal and of partitions of about now that are not listed yet.

    As patterns they are no error where they do not exist, and when they are made the next question
    finds them, however old the list is. The star stands where no other spelling fits: that of
    `audit-events-2026.11*` would also be every day of that month.
    """
    about = _patterns(now.date(), settings)
    found = [pattern for name, pattern in about.items() if name not in listed]
    return [*found, Index(f"{journal_name(settings)}*")]


@lru_cache(maxsize=8)
def _patterns(day: date, settings: IndexSettings) -> Mapping[str, Index]:
    """Return the partitions of about a day, each as a pattern, by their names."""
    noon = datetime.combine(day, time(12), UTC)
    names = {partition_name(format_instant(noon + about), settings) for about in AROUND_NOW}
    head = f"{settings.prefix}-events-"
    return {
        name: Index(f"{head}*{name.removeprefix(head)}", span=span_of(name, settings))
        for name in sorted(names)
    }


def within(indices: Iterable[Index], since: datetime | None, until: datetime | None) -> list[Index]:
    """Return the indices that can hold events of a window; the others cannot, by their names."""
    if since is None and until is None:
        return list(indices)
    earliest = since or datetime.min.replace(tzinfo=UTC)
    latest = until or datetime.max.replace(tzinfo=UTC)
    return [one for one in indices if one.span is None or one.span.meets(earliest, latest)]


def holds_all_of(index: Index, since: datetime | None, until: datetime | None) -> bool:
    """Tell whether a window makes no difference in an index, as its whole span lies inside."""
    span = index.span
    if span is None:
        return since is None and until is None
    return (since is None or since <= span.start) and (until is None or span.end <= until)


def place(timestamp_ns: int, *, newest_first: bool) -> int:
    """Return the place of a moment."""
    return -timestamp_ns if newest_first else timestamp_ns


def reach(index: Index, *, newest_first: bool) -> tuple[int, int]:
    """Return the first place of an index, and the first one behind it."""
    if index.span is None:
        return -EVER, EVER
    start, end = _bounds(index.span)
    return (1 - end, 1 - start) if newest_first else (start, end)


@lru_cache(maxsize=MOST_KEPT)
def _bounds(span: Span) -> tuple[int, int]:
    """Return the first nanosecond of a span, and the first one behind it."""
    return unix_ns(span.start), unix_ns(span.end)


def in_order(indices: Iterable[Index], *, newest_first: bool) -> list[Index]:
    """Return indices in the order of reading."""

    def key(index: Index) -> tuple[int, int, str]:
        near, far = reach(index, newest_first=newest_first)
        return near, -far, index.name

    return sorted(indices, key=key)


def choose(
    indices: Iterable[Index],
    counts: Mapping[str, int],
    always: Collection[str],
    want: Want,
) -> Choice:
    """Choose the indices to ask, so that about as many events as are wanted lie before the limit.

    Args:
        indices: all that may hold events of the question.
        counts: how many events of the question are known to be in an index, by its name.
        always: names that are asked in any case, as their events have to be counted.
        want: how many, from where, in which order.
    """
    chosen: list[Index] = []
    others: list[Index] = []
    events, last = 0, -EVER
    order = in_order(indices, newest_first=want.newest_first)
    for number, index in enumerate(order):
        near, far = reach(index, newest_first=want.newest_first)
        count = counts.get(index.name, want.guess)
        needed = far > want.start and count > 0
        full = near > last and events >= want.events
        if full and needed and index.name not in always:
            others += [one for one in order[number:] if one.name in always]
            return Choice((*chosen, *others), near)
        if needed and not full:
            chosen.append(index)
            last = near
            # What may not even be there yet fills no page.
            events += count if index.span and index.uuid else 0
        elif index.name in always:
            others.append(index)
    return Choice((*chosen, *others), EVER)
