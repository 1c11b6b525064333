"""Starlette: every kind of view, behind one proxy; who is signed in is known to an inner layer."""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import override

import audit_events
from audit_events.integrations.asgi import AuditMiddleware, Scope
from tests.apps.directory import change_role, change_role_async

log = audit_events.configure("audit.log", service="members")


class Tokens(AuthenticationBackend):
    """Knows whose token it is."""

    @override
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        return AuthCredentials(), SimpleUser(conn.headers["Authorization"])


def record(request: Request) -> None:
    """Record what the request did."""
    target = {"id": request.path_params["member_id"]}
    log.info("member.role_changed", target_user=target, context={"new": {"role": "admin"}})


def in_thread(request: Request) -> Response:
    """A view that Starlette runs in a thread of its pool."""
    change_role("member", "admin")
    record(request)
    return PlainTextResponse("done")


async def in_loop(request: Request) -> Response:
    """A view that other views interleave with."""
    await change_role_async("member", "admin")
    record(request)
    return PlainTextResponse("done")


async def in_task(request: Request) -> Response:
    """A view that lets a task and a thread work for it."""

    async def work() -> None:
        await change_role_async("member", "admin")
        await run_in_threadpool(record, request)

    await asyncio.create_task(work())
    return PlainTextResponse("done")


async def in_background(request: Request) -> Response:
    """A view whose work begins when the answer is sent."""

    async def work() -> None:
        await change_role_async("member", "admin")
        record(request)

    return PlainTextResponse("done", background=BackgroundTask(work))


async def in_stream(request: Request) -> Response:
    """A view that works while its answer is sent."""

    async def body() -> AsyncIterator[str]:
        yield "begun "
        await change_role_async("member", "admin")
        record(request)
        yield "done"

    return StreamingResponse(body())


def actor_of(scope: Scope) -> dict[str, str]:
    """Say who acts."""
    return {"type": "user", "id": scope["user"].username.partition(".")[0]}


def organization_of(scope: Scope) -> str:
    """Say where."""
    organization: str = scope["user"].username.partition(".")[2]
    return organization


app = Starlette(
    routes=[
        Route(f"/{view.__name__}/{{member_id}}", view, methods=["PATCH"])
        for view in (in_thread, in_loop, in_task, in_background, in_stream)
    ],
    middleware=[
        Middleware(
            AuditMiddleware, actor=actor_of, organization_id=organization_of, trusted_proxies=1
        ),
        Middleware(AuthenticationMiddleware, backend=Tokens()),
    ],
)
