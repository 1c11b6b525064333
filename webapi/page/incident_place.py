"""Where a page of the incident view begins, so that the moment is on it, and where it is there."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from msgspec import Struct

from webapi.cursor import read_cursor
from webapi.errors import ParameterError, ParametersError
from webapi.event_values import read_parts
from webapi.incident_analysis import IncidentQuestion
from webapi.incident_shapes import IncidentEvent
from webapi.order import position_of
from webapi.page.listing import cursor_before
from webapi.page.row import Row
from webapi.page.timeline import Timeline
from webapi.parts import parts
from webapi.query import Position, Query, holdable, unix_ns

NEWER: Final = "newer"


class _Identified(Struct, frozen=True):
    id: str | None = None


def placed(question: IncidentQuestion, *, newer: str, centred: bool) -> IncidentQuestion:
    """Return the question for the page that is wanted.

    Args:
        question: as it was asked.
        newer: a cursor: the page that ends before it; empty for another one.
        centred: the first page has as many events before the moment as it can from it on.

    Raises:
        ParametersError: `newer` is no cursor of this question.
        UnavailableError, InternalError: the store does not answer as it should.
    """
    query = question.window.query
    if newer:
        try:
            end = read_cursor(parts().cursor_key, _reversed(query), newer)
        except ParameterError as error:
            raise ParametersError((error.of(NEWER),)) from None
        query = replace(query, after=_so_far_before(query, end, query.limit))
    elif centred and query.after is None:
        query = centred_on(query, question.origin)
    return replace(question, window=replace(question.window, query=query))


def centred_on(query: Query, moment: datetime) -> Query:
    """Return the query for the page that has as many events before a moment as it can from it on.

    Where the newest are first: as many from the moment on as it can before it.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    # No id is before the empty one: from the moment on, whatever happened at it.
    place = Position(unix_ns(holdable(moment)), "")
    return replace(query, after=_so_far_before(query, place, query.limit // 2))


def earlier_cursor(
    question: IncidentQuestion, events: Sequence[IncidentEvent], rows: Sequence[Row]
) -> str | None:
    """Return the cursor of the page before these events; None where they are the first."""
    query = question.window.query
    if query.after is None or not rows:
        return None
    event_id = read_parts(events[0].event, _Identified).id
    return cursor_before(query, Position(unix_ns(rows[0].instant), event_id))


def divide(
    instants: Sequence[datetime], origin: datetime, *, earlier: bool, later: bool
) -> int | None:
    """Return before which row the moment is; None where it is on another page. Pure.

    Args:
        instants: of the rows, oldest first.
        origin: the moment.
        earlier: there are pages before this one.
        later: there are pages behind it.
    """
    place = bisect_left(instants, origin)
    if place == len(instants):
        return None if later or not instants else place
    begins_behind = place == 0 and earlier and instants[0] != origin
    return None if begins_behind else place


def place_on(drawn: Timeline | None, origin: datetime) -> float | None:
    """Return where on a timeline a moment is, in bars; None where it is not on it. Pure."""
    if drawn is None or not drawn.first <= origin <= drawn.last:
        return None
    return round((origin - drawn.first) / (drawn.last - drawn.first) * len(drawn.bars), 3)


def _so_far_before(query: Query, end: Position, count: int) -> Position | None:
    """Return the place so many events before another; None where there are no more than that."""
    backwards = replace(_reversed(query), after=end, limit=count, identified=True)
    hits = parts().reading.page(backwards).hits.hits
    if len(hits) <= count:
        return None
    return position_of(hits[count])


def _reversed(query: Query) -> Query:
    return replace(query, newest_first=not query.newest_first)
