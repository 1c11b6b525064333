"""The OpenAPI 3.1 description, made of the same tables and structs that answer.

`python -m webapi.openapi > docs/openapi.json` writes the copy that stands in the repository.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final, cast

import msgspec
from flask import Blueprint, Response

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.event import UUID_PATTERN, Event
from webapi.audit_log import PATH, ActionList, Page
from webapi.errors import CODES, PARAMETER_CODES
from webapi.health import Alive, Ready
from webapi.highlights import Highlighted
from webapi.parameters import MAX_VALUES, Parameter, parameters_of
from webapi.parts import parts
from webapi.problems import PROBLEM_TYPE, URN, Problem
from webapi.query import TOTAL_CAP

blueprint: Final = Blueprint("openapi", __name__)

_REFERENCE: Final = "#/components/schemas/"
_TOKEN_CODES: Final = (
    "token_missing",
    "token_invalid",
    "token_expired",
    "role_not_allowed",
    "plan_not_allowed",
    "keys_unavailable",
    "internal_error",
)
_STORAGE_CODES: Final = ("storage_unavailable", "storage_timeout", "storage_incomplete")
_BAD_REQUEST_CODES: Final = ("parameters_invalid", "request_malformed")
ROUTING_CODES: Final = ("route_not_found", "method_not_allowed")
"""Answered where there is no operation, so no operation lists them."""
_RETRY_STATUS: Final = 503
_CHALLENGE_STATUS: Final = 401

Json = dict[str, object]


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer this description."""
    return Response(encode(parts().catalogue), mimetype="application/json")


def encode(catalogue: Catalogue = CATALOGUE) -> bytes:
    """Return the description as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document(catalogue)), indent=2) + b"\n"


def document(catalogue: Catalogue) -> Json:
    """Return the whole description, whose categories are those of a catalogue."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Indelible audit log",
            "version": version("indelible"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Who did what, when, on what. The organisation, the role and the plan"
            " come from the bearer token alone. Errors are RFC 9457 with a stable `code`."
            f" Beside those of each operation there are {' and '.join(ROUTING_CODES)}.",
        },
        "security": [{"bearer": []}],
        "paths": _paths(catalogue),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": _schemas(),
        },
    }


def _paths(catalogue: Catalogue) -> Json:
    return {
        PATH: _operation(
            "listEvents",
            "Events of the organisation, newest first. Different parameters must all match, several"
            f" values of one are alternatives. Totals are exact up to {TOTAL_CAP}.",
            "Page",
            (*_BAD_REQUEST_CODES, *_TOKEN_CODES, *_STORAGE_CODES, "audit_unavailable"),
            [_parameter(parameter) for parameter in parameters_of(catalogue).values()],
        ),
        f"{PATH}/actions": _operation(
            "listActions",
            "The catalogue of actions. Events may carry others; those have no category and colour.",
            "ActionList",
            (*_BAD_REQUEST_CODES, *_TOKEN_CODES),
        ),
        f"{PATH}/{{event_id}}": _operation(
            "showEvent",
            "One event, as it was written; another organisation's is not found.",
            "Event",
            (
                *_BAD_REQUEST_CODES,
                *_TOKEN_CODES,
                *_STORAGE_CODES,
                "event_not_found",
                "audit_unavailable",
            ),
            [
                {
                    "name": "event_id",
                    "in": "path",
                    "required": True,
                    "description": "`id` of the event.",
                    "schema": {"type": "string", "pattern": UUID_PATTERN},
                }
            ],
        ),
        "/healthz": _open(_operation("healthz", "The process is alive.", "Alive", ())),
        "/readyz": _open(
            _operation(
                "readyz",
                "The service can answer.",
                "Ready",
                (*_STORAGE_CODES, "not_ready", "internal_error"),
            )
        ),
        "/openapi.json": _open(_operation("openapi", "This description.", None, ())),
    }


def _operation(
    name: str,
    description: str,
    schema: str | None,
    codes: Sequence[str],
    parameters: Sequence[Json] = (),
) -> Json:
    body: Json = {"$ref": _REFERENCE + schema} if schema else {"type": "object"}
    operation: Json = {
        "operationId": name,
        "description": description,
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": body}},
            },
            **_refusals(codes),
        },
    }
    if parameters:
        operation["parameters"] = list(parameters)
    return {"get": operation}


def _open(path: Json) -> Json:
    """Mark an operation that needs no token."""
    cast("Json", path["get"])["security"] = []
    return path


def _refusals(codes: Sequence[str]) -> Json:
    statuses = sorted({CODES[code].status for code in codes})
    return {
        str(status): _refusal(status, [code for code in codes if CODES[code].status == status])
        for status in statuses
    }


def _refusal(status: int, codes: Sequence[str]) -> Json:
    refusal: Json = {
        "description": "; ".join(f"`{code}`: {CODES[code].title}" for code in codes),
        "content": {
            PROBLEM_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": _REFERENCE + "Problem"},
                        {
                            "properties": {
                                "code": {"enum": list(codes)},
                                "status": {"const": status},
                                "type": {"enum": [URN + code for code in codes]},
                            }
                        },
                    ]
                }
            }
        },
    }
    header = {_RETRY_STATUS: "Retry-After", _CHALLENGE_STATUS: "WWW-Authenticate"}.get(status)
    if header is not None:
        refusal["headers"] = {header: {"required": True, "schema": {"type": "string"}}}
    return refusal


def _parameter(parameter: Parameter[object]) -> Json:
    schema: Mapping[str, object] = parameter.schema
    if parameter.repeatable:
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": MAX_VALUES}
    described: Json = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description
        + (" Several values may be separated by commas." if parameter.commas else ""),
        "schema": schema,
    }
    if parameter.repeatable:
        described |= {"style": "form", "explode": True}
    return described


def _schemas() -> Json:
    shapes = (Page, ActionList, Event, Highlighted, Problem, Alive, Ready)
    _, schemas = msgspec.json.schema_components(
        shapes,
        schema_hook=lambda _type: {"description": "Any JSON value."},
        ref_template=_REFERENCE + "{name}",
    )
    page = cast("dict[str, Json]", schemas["Page"]["properties"])
    event: Json = {"$ref": _REFERENCE + "Event"}
    highlighted: Json = {"$ref": _REFERENCE + "Highlighted"}
    page["events"]["items"] = {"anyOf": [event, {"allOf": [event, highlighted]}]}
    page["totalRelation"]["enum"] = ["eq", "gte"]
    problem = cast("dict[str, Json]", schemas["ParameterProblem"]["properties"])
    problem["code"]["enum"] = list(PARAMETER_CODES)
    return dict(schemas)


if __name__ == "__main__":
    sys.stdout.buffer.write(encode())
