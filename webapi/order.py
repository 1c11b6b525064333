"""The total order of an organisation's events, (timestamp, id), where others stored what has no id.

OpenSearch puts that last at its instant, whichever way it sorts. Pure.
"""

from datetime import datetime, timedelta
from typing import Final

from webapi.query import EARLIEST, MOST_ID_CHARACTERS, Position
from webapi.storage_answer import Hit

_FIRST: Final = ""
_LAST: Final = "\U0010ffff"
"""Before and behind the id of every event."""


def position_of(hit: Hit) -> Position:
    """Return where a hit stands."""
    _, timestamp_ns, event_id = hit.sort
    return Position(timestamp_ns, event_id)


def instant_at(position: Position) -> datetime:
    """Return the moment of a position; what is below a microsecond drops."""
    return EARLIEST + timedelta(microseconds=position.timestamp_ns // 1000)


def reading_key(
    timestamp_ns: int, event_id: str | None, *, newest_first: bool
) -> tuple[int, bool, str]:
    """Return what sorts events as OpenSearch does: ascending, or in reverse `newest_first`."""
    return timestamp_ns, (event_id is None) != newest_first, event_id or ""


def turned(position: Position, *, newest_first: bool) -> Position:
    """Return from where to read the other way, so that nothing before a position is missed.

    Args:
        position: where one stands.
        newest_first: the way to be read now.
    """
    if position.id is not None:
        return position
    return Position(position.timestamp_ns, _LAST if newest_first else _FIRST)


def shortened(position: Position) -> Position:
    """Return a position of a few bytes, with the same events behind it.

    An id that is longer than one of an event becomes its beginning, with which no event's id begins
    either; what does begin so is left out behind it (`webapi.query.list_search`).
    """
    start = position.id and position.id[:MOST_ID_CHARACTERS]
    return Position(position.timestamp_ns, start)
