"""Django with its own users, sessions and database: a program that visits a coroutine once.

The files beside it, `middleware.py` and `views.py`, are what docs/applications.md shows.
"""
# Django ships no types.
# mypy: disable-error-code="import-untyped, import-not-found"
# pyright: reportMissingTypeStubs=false, reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportAttributeAccessIssue=false, reportArgumentType=false

import asyncio

import django
import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path

import audit_events
from audit_events.integrations.asgi import AuditMiddleware

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "users.sqlite"}},
    INSTALLED_APPS=[f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "middleware.bind_actor",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",  # noqa: S106  # signs nothing that counts
)
django.setup()

import views  # noqa: E402  # it may need Django
from django.contrib.auth.models import User  # noqa: E402  # it needs `setup()`
from django.test import Client  # noqa: E402  # as above

log = audit_events.configure("audit.log", service="members", heartbeat_seconds=None)


async def patch_member(request: HttpRequest, member_id: str) -> HttpResponse:
    """The view of the page, and the event that it leaves to its reader."""
    await views.patch_member(request, member_id)
    log.info("member.removed", target_user={"id": member_id})
    return HttpResponse("done")


urlpatterns = [path("members/<member_id>", patch_member)]


def sign_in() -> dict[str, str]:
    """Return the cookies of a user who is in the database, and nowhere else."""
    call_command("migrate", verbosity=0)
    User.organization_id = "org_acme"
    client = Client()
    client.force_login(User.objects.create(username="ana"))
    return {name: morsel.value for name, morsel in client.cookies.items()}


async def visit(cookies: dict[str, str]) -> None:
    """Ask once, as a browser would."""
    transport = httpx.ASGITransport(AuditMiddleware(get_asgi_application()))
    base = "http://members.example"
    async with httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as client:
        answer = await client.patch("/members/u_ben")
    assert answer.text == "done", answer.text


if __name__ == "__main__":
    asyncio.run(visit(sign_in()))
