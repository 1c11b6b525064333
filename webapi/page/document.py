"""A template becomes a page: who reads it, where they are, and the headers that every page has."""

from collections.abc import Mapping
from datetime import UTC
from typing import Final

from flask import Flask, Response, render_template, request
from flask.blueprints import BlueprintSetupState
from jinja2 import StrictUndefined

from webapi.auth import Reader
from webapi.page import assets, moment, navigation, text

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing of other hosts: a name that is a script stays a name."""


def render(
    template: str, reader: Reader | None, view: Mapping[str, object], status: int = 200
) -> Response:
    """Return the page that a template makes of a view.

    Args:
        template: extends `layout.html`.
        reader: who looks at it; None where that is not known.
        view: the names that the template uses besides those of the layout.
        status: of the answer.
    """
    body = render_template(
        template,
        **view,
        reader=reader,
        navigation=navigation.links(reader, request.endpoint),
        asset=assets.address,
    )
    response = Response(body, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def prepare(state: BlueprintSetupState) -> None:
    """Teach an application's templates what pages need."""
    app: Flask = state.app
    environment = app.jinja_env
    environment.undefined = StrictUndefined
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    environment.globals["utc"] = UTC
    environment.filters.update(
        isolated=text.isolated,
        shortened=text.shortened,
        preformatted=text.preformatted,
        relative=moment.relative,
        clock=moment.clock,
        offset=moment.offset,
        distance=moment.distance,
        duration=moment.duration,
    )
