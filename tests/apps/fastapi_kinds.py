"""FastAPI: dependencies and views in threads, a middleware of its own that signs in."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Header, Request, Response

import audit_events
from audit_events.integrations.asgi import AuditMiddleware
from tests.apps.directory import User, change_role, find_user

app = FastAPI()
log = audit_events.configure("audit.log", service="members")


@app.middleware("http")
async def sign_in(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Bind the organisation where each request passes, in a task of its own."""
    user = find_user(request.headers["Authorization"])
    assert user
    audit_events.bind_organization(user.org)
    return await call_next(request)


app.add_middleware(AuditMiddleware, trusted_proxies=1)


def current_user(authorization: Annotated[str, Header()]) -> User:
    """Bind the actor in a thread of the pool, which has a copy of the request's context."""
    user = find_user(authorization)
    assert user
    audit_events.bind_actor({"type": "user", "id": user.id})
    return user


def record(member_id: str) -> None:
    """Record what the request did."""
    log.info(
        "member.role_changed", target_user={"id": member_id}, context={"new": {"role": "admin"}}
    )


@app.patch("/in_thread/{member_id}", dependencies=[Depends(current_user)])
def in_thread(member_id: str, role: str) -> None:
    """A view that runs in another thread than its dependency."""
    change_role(member_id, role)
    record(member_id)


@app.patch("/in_background/{member_id}", dependencies=[Depends(current_user)])
def in_background(member_id: str, role: str, tasks: BackgroundTasks) -> None:
    """A view whose work begins when the answer is sent."""
    change_role(member_id, role)
    tasks.add_task(record, member_id)
