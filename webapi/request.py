"""Reading a request: the pairs of a query string become a `Query`, or every problem at once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi import parameters, values
from webapi.cursor import read_cursor
from webapi.errors import ParameterError, ParametersError, ProblemError
from webapi.field_selection import Selection, selection_of
from webapi.parameters import PARAMETERS
from webapi.query import DEFAULT_LIMIT, MAX_PAGE_DEPTH, Position, Query, TextFilter
from webapi.request_reading import Pairs, RequestReading
from webapi.search_text import placed, pointed, uncatalogued_actions

MAX_PAIRS: Final = 500


def read_pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Split a query string as forms are encoded; refuse what is not UTF-8 or far too much."""
    try:
        return parse_qsl(
            query_string.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PAIRS,
        )
    except UnicodeDecodeError:
        raise ProblemError("request_malformed", "the query string is not UTF-8") from None
    except ValueError:
        raise ProblemError(
            "request_malformed", f"the query string has more than {MAX_PAIRS} fields"
        ) from None


def read_query(
    organization_id: str,
    pairs: Pairs,
    *,
    present: Callable[[Collection[str]], Collection[str]],
    cursor_key: bytes,
    catalogue: Catalogue = CATALOGUE,
) -> Query:
    """Return what a request asks for.

    Args:
        organization_id: whose events: from the token, or from an operator.
        pairs: names and values as they came.
        present: tells which of some uncatalogued actions (or `noun.*`) the organisation has events
            of; asked once, and only when there are such.
        cursor_key: what signs cursors here.
        catalogue: the actions that are known.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, PARAMETERS)
    query = read_filters(reading, organization_id, present=present, catalogue=catalogue)
    query = replace(
        query,
        highlight=reading.single(parameters.HIGHLIGHT) or False,
        fields=read_fields(reading),
        newest_first=reading.single(parameters.ORDER) in {None, values.NEWEST_FIRST},
    )
    query = read_page(reading, query, cursor_key)
    reading.finish()
    return query


def read_filters(
    reading: RequestReading,
    organization_id: str,
    *,
    present: Callable[[Collection[str]], Collection[str]],
    catalogue: Catalogue,
) -> Query:
    """Return which events a request is about; what is wrong is noted in `reading`.

    Args:
        reading: of an address that takes all of `parameters.FILTERS`.
        organization_id: as of `read_query`.
        present: as of `read_query`.
        catalogue: the actions that are known.
    """
    actions = reading.several(parameters.action(catalogue))
    text = reading.single(parameters.text(catalogue))
    _refuse_unknown(reading, actions, text, present, catalogue)
    query = Query(
        organization_id=organization_id,
        actions=actions,
        categories=reading.several(parameters.category(catalogue)),
        colours=reading.several(parameters.COLOUR),
        results=reading.several(parameters.RESULT),
        equal={
            parameter.name: found
            for parameter in parameters.EQUALS
            if (found := reading.several(parameter))
        },
        text=text,
        catalogue=catalogue,
    )
    return read_window(reading, query)


def refuse_parameters(pairs: Pairs) -> None:
    """Refuse every parameter, where an address takes none."""
    error = ParameterError("unknown_parameter", "this address takes no parameters")
    problems = tuple(error.of(name) for name in dict.fromkeys(name for name, _ in pairs))
    if problems:
        raise ParametersError(problems)


def _refuse_unknown(
    reading: RequestReading,
    actions: Sequence[str],
    text: TextFilter | None,
    present: Callable[[Collection[str]], Collection[str]],
    catalogue: Catalogue,
) -> None:
    """Refuse actions that are neither catalogued nor among the organisation's events."""
    named = [name for name in actions if not values.is_catalogued(name, catalogue)]
    written: Mapping[str, int] = {}
    if text is not None:
        written = uncatalogued_actions(text.node, catalogue)
    asked = list(dict.fromkeys([*named, *written]))
    known = present(asked) if asked else ()
    for name in named:
        if name not in known:
            reading.refuse("action", values.unknown_action(name, catalogue))
    for name, position in written.items():
        if text is not None and name not in known:
            error = placed(values.unknown_action(name, catalogue), position)
            reading.refuse("q", pointed(error, text.text))


def read_fields(reading: RequestReading) -> Selection | None:
    """Return which parts of events a request asks for; what is wrong is noted."""
    try:
        return selection_of(reading.several(parameters.FIELDS))
    except ParameterError as error:
        reading.refuse(parameters.FIELDS.name, error)
        return None


def read_window(reading: RequestReading, query: Query) -> Query:
    """Return a query within `since` and `until`, or `around`; what is wrong is noted."""
    since = reading.single(parameters.SINCE)
    until = reading.single(parameters.UNTIL)
    around = reading.single(parameters.AROUND)
    window = reading.single(parameters.WINDOW)
    given = reading.given
    if given(parameters.WINDOW) and not given(parameters.AROUND):
        reading.refuse(
            "window", ParameterError("conflict", "needs `around`, the moment it is about")
        )
    if given(parameters.AROUND) and (given(parameters.SINCE) or given(parameters.UNTIL)):
        reason = "cannot be combined with `since` or `until`; use one or the other"
        reading.refuse("around", ParameterError("conflict", reason))
    elif around is not None:
        since, until = span(around, window or values.read_duration(values.DEFAULT_WINDOW))
    reading.refuse_unless_before(since, until)
    if since is None and until is None:
        return query
    return replace(query, since=since, until=until)


def span(around: datetime, window: timedelta) -> tuple[datetime, datetime]:
    """Return the instants `window` before and after a moment, within what a date can hold."""
    earliest = datetime.min.replace(tzinfo=UTC)
    latest = datetime.max.replace(tzinfo=UTC)
    since = around - window if around - earliest > window else earliest
    until = around + window if latest - around > window else latest
    return since, until


def read_page(reading: RequestReading, query: Query, cursor_key: bytes) -> Query:
    """Return a query with limit and place; what is wrong is noted.

    Read it last: a cursor belongs to all that decides which events follow.
    """
    limit = reading.single(parameters.LIMIT) or DEFAULT_LIMIT
    offset = reading.single(parameters.OFFSET) or 0
    if offset + limit > MAX_PAGE_DEPTH:
        reason = (
            f"offset + limit is at most {MAX_PAGE_DEPTH}; follow nextCursor with `cursor`,"
            " or narrow with `since` and `until`"
        )
        reading.refuse("offset", ParameterError("out_of_range", reason))
    if reading.given(parameters.OFFSET) and reading.given(parameters.CURSOR):
        reading.refuse("cursor", ParameterError("conflict", "goes without `offset`"))
    query = replace(query, limit=limit, offset=offset)
    after = read_after(reading, query, cursor_key)
    return query if after is None else replace(query, after=after)


def read_after(reading: RequestReading, query: Query, cursor_key: bytes) -> Position | None:
    """Return the place behind which a page begins; what is wrong with it is noted in `reading`."""
    cursor = reading.single(parameters.CURSOR)
    if cursor is None or reading.problems:
        # Under wrong filters a good cursor looks forged: say first what is surely wrong.
        return None
    try:
        return read_cursor(cursor_key, query, cursor)
    except ParameterError as error:
        reading.refuse("cursor", error)
        return None
