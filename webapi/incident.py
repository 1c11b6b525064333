"""`/incident`: what happened around a moment, who and what took part, and what is unusual of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from flask import Response, request

from audit_events.catalogue import Catalogue
from webapi import parameters, values
from webapi.access import asks
from webapi.answering import answer_json, present_actions, record_read
from webapi.audit_log import PATH, blueprint
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.errors import ParameterError
from webapi.facet_counts import too_short
from webapi.facets import INTERVAL
from webapi.histogram import INTERVALS, fits
from webapi.incident_analysis import DEFAULT_VALUES, MAX_VALUES, IncidentQuestion, incident_of
from webapi.incident_search import Window
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.query import DEFAULT_LIMIT, EARLIEST, Query, holdable
from webapi.request import read_after, read_filters, read_pairs
from webapi.request_reading import Pairs, RequestReading

MAX_DAYS: Final = 2 * values.MAX_WINDOW_DAYS
VALUES: Final = Parameter(
    name="values",
    read=values.integer_between(1, MAX_VALUES),
    schema={"type": "integer", "minimum": 1, "maximum": MAX_VALUES, "default": DEFAULT_VALUES},
    description="How many actors, targets, resources, addresses and user agents are listed, those"
    " with most events first.",
)


@blueprint.get("/incident")
@asks("incident")
def show_incident() -> Response:
    """Answer what happened in a window."""
    pairs = read_pairs(request.query_string)
    question = read_question(pairs, reader().organization_id)
    found = incident_of(parts().reading, question, parts().cursor_key)
    record_read(pairs, events=len(found.events))
    return answer_json(found)


def read_question(pairs: Pairs, organization_id: str) -> IncidentQuestion:
    """Return what a request asks.

    Raises:
        ParametersError: everything that is wrong.
    """
    catalogue, cursor_key = parts().catalogue, parts().cursor_key
    reading = RequestReading(pairs, parameters_of(catalogue))
    query = read_filters(reading, organization_id, present=present_actions, catalogue=catalogue)
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
            reading.refuse("around", ParameterError("missing", reason))
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


def describe(catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/incident`."""
    described = operation(
        "showIncident",
        "What happened around a moment, or between `since` and `until`: a page of the events,"
        " oldest first, with their distance; and of all of them counts over time, who and what took"
        " part, which of it was never seen in the 30 days before, and what is unusual against"
        " those days.",
        "Incident",
        QUESTION_CODES,
        [describe_parameter(parameter) for parameter in parameters_of(catalogue).values()],
    )
    return {f"{PATH}/incident": described}
