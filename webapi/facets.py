"""`/facets`: how many events there are of each action, actor, address, and in each span of time."""

from collections.abc import Mapping
from typing import Final

from flask import Response, request

from audit_events.catalogue import Catalogue
from webapi import parameters, values
from webapi.answering import answer_json, present_actions, record_read
from webapi.audit_log import PATH, blueprint
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.facet_counts import DEFAULT_VALUES, FACETS, MAX_VALUES, FacetQuestion, facets_of
from webapi.histogram import INTERVALS
from webapi.histogram_parameter import INTERVAL
from webapi.kinds import asks
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.request import read_filters, read_pairs
from webapi.request_reading import RequestReading

FACET: Final = Parameter(
    name="facet",
    read=values.choice_of(FACETS),
    schema={"type": "string", "enum": list(FACETS)},
    description="Which of them; all where none is named.",
    repeatable=True,
    commas=True,
)
VALUES: Final = parameters.number(
    "values",
    "How many values of each, those with most events first.",
    least=1,
    most=MAX_VALUES,
    default=DEFAULT_VALUES,
)


@blueprint.get("/facets")
@asks("list")
def show_facets() -> Response:
    """Answer how many events the organisation has, and of which."""
    pairs = read_pairs(request.query_string)
    catalogue = parts().catalogue
    reading = RequestReading(pairs, parameters_of(catalogue))
    query = read_filters(
        reading, reader().organization_id, present=present_actions, catalogue=catalogue
    )
    named = reading.single(INTERVAL)
    question = FacetQuestion(
        names=reading.several(FACET) or FACETS,
        values=reading.single(VALUES) or DEFAULT_VALUES,
        interval=None if named is None else INTERVALS[named],
    )
    reading.finish()
    found = facets_of(parts().reading, query, question)
    record_read(pairs, events=0)
    return answer_json(found)


def parameters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return what `/facets` takes: the filters of the list, and what to count."""
    filters = parameters.filters_of(catalogue).values()
    return parameters.by_name(*filters, FACET, VALUES, INTERVAL)


def describe(catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/facets`."""
    described = operation(
        "showFacets",
        "How many events match, by action, category, colour, actor and more, and over time."
        " The total is exact; so are the counts of a facet whose `relation` is `eq`.",
        "Facets",
        QUESTION_CODES,
        [describe_parameter(parameter) for parameter in parameters_of(catalogue).values()],
    )
    return {f"{PATH}/facets": described}
