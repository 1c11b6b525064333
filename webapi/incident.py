"""`/incident`: what happened around a moment, who and what took part, and what is unusual of it."""

from collections.abc import Mapping

from flask import Response, request

from audit_events.catalogue import Catalogue
from webapi.answering import answer_json, present_actions, record_read
from webapi.audit_log import PATH, blueprint
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation, with_links
from webapi.incident_analysis import incident_of
from webapi.incident_request import parameters_of, read_question
from webapi.kinds import asks
from webapi.links import set_links
from webapi.parts import parts, reader
from webapi.request import read_pairs


@blueprint.get("/incident")
@asks("incident")
def show_incident() -> Response:
    """Answer what happened in a window."""
    pairs = read_pairs(request.query_string)
    question = read_question(
        reader().organization_id,
        pairs,
        present=present_actions,
        cursor_key=parts().cursor_key,
        catalogue=parts().catalogue,
    )
    found = incident_of(parts().reading, question, parts().cursor_key)
    record_read(pairs, events=len(found.events))
    return set_links(answer_json(found), pairs, found.limit, found.next_cursor)


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
    return {f"{PATH}/incident": with_links(described)}
