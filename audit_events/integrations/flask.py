"""Flask: every event of a request says who, from where, with what.

init_app(app, actor=lambda: {"type": "user", "id": g.user.id}, organization_id=lambda: g.user.org)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from flask import Flask

from audit_events.binding import check_callable
from audit_events.integrations.wsgi import AuditMiddleware
from audit_events.request import CorrelationHeader, TrustedProxies

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from audit_events.binding import ActorGiven, OrganizationGiven

Given = TypeVar("Given")


def init_app(
    app: Flask,
    *,
    actor: "Callable[[], ActorGiven | None] | None" = None,
    organization_id: "Callable[[], OrganizationGiven | None] | None" = None,
    trusted_proxies: int | TrustedProxies = 0,
    correlation_header: CorrelationHeader | None = "x-request-id",
) -> None:
    """Bind what the events of each request have in common.

    Args:
        app: the application; whatever wraps its `wsgi_app` later stands in front of this.
        actor: who acts, asked inside the request at its first event; None: nobody yet.
        organization_id: where, asked alike.
        trusted_proxies: how many proxies of ours stand in front, or `TrustedProxies`.
        correlation_header: `x-request-id`, `traceparent`, or None for a fresh id each time.

    Raises:
        ParameterError: one of them cannot be meant; it is named.
    """
    check_callable("actor", actor)
    check_callable("organization_id", organization_id)
    app.wsgi_app = AuditMiddleware(  # type: ignore[method-assign]  # as Flask documents it
        app.wsgi_app,
        actor=_without_environ(actor),
        organization_id=_without_environ(organization_id),
        trusted_proxies=trusted_proxies,
        correlation_header=correlation_header,
    )


def _without_environ(
    provider: Callable[[], Given] | None,
) -> "Callable[[WSGIEnvironment], Given] | None":
    return None if provider is None else lambda _: provider()
