"""The OpenAPI 3.1 description, made of the same tables and structs that answer.

`python -m webapi.openapi > docs/openapi.json` writes the copy that stands in the repository.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

import msgspec
from flask import Blueprint, Response

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.event import Event
from webapi import (
    completeness,
    export,
    facets,
    heads,
    history,
    incident,
    state,
    stream,
    surroundings,
    token_routes,
)  # fmt: skip
from webapi.around_event import Surroundings
from webapi.audit_log import PATH, ActionList, Page
from webapi.description import (
    BAD_REQUEST_CODES,
    EVENT_ID,
    QUESTION_CODES,
    SOURCE_LINKS,
    STORAGE_CODES,
    TOKEN_CODES,
    Json,
    add_examples,
    describe_parameter,
    operation,
    page,
    with_links,
    without_token,
)
from webapi.errors import ROUTING_CODES
from webapi.facet_counts import Facets
from webapi.health import Alive, Ready
from webapi.highlights import Highlight
from webapi.incident_shapes import Incident
from webapi.parameters import parameters_of
from webapi.parts import parts
from webapi.problems import Problem
from webapi.query import TOTAL_CAP
from webapi.shape_schemas import schemas_of

blueprint: Final = Blueprint("openapi", __name__)

TOPICS: Final[tuple[Callable[[Catalogue], Mapping[str, Json]], ...]] = (
    facets.describe,
    incident.describe,
    surroundings.describe,
    history.describe,
    state.describe,
    token_routes.describe,
    export.describe,
    heads.describe,
    completeness.describe,
    stream.describe,
)
"""What describes the addresses beside the list, the catalogue and one event."""
SHAPES: Final[tuple[type, ...]] = (
    Page, ActionList, Event, Highlight,
    Facets, Incident, Surroundings,
    *history.SHAPES,
    *state.SHAPES,
    *token_routes.SHAPES,
    *export.SHAPES,
    *heads.SHAPES,
    *completeness.SHAPES,
    *stream.SHAPES,
    Problem, Alive, Ready,
)  # fmt: skip
"""The shapes of all answers."""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer this description."""
    return Response(encode(parts().catalogue), mimetype="application/json")


def encode(catalogue: Catalogue = CATALOGUE) -> bytes:
    """Return the description as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document(catalogue)), indent=2) + b"\n"


def document(catalogue: Catalogue) -> Json:
    """Return the whole description, whose categories are those of a catalogue."""
    schemas = schemas_of(SHAPES)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Indelible audit log",
            "version": version("indelible"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Who did what, when, on what. The organisation, the role and the plan"
            " come from the bearer token alone. Errors are RFC 9457 with a stable `code`."
            f" Beside those of each operation there are {' and '.join(ROUTING_CODES)}, which a"
            " request that prefers `text/html` gets as a page. An address longer than 8,190 bytes"
            " is a 414 in HTML, of the server, which answers before it reads it.",
        },
        "security": [{"bearer": []}],
        "paths": add_examples(_paths(catalogue), schemas),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A person's JWT, or an API token (`indl_…`) of `createToken`.",
                }
            },
            "schemas": schemas,
        },
    }


def _paths(catalogue: Catalogue) -> Json:
    return {
        PATH: with_links(
            operation(
                "listEvents",
                "Events of the organisation, newest first. Different parameters must all match,"
                f" several values of one are alternatives. Totals are exact up to {TOTAL_CAP}.",
                "Page",
                QUESTION_CODES,
                [describe_parameter(parameter) for parameter in parameters_of(catalogue).values()],
            )
        ),
        f"{PATH}/actions": operation(
            "listActions",
            "The catalogue of actions. Events may carry others; those have no category and colour.",
            "ActionList",
            (*BAD_REQUEST_CODES, *TOKEN_CODES),
        ),
        **{path: item for topic in TOPICS for path, item in topic(catalogue).items()},
        f"{PATH}/{{event_id}}": with_links(
            operation(
                "showEvent",
                "One event, as it was written; another organisation's is not found.",
                "Event",
                (*QUESTION_CODES, "event_not_found"),
                [EVENT_ID],
            ),
            SOURCE_LINKS,
        ),
        "/healthz": without_token(operation("healthz", "The process is alive.", "Alive", ())),
        "/readyz": without_token(
            operation(
                "readyz",
                "The service can answer.",
                "Ready",
                (*STORAGE_CODES, "not_ready", "internal_error"),
            )
        ),
        "/docs": without_token(page("docs", "This description, as a page for people.")),
        "/metrics": operation(
            "metrics",
            "Metrics for Prometheus, to whoever has the secret of the settings.",
            None,
            ("token_invalid", "route_not_found"),
            media_type="text/plain",
        ),
        "/openapi.json": without_token(operation("openapi", "This description.", None, ())),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(encode())
