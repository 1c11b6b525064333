"""Errors as RFC 9457 answers: every refusal of this service has one shape.

Only whoever opens an address that is none in a browser gets a page, as nobody reads JSON there.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from flask import Flask, Response, request
from msgspec import Struct, field
from werkzeug.exceptions import HTTPException

from webapi.errors import (
    CODES,
    LOOK_FOR_ROUTES,
    RETRY_AFTER,
    ROUTING_CODES,
    InternalError,
    ParameterProblem,
    ParametersError,
    ProblemError,
)
from webapi.observation import request_id

PROBLEM_TYPE: Final = "application/problem+json"
URN: Final = "urn:indelible:problem:"
HTML: Final = "text/html"

Show = Callable[[ProblemError], Response]
"""Tells about an error by a page."""

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
        request_id=request_id(),
        errors=error.problems if isinstance(error, ParametersError) else None,
    )


def respond(error: ProblemError) -> Response:
    """Return the whole answer, with the headers that the error carries."""
    response = Response(msgspec.json.encode(problem_of(error)), error.status, mimetype=PROBLEM_TYPE)
    response.headers.update(error.headers)
    return response


def install(app: Flask, show: Show) -> None:
    """Make `app` answer every error so; what nobody foresaw is logged, and told as a 500.

    Args:
        app: to answer.
        show: makes the page of whoever opens in a browser what is no address.
    """
    app.register_error_handler(ProblemError, partial(_refused, show))
    app.register_error_handler(HTTPException, partial(_of_the_framework, show))
    app.register_error_handler(Exception, _unforeseen)


def note(error: ProblemError) -> None:
    """Tell the log what is ours to mend; what a caller did wrong is told to the caller alone."""
    if isinstance(error, InternalError):
        _log.error("answer refused", cause=error.cause, request_id=request_id())
    elif error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = str(error.__cause__ or error.detail)
        _log.warning("not answered", code=error.code, cause=cause, request_id=request_id())


def _prefers_page() -> bool:
    """Whether the request is a browser's; a client that takes anything gets a problem."""
    return request.accept_mimetypes.best_match([PROBLEM_TYPE, HTML]) == HTML


def _refused(show: Show, error: ProblemError) -> Response:
    note(error)
    if error.code not in ROUTING_CODES:
        return respond(error)
    response = show(error) if _prefers_page() else respond(error)
    response.vary.add("Accept")
    return response


def _of_the_framework(show: Show, error: HTTPException) -> Response:
    headers: dict[str, str] = {}
    if error.code == HTTPStatus.NOT_FOUND:
        refusal = ProblemError("route_not_found", LOOK_FOR_ROUTES)
    elif error.code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = sorted(getattr(error, "valid_methods", None) or ["GET", "HEAD"])
        headers["Allow"] = ", ".join(allowed)
        refusal = ProblemError("method_not_allowed", f"it takes {' or '.join(allowed)}")
    elif error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        refusal = ProblemError("request_malformed", "the request cannot be read")
    else:
        return _unforeseen(error)
    response = _refused(show, refusal)
    response.headers.update(headers)
    return response


def _unforeseen(error: Exception) -> Response:
    _log.error("unforeseen", exc_info=error, request_id=request_id())
    return respond(InternalError(type(error).__name__))


def _detail(error: ProblemError) -> str:
    """Say when to come again too: who reads a body, as of curl, sees none of its headers."""
    seconds = error.headers.get(RETRY_AFTER)
    if seconds is None:
        return error.detail
    return f"{error.detail}; try again in {seconds} second{'' if seconds == '1' else 's'}"
