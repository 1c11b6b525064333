"""Errors as RFC 9457 answers: every refusal of this service has one shape."""

from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from flask import Flask, Response
from msgspec import Struct, field
from werkzeug.exceptions import HTTPException

from audit_events.binding import request_facts
from webapi.errors import (
    CODES,
    LOOK_FOR_ROUTES,
    RETRY_AFTER,
    InternalError,
    ParameterProblem,
    ParametersError,
    ProblemError,
)

PROBLEM_TYPE: Final = "application/problem+json"
URN: Final = "urn:indelible:problem:"

_log = structlog.get_logger("webapi")


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error; `code` is what a client may rely on."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = field(default=None, name="requestId")
    errors: tuple[ParameterProblem, ...] | None = None


def problem_of(error: ProblemError) -> Problem:
    """Return the body that tells about an error, with the id of the request that it answers."""
    status, title = CODES[error.code]
    return Problem(
        type=URN + error.code,
        title=title,
        status=status,
        detail=_detail(error),
        code=error.code,
        request_id=_request_id(),
        errors=error.problems if isinstance(error, ParametersError) else None,
    )


def respond(error: ProblemError) -> Response:
    """Return the whole answer, with the headers that the error carries."""
    response = Response(msgspec.json.encode(problem_of(error)), error.status, mimetype=PROBLEM_TYPE)
    response.headers.update(error.headers)
    return response


def install(app: Flask) -> None:
    """Make `app` answer every error so; what nobody foresaw is logged, and told as a 500."""
    app.register_error_handler(ProblemError, _refused)
    app.register_error_handler(HTTPException, _of_the_framework)
    app.register_error_handler(Exception, _unforeseen)


def note(error: ProblemError) -> None:
    """Tell the log what is ours to mend; what a caller did wrong is told to the caller alone."""
    if isinstance(error, InternalError):
        _log.error("answer refused", cause=error.cause, request_id=_request_id())
    elif error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = str(error.__cause__ or error.detail)
        _log.warning("not answered", code=error.code, cause=cause, request_id=_request_id())


def _refused(error: ProblemError) -> Response:
    note(error)
    return respond(error)


def _of_the_framework(error: HTTPException) -> Response:
    headers: dict[str, str] = {}
    if error.code == HTTPStatus.NOT_FOUND:
        refusal = ProblemError("route_not_found", LOOK_FOR_ROUTES)
    elif error.code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = sorted(getattr(error, "valid_methods", None) or ["GET", "HEAD"])
        headers["Allow"] = ", ".join(allowed)
        refusal = ProblemError("method_not_allowed", "events are read, never written, here")
    elif error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        refusal = ProblemError("request_malformed", "the request cannot be read")
    else:
        return _unforeseen(error)
    response = respond(refusal)
    response.headers.update(headers)
    return response


def _unforeseen(error: Exception) -> Response:
    _log.error("unforeseen", exc_info=error, request_id=_request_id())
    return respond(InternalError(type(error).__name__))


def _detail(error: ProblemError) -> str:
    """Say when to come again too: who reads a body, as of curl, sees none of its headers."""
    seconds = error.headers.get(RETRY_AFTER)
    if seconds is None:
        return error.detail
    return f"{error.detail}; try again in {seconds} second{'' if seconds == '1' else 's'}"


def _request_id() -> str | None:
    facts = request_facts()
    return None if facts is None else facts.correlation_id
