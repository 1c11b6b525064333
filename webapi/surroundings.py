"""`/{eventId}/surroundings`: what came just before and after an event, in all or of one thing."""

from collections.abc import Mapping
from typing import Final

from flask import Response, request

from audit_events.catalogue import Catalogue
from webapi import values
from webapi.answering import answer_json, find_event, record_read
from webapi.around_event import (
    BY,
    DEFAULT_EVENTS,
    MAX_EVENTS,
    By,
    SurroundingsQuestion,
    surroundings_of,
)
from webapi.audit_log import PATH, blueprint
from webapi.description import EVENT_ID, QUESTION_CODES, Json, describe_parameter, operation
from webapi.kinds import asks
from webapi.parameters import Parameter, by_name, number
from webapi.parts import parts, reader
from webapi.request import read_pairs
from webapi.request_reading import RequestReading


def _how_many(name: str, side: str) -> Parameter[int]:
    return number(
        name, f"How many events {side} it.", least=0, most=MAX_EVENTS, default=DEFAULT_EVENTS
    )


BEFORE: Final = _how_many("before", "before")
AFTER: Final = _how_many("after", "after")
COMMON: Final[Parameter[By]] = Parameter(
    name="by",
    read=values.choice_of(BY),
    schema={"type": "string", "enum": list(BY), "default": BY[0]},
    description="What the events have in common with it. `organization`: nothing else.",
)
PARAMETERS: Final = by_name(BEFORE, AFTER, COMMON)


@blueprint.get("/<event_id>/surroundings")
@asks("list")
def show_surroundings(event_id: str) -> Response:
    """Answer the events around one; another organisation's is as absent as one that never was."""
    pairs = read_pairs(request.query_string)
    reading = RequestReading(pairs, PARAMETERS)
    before, after = reading.single(BEFORE), reading.single(AFTER)
    question = SurroundingsQuestion(
        by=reading.single(COMMON) or BY[0],
        before=DEFAULT_EVENTS if before is None else before,
        after=DEFAULT_EVENTS if after is None else after,
    )
    reading.finish()
    center = find_event(event_id)
    found = surroundings_of(parts().reading, reader().organization_id, center, question)
    record_read(pairs, events=len(found.events), event_id=found.event_id)
    return answer_json(found)


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/{eventId}/surroundings`."""
    described = operation(
        "showSurroundings",
        "The events just before and after one, oldest first: of all of the organisation, or of the"
        " same actor, target, resource, address or correlation. Another organisation's event is"
        " not found.",
        "Surroundings",
        (*QUESTION_CODES, "event_not_found"),
        [EVENT_ID, *(describe_parameter(parameter) for parameter in PARAMETERS.values())],
    )
    return {f"{PATH}/{{event_id}}/surroundings": described}
