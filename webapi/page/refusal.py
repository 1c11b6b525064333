"""Refusals as pages: what is wrong, why, and where to go from here."""

from typing import cast

from flask import Response, g, request

from webapi.auth import Reader
from webapi.errors import CODES, RETRY_AFTER, LimitError, ProblemError
from webapi.page import document
from webapi.problems import note


def respond(error: ProblemError) -> Response:
    """Return the page that tells about an error, with the headers that it carries."""
    note(error)
    view = {
        "title": CODES[error.code].title,
        "detail": error.detail,
        "code": error.code,
        "again_seconds": error.headers.get(RETRY_AFTER),
        "again": request.full_path.removesuffix("?") if request.method == "GET" else None,
    }
    response = document.render("refusal.html", _reader(error), view, error.status)
    response.headers.update(error.headers)
    return response


def _reader(error: ProblemError) -> Reader | None:
    viewer = g.get("viewer")
    # Who asks too often may read, only not now: requests are counted behind all other checks.
    if isinstance(error, LimitError) and viewer is not None:
        return cast("Reader", viewer.reader)
    return cast("Reader | None", g.get("reader"))
