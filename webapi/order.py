"""The total order of an organisation's events, (timestamp, id), where others stored what has no id.

OpenSearch puts that last at its instant, whichever way it sorts. Pure.
"""

from datetime import datetime, timedelta
from typing import Final

from audit_events.event import UUID_CHARACTERS
from webapi.query import EARLIEST, Position
from webapi.storage_answer import Hit

MOST_ID_CHARACTERS: Final = UUID_CHARACTERS + 1
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
    return timestamp_ns, (event_id is None) is not newest_first, event_id or ""


def turned(position: Position, *, newest_first: bool) -> Position:
    """Return from where to read the other way, so that nothing before a position is missed.

    Args:
        position: where one stands.
        newest_first: the way to be read now.
    """
    if position.id is not None:
        return position
    return Position(position.timestamp_ns, _LAST if newest_first else _FIRST)


def shortened(position: Position, *, newest_first: bool) -> Position:
    """Return a position of a few bytes, with the same events behind it.

    Only an id that is none of an event is so long; no event is between it and what begins as it.
    """
    event_id = position.id
    if event_id is None or len(event_id) <= UUID_CHARACTERS:
        return position
    start = event_id[:MOST_ID_CHARACTERS]
    return Position(position.timestamp_ns, start if newest_first else start + _LAST)
