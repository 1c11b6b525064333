"""Reading what is asked of an incident: filters, a window, and how much is listed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi import parameters, values
from webapi.errors import ParameterError
from webapi.facet_counts import too_short
from webapi.histogram import INTERVALS, fits
from webapi.histogram_parameter import INTERVAL
from webapi.incident_analysis import DEFAULT_VALUES, MAX_VALUES, IncidentQuestion
from webapi.incident_search import Window
from webapi.parameters import Parameter
from webapi.query import DEFAULT_LIMIT, EARLIEST, Query, holdable
from webapi.request import read_after, read_filters
from webapi.request_reading import Pairs, RequestReading

MAX_DAYS: Final = 2 * values.MAX_WINDOW_DAYS
VALUES: Final = parameters.number(
    "values",
    "How many actors, targets, resources, addresses and user agents are listed, those with most"
    " events first.",
    least=1,
    most=MAX_VALUES,
    default=DEFAULT_VALUES,
)


def read_question(
    organization_id: str,
    pairs: Pairs,
    *,
    present: Callable[[Collection[str]], Collection[str]],
    cursor_key: bytes,
    catalogue: Catalogue = CATALOGUE,
) -> IncidentQuestion:
    """Return what a request asks; the arguments are those of `webapi.request.read_query`.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, parameters_of(catalogue))
    query = read_filters(reading, organization_id, present=present, catalogue=catalogue)
    limit = reading.single(parameters.LIMIT) or DEFAULT_LIMIT
    listed = reading.single(VALUES) or DEFAULT_VALUES
    named = reading.single(INTERVAL)
    interval = None if named is None else INTERVALS[named]
    window = _window(reading, replace(query, newest_first=False, limit=limit))
    if interval is not None and not fits(interval, window.since, window.until):
        reading.refuse("interval", too_short(window.since, window.until))
    after = read_after(reading, window.query, cursor_key)
    reading.finish()
    return IncidentQuestion(
        window=replace(window, query=replace(window.query, after=after)),
        origin=reading.single(parameters.AROUND) or window.since,
        values=listed,
        interval=interval,
    )


def _window(reading: RequestReading, query: Query) -> Window:
    """Return the window of a query; one that is missing or too long is noted in `reading`."""
    if query.since is None or query.until is None:
        if not reading.problems:
            reason = "an incident needs a window: `around`, or both `since` and `until`"
            reading.refuse("around", ParameterError("required", reason))
        return Window(query=query, since=EARLIEST, until=EARLIEST)
    since, until = holdable(query.since), holdable(query.until)
    if until - since > timedelta(days=MAX_DAYS):
        reason = f"a window has at most {MAX_DAYS} days; /facets counts longer ones"
        reading.refuse("until", ParameterError("out_of_range", reason))
    if until == since and not reading.problems:
        reading.refuse("until", ParameterError("out_of_range", "no event can be of that time"))
    return Window(query=replace(query, since=since, until=until), since=since, until=until)


def parameters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return what `/incident` takes: the filters of the list, its pages, and how much is listed."""
    filters = parameters.filters_of(catalogue).values()
    return parameters.by_name(*filters, parameters.LIMIT, parameters.CURSOR, VALUES, INTERVAL)
