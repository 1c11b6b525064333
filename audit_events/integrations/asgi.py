"""ASGI 3 (Starlette, FastAPI, Django): every event of a request says who, from where, with what.

    app.add_middleware(AuditMiddleware, actor=lambda scope: scope["state"].get("actor"))

A WebSocket is one request, from its handshake until it closes. What a request started (a
background task, `asyncio.create_task`, a thread with a copy of the context) keeps what was bound.

The end of `lifespan` is that of this process's source: uvicorn ends itself by the signal that it
was sent, which runs nothing at exit, so that each restart would look like a process that died.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from audit_events.binding import (
    Before,
    BoundRequest,
    begin_request,
    check_callable,
    end_request,
)
from audit_events.errors import SinkError
from audit_events.process_log import close
from audit_events.request import (
    CorrelationHeader,
    RequestFacts,
    RequestSettings,
    TrustedProxies,
    check_settings,
    read_request,
)

if TYPE_CHECKING:
    from audit_events.binding import ActorGiven, OrganizationGiven

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[..., Awaitable[None]]
"""Takes the three; each framework has types of its own for them (Django's scope is a `dict`)."""

SCOPE_KEY: Final = "audit_events.request"
_SHUT_DOWN: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


class AuditMiddleware:
    """Binds what the events of a request have in common.

    Args:
        app: the ASGI application.
        actor: who acts, asked with the request's scope at its first event; None: nobody yet.
        organization_id: where, asked alike.
        trusted_proxies: how many proxies of ours stand in front, or `TrustedProxies`.
        correlation_header: `x-request-id`, `traceparent`, or None for a fresh id each time.

    Raises:
        ParameterError: one of them cannot be meant; it is named.
    """

    def __init__(
        self,
        app: Application,
        *,
        actor: "Callable[[Scope], ActorGiven | None] | None" = None,
        organization_id: "Callable[[Scope], OrganizationGiven | None] | None" = None,
        trusted_proxies: int | TrustedProxies = 0,
        correlation_header: CorrelationHeader | None = "x-request-id",
    ) -> None:
        check_callable("actor", actor)
        check_callable("organization_id", organization_id)
        self._app = app
        self._providers = {"actor": actor, "organization_id": organization_id}
        self._settings = check_settings(trusted_proxies, correlation_header)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with this request bound; what is no request passes untouched."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _closing(send))
            return
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request: BoundRequest | None = scope.get(SCOPE_KEY)
        before: Before = []
        if request is None:
            request = scope[SCOPE_KEY] = BoundRequest(_facts_of(scope, self._settings))
            before = begin_request(request)
        request.give(
            **{
                name: partial(provider, scope)
                for name, provider in self._providers.items()
                if provider is not None
            }
        )
        try:
            await self._app(scope, receive, send)
        finally:
            end_request(before)


def _closing(send: Send) -> Send:
    """Return `send`, with the last line written before it says that the application has ended."""

    async def close_and_send(message: Message) -> None:
        if message["type"] in _SHUT_DOWN:
            # Nobody is left to be told: a missing last line is for its reader to tell.
            with suppress(SinkError):
                close()
        await send(message)

    return close_and_send


def _facts_of(scope: Scope, settings: RequestSettings) -> Callable[[], RequestFacts]:
    # Taken now: what stands behind may put another client there.
    client, headers = scope.get("client"), scope.get("headers", ())

    def header(name: str) -> str:
        wanted = name.encode()
        return b",".join(value for key, value in headers if key == wanted).decode("latin-1")

    return partial(read_request, client[0] if client else None, header, settings)
