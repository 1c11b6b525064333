"""A template becomes a page: who reads it, where they are, and the headers that every page has."""

import gzip
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Final, cast

from flask import Flask, Response, render_template, request
from flask.blueprints import BlueprintSetupState
from jinja2 import StrictUndefined

from webapi.auth import Reader
from webapi.page import assets, moment, navigation, text

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing of other hosts: a name that is a script stays a name."""


COMPRESSION: Final = 5
MOST_NOISE_BYTES: Final = 96
FILTERS: Final[tuple[Callable[..., str], ...]] = (
    text.isolated,
    text.shortened,
    text.preformatted,
    moment.relative,
    moment.clock,
    moment.exact,
    moment.offset,
    moment.distance,
)


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
        modules=assets.modules(),
        utc=UTC,
    )
    response = _compressed(body) if request.accept_encodings.quality("gzip") > 0 else Response(body)
    response.status_code = status
    response.headers["Vary"] = "Accept-Encoding, Cookie"
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def _compressed(body: str) -> Response:
    # The length of what is compressed tells of what it repeats (BREACH): this makes it uncertain.
    noise = secrets.token_urlsafe(1 + secrets.randbelow(MOST_NOISE_BYTES))
    content = gzip.compress(f"{body}<!-- {noise} -->\n".encode(), COMPRESSION, mtime=0)
    response = Response(content)
    response.headers["Content-Encoding"] = "gzip"
    return response


def prepare(state: BlueprintSetupState) -> None:
    """Teach an application's templates what pages need."""
    app = cast("Flask", state.app)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    for function in FILTERS:
        app.add_template_filter(function)
