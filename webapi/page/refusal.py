"""Refusals as pages: what is wrong, why, and where to go from here."""

from flask import Response, g

from webapi.errors import CODES, ProblemError
from webapi.page import document
from webapi.problems import note


def respond(error: ProblemError) -> Response:
    """Return the page that tells about an error, with the headers that it carries."""
    note(error)
    view = {"title": CODES[error.code].title, "detail": error.detail, "code": error.code}
    response = document.render("refusal.html", g.get("reader"), view, error.status)
    response.headers.update(error.headers)
    return response
