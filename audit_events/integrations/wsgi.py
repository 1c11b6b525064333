"""WSGI (PEP 3333): every event of a request says who, from where, with what.

    application = AuditMiddleware(application, actor=lambda environ: environ.get("members.actor"))

It is bound until the server closes the response, so while a streamed body is made, too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Final

from audit_events.binding import BoundRequest, begin_request, check_callable
from audit_events.request import (
    CorrelationHeader,
    RequestFacts,
    RequestSettings,
    TrustedProxies,
    check_settings,
    read_request,
)

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from audit_events.binding import ActorGiven, OrganizationGiven

ENVIRON_KEY: Final = "audit_events.request"
_HEADERS: Final = {
    name: "HTTP_" + name.upper().replace("-", "_")
    for name in ("forwarded", "traceparent", "user-agent", "x-forwarded-for", "x-request-id")
}


class AuditMiddleware:
    """Binds what the events of a request have in common.

    Args:
        app: the WSGI application.
        actor: who acts, asked with the request's environ at its first event; None: nobody yet.
        organization_id: where, asked alike.
        trusted_proxies: how many proxies of ours stand in front, or `TrustedProxies`.
        correlation_header: `x-request-id`, `traceparent`, or None for a fresh id each time.

    Raises:
        ParameterError: one of them cannot be meant; it is named.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        actor: "Callable[[WSGIEnvironment], ActorGiven | None] | None" = None,
        organization_id: "Callable[[WSGIEnvironment], OrganizationGiven | None] | None" = None,
        trusted_proxies: int | TrustedProxies = 0,
        correlation_header: CorrelationHeader | None = "x-request-id",
    ) -> None:
        check_callable("actor", actor)
        check_callable("organization_id", organization_id)
        self._app = app
        self._providers = {"actor": actor, "organization_id": organization_id}
        self._settings = check_settings(trusted_proxies, correlation_header)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Run the application in a context of this request's own.

        A server's thread runs one request after the other. Whatever they bind, in structlog's
        contextvars too, ends with that copy, whether they return, raise or stream.
        """
        context = copy_context()
        body = context.run(self._run, environ, start_response)
        wrapper = environ.get("wsgi.file_wrapper")  # a class, or as of uWSGI a function
        if isinstance(body, (list, tuple, wrapper) if isinstance(wrapper, type) else (list, tuple)):
            return body  # nothing of the application runs any more
        return BoundBody(context, body)

    def _run(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request: BoundRequest | None = environ.get(ENVIRON_KEY)
        if request is None:
            request = BoundRequest(_facts_of(environ, self._settings))
            environ[ENVIRON_KEY] = request
            begin_request(request)
        request.give(
            **{
                name: partial(provider, environ)
                for name, provider in self._providers.items()
                if provider is not None
            }
        )
        return self._app(environ, start_response)


class BoundBody:
    """A response body that is made in the context of its request."""

    def __init__(self, context: Context, body: Iterable[bytes]) -> None:
        self._context = context
        self._body = body
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._context.run(iter, self._body)
        return self._context.run(next, self._chunks)

    def close(self) -> None:
        """Close the application's own body, as PEP 3333 asks for."""
        close: Callable[[], object] | None = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def _facts_of(environ: "WSGIEnvironment", settings: RequestSettings) -> Callable[[], RequestFacts]:
    # Taken now: what stands behind may put another REMOTE_ADDR there.
    peer: str | None = environ.get("REMOTE_ADDR")
    headers: dict[str, str] = {name: environ.get(key, "") for name, key in _HEADERS.items()}
    return partial(read_request, peer, headers.__getitem__, settings)
