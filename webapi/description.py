"""What the OpenAPI description of an operation is made of; each topic describes its own.

A module with routes has a sibling entry in `webapi.openapi.TOPICS`: a function that returns its
paths for a catalogue, and the shapes of its answers.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, cast

from audit_events.event import UUID_PATTERN
from webapi.answered import REFERENCE
from webapi.errors import CODES, RETRY_AFTER
from webapi.parameters import MAX_VALUES, Parameter
from webapi.problems import PROBLEM_TYPE, URN
from webapi.schema_examples import example_of

Json = dict[str, object]

TOKEN_CODES: Final = (
    "token_missing",
    "token_invalid",
    "token_expired",
    "role_not_allowed",
    "plan_not_allowed",
    "scope_not_allowed",
    "rate_limited",
    "keys_unavailable",
    "tokens_unavailable",
    "internal_error",
)
STORAGE_CODES: Final = ("storage_unavailable", "storage_timeout", "storage_incomplete")
BAD_REQUEST_CODES: Final = ("parameters_invalid", "request_malformed")
QUESTION_CODES: Final = (*BAD_REQUEST_CODES, *TOKEN_CODES, *STORAGE_CODES, "audit_unavailable")
"""Of every question about events with parameters."""
EVENT_ID: Final[Json] = {
    "name": "event_id",
    "in": "path",
    "required": True,
    "description": "`id` of the event.",
    "schema": {"type": "string", "pattern": UUID_PATTERN},
}
PAGE_LINKS: Final = (
    "`self`, and `next` where there is more (RFC 8288), relative to the address; left out where"
    " they would be very long."
)
SOURCE_LINKS: Final = (
    "`prev` and `next` (RFC 8288), relative to the address: the events with the numbers before and"
    " after this one in its source; each is left out where it is not the organisation's own."
)
_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.TOO_MANY_REQUESTS: RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: RETRY_AFTER,
    HTTPStatus.GATEWAY_TIMEOUT: RETRY_AFTER,
}
"""What a refusal of a status always has."""
_capital: Final = re.compile("(?=[A-Z])")
_OF_HEADER: Final[Mapping[str, Json]] = {
    "WWW-Authenticate": {
        "description": "`Bearer`, and what is wrong with the token (RFC 6750).",
        "schema": {"type": "string"},
    },
    RETRY_AFTER: {
        "description": "Seconds until it may be asked again; never a date.",
        "schema": {"type": "integer", "minimum": 0},
    },
}


def operation(
    name: str,
    description: str,
    schema: str | None,
    codes: Sequence[str],
    parameters: Sequence[Json] = (),
    *,
    method: str = "get",
    status: int = HTTPStatus.OK,
    asked: str | None = None,
    media_type: str = "application/json",
) -> Json:
    """Describe one operation.

    Args:
        name: its `operationId`; in words its summary: `listEvents` is `List events`.
        description: a sentence or two.
        schema: the name of the shape of its answer; None for any object.
        codes: of the refusals that it answers with.
        parameters: described ones.
        method: of HTTP, in lower case.
        status: of the answer; 204 has no content.
        asked: the name of the shape of a body that has to be sent.
        media_type: of the answer; what is not JSON is text.
    """
    body: Json = {"$ref": REFERENCE + schema} if schema else {"type": "object"}
    if media_type != "application/json":
        body = {"type": "string"}
    answer: Json = {"description": "The answer."}
    if status != HTTPStatus.NO_CONTENT:
        answer["content"] = {media_type: {"schema": body}}
    described: Json = {
        "operationId": name,
        "summary": " ".join(_capital.split(name)).capitalize(),
        "description": description,
        "responses": {str(int(status)): answer, **_refusals(codes)},
    }
    if parameters:
        described["parameters"] = list(parameters)
    if asked is not None:
        content = {"application/json": {"schema": {"$ref": REFERENCE + asked}}}
        described["requestBody"] = {"required": True, "content": content}
    return {method: described}


def page(name: str, description: str) -> Json:
    """Describe one page for people."""
    return operation(name, description, None, (), media_type="text/html")


def add_examples(paths: Json, schemas: Json) -> Json:
    """Give an example to each answer and body of JSON that has none, made of its schema."""
    known = cast("Mapping[str, Mapping[str, object]]", schemas)
    for item in cast("dict[str, dict[str, Json]]", paths).values():
        for one in item.values():
            answers = cast("dict[str, Json]", one["responses"])
            good = [answer for status, answer in answers.items() if status.startswith("2")]
            for place in (*good, cast("Json", one.get("requestBody", {}))):
                content = cast("dict[str, Json]", place.get("content", {}))
                for media_type, each in content.items():
                    if media_type == "application/json" and "example" not in each:
                        schema = cast("Mapping[str, object]", each["schema"])
                        each["example"] = example_of(schema, known)
    return paths


def without_token(path: Json) -> Json:
    """Mark an operation that needs no token."""
    cast("Json", path["get"])["security"] = []
    return path


def with_links(path: Json, description: str = PAGE_LINKS) -> Json:
    """Add the header with links to other answers."""
    answer = cast("dict[str, Json]", cast("Json", path["get"])["responses"])["200"]
    answer["headers"] = {"Link": {"description": description, "schema": {"type": "string"}}}
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
                        {"$ref": REFERENCE + "Problem"},
                        {
                            "properties": {
                                "code": {"type": "string", "enum": list(codes)},
                                "status": {"type": "integer", "enum": [status]},
                                "type": {
                                    "type": "string",
                                    "enum": [URN + code for code in codes],
                                },
                            }
                        },
                    ]
                }
            }
        },
    }
    if status in _HEADERS:
        header = _HEADERS[HTTPStatus(status)]
        refusal["headers"] = {header: {"required": True, **_OF_HEADER[header]}}
    return refusal


def describe_parameter(parameter: Parameter[object]) -> Json:
    """Describe one parameter of a query string."""
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
