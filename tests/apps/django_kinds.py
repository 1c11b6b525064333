"""Django, as ASGI and as WSGI application: who is signed in is known to a middleware."""
# Django ships no types.
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportArgumentType=false, reportIndexIssue=false

from collections.abc import Awaitable, Callable

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

import audit_events
from audit_events.integrations import asgi, wsgi
from tests.apps.directory import change_role, change_role_async, find_user

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[f"{__name__}.bind_actor"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",  # noqa: S106  # signs nothing
)
django.setup()
log = audit_events.configure("audit.log", service="members")


def bind_actor(get_response: Callable[[HttpRequest], HttpResponse]) -> object:
    """Middleware that says who acts, as soon as an event asks."""

    def middleware(request: HttpRequest) -> HttpResponse:
        user = find_user(request.headers["Authorization"])
        assert user
        audit_events.bind_actor(
            lambda: {"type": "user", "id": user.id}, organization_id=lambda: user.org
        )
        return get_response(request)

    return middleware


def record(member_id: str) -> None:
    """Record what the request did."""
    log.info(
        "member.role_changed", target_user={"id": member_id}, context={"new": {"role": "admin"}}
    )


def in_thread(_request: HttpRequest, member_id: str) -> HttpResponse:
    """A view that Django runs in a thread."""
    change_role(member_id, "admin")
    record(member_id)
    return HttpResponse("done")


def in_turn(_request: HttpRequest, member_id: str) -> HttpResponse:
    """A view as Django runs all that are no coroutines under ASGI: in one thread."""
    record(member_id)
    return HttpResponse("done")


async def in_loop(_request: HttpRequest, member_id: str) -> HttpResponse:
    """A view that is a coroutine."""
    await change_role_async(member_id, "admin")
    record(member_id)
    return HttpResponse("done")


View = Callable[..., HttpResponse | Awaitable[HttpResponse]]
views: list[View] = [in_thread, in_turn, in_loop]
urlpatterns = [path(f"{view.__name__}/<member_id>", view) for view in views]

asgi_app = asgi.AuditMiddleware(get_asgi_application(), trusted_proxies=1)
wsgi_app = wsgi.AuditMiddleware(get_wsgi_application(), trusted_proxies=1)
