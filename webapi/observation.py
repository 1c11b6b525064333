"""Each answer, as an operator sees it: a line in the log, numbers for the metrics, and an id.

The line has no query string and no body: filters hold names and addresses of people. Who read what
is told by `audit_log.viewed`, which carries the same id.
"""

import time
from typing import TYPE_CHECKING, Final

import structlog
from flask import Flask, Response, g, request

from audit_events.binding import request_facts
from webapi.metrics import LIMITED, REQUEST_SECONDS, REQUESTS, count, observe
from webapi.parts import parts

if TYPE_CHECKING:
    from webapi.auth import Reader

REQUEST_ID: Final = "X-Request-Id"
NO_ROUTE: Final = "(none)"
UNLOGGED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines every few seconds; they are counted, and logged when they fail."""
FAILURE: Final = 500

_log = structlog.get_logger("webapi")


def install(app: Flask) -> None:
    """Observe every answer of `app`."""
    app.before_request(_begin)
    app.after_request(_observe)


def request_id() -> str | None:
    """Return the id of this request: the client's `X-Request-Id` if it is sane, else a fresh one.

    None outside of a request.
    """
    facts = request_facts()
    return None if facts is None else facts.correlation_id


def _begin() -> None:
    g.began = time.perf_counter()


def _observe(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("began", time.perf_counter())
    route = NO_ROUTE if request.url_rule is None else request.url_rule.rule
    method = request.method if request.url_rule is not None else NO_ROUTE
    status = response.status_code
    told = {
        **count(REQUESTS, route, method, str(status)),
        **observe(REQUEST_SECONDS, seconds, route),
    }
    if status == 429:  # noqa: PLR2004  # of HTTP
        told |= count(LIMITED, g.get("limit_name", NO_ROUTE))
    parts().tallies.add(told)
    identity = request_id()
    if identity is not None:
        response.headers[REQUEST_ID] = identity
    if parts().settings.access_log and (route not in UNLOGGED or status >= FAILURE):
        _tell(route, method, status, seconds, identity)
    return response


def _tell(route: str, method: str, status: int, seconds: float, identity: str | None) -> None:
    who: Reader | None = g.get("reader")
    _log.info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
        request_id=identity,
        organization_id=None if who is None else who.organization_id,
    )
