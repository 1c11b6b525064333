"""The time that an index holds events of, from its name alone. Pure.

A partition `audit-events-2026.11` or `audit-events-2026.11.23` is read in either spelling, whatever
the setting says now: those that were made before it was changed are still there.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from indexer.names import index_kind
from indexer.settings import IndexSettings

MONTH_DAYS: Final = 31
"""Days of the longest month."""

_DECEMBER: Final = 12
_is_date = re.compile(r"([0-9]{4})\.([0-9]{2})(?:\.([0-9]{2}))?", re.ASCII).fullmatch
_ends: Final = re.compile(r".+-(events|late)-([0-9.]+)", re.ASCII).fullmatch


class Span(Struct, frozen=True, order=True):
    """A window `[start, end)` of aware UTC instants."""

    start: datetime
    end: datetime

    def meets(self, since: datetime, until: datetime) -> bool:
        """Whether it has an instant in common with `[since, until)`."""
        return max(self.start, since) < min(self.end, until)


def span_of(name: str, settings: IndexSettings) -> Span | None:
    """The span of a partition or an index of late events; None where its name says none.

    None also for the journal and for what is not of this prefix: no age follows from those.
    """
    kind = index_kind(name, settings)
    if kind not in ("events", "late"):
        return None
    return _read(kind, name.removeprefix(f"{settings.prefix}-{kind}-"))


def span_in_name(name: str) -> Span | None:
    """As `span_of`, whatever the prefix: for whoever has a name, and no settings."""
    match = _ends(name)
    return None if match is None else _read(*match.groups())


def _read(kind: str, date: str) -> Span | None:
    match = _is_date(date)
    if match is None:
        return None
    year, month, day = match.groups()
    if kind == "late" and day is not None:
        return None
    return _span(int(year), int(month), None if day is None else int(day))


def _span(year: int, month: int, day: int | None) -> Span | None:
    try:
        start = datetime(year, month, 1 if day is None else day, tzinfo=UTC)
        if day is not None:
            return Span(start, start + timedelta(days=1))
        if month == _DECEMBER:
            return Span(start, start.replace(year=year + 1, month=1))
        return Span(start, start.replace(month=month + 1))
    except (ValueError, OverflowError):
        # No such day, or one after which no calendar goes on.
        return None
