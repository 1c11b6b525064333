"""Flask: every kind of view, behind one proxy."""

import asyncio
from collections.abc import Iterator

import structlog
from flask import Flask, Response, copy_current_request_context, g, request, stream_with_context

import audit_events
from audit_events.integrations.flask import init_app
from tests.apps.directory import change_role, find_user

app = Flask(__name__)
log = audit_events.configure("audit.log", service="members")
init_app(
    app,
    actor=lambda: {"type": "user", "id": g.user.id},
    organization_id=lambda: g.user.org,
    trusted_proxies=1,
)


@app.before_request
def sign_in() -> None:
    """Do what applications with structlog do at the begin of a request, and find out who asks."""
    structlog.contextvars.clear_contextvars()
    g.user = find_user(request.headers["Authorization"])


def record(member_id: str) -> None:
    """Record what the request did."""
    log.info(
        "member.role_changed", target_user={"id": member_id}, context={"new": {"role": "admin"}}
    )


@app.patch("/in_loop/<member_id>")
async def in_loop(member_id: str) -> str:
    """A view that is a coroutine."""
    await asyncio.to_thread(change_role, member_id, "admin")
    record(member_id)
    return "done"


@app.patch("/in_stream/<member_id>")
def in_stream(member_id: str) -> Response:
    """A view that works while its answer is sent."""

    def body() -> Iterator[str]:
        yield "begun "
        change_role(member_id, "admin")
        record(member_id)
        yield "done"

    return Response(stream_with_context(body()))


@app.patch("/in_nested/<member_id>")
def in_nested(member_id: str) -> str:
    """A view that pretends another request for a moment, as one does for `url_for`."""
    change_role(member_id, "admin")
    with app.test_request_context("/", headers={"User-Agent": "Nobody"}):
        record(member_id)
    return "done"


@app.patch("/in_thread/<member_id>")
def in_thread(member_id: str) -> str:
    """A view that lets a thread work for it."""

    @copy_current_request_context
    def work() -> None:
        record(member_id)

    change_role(member_id, "admin")
    asyncio.run(asyncio.to_thread(work))
    return "done"
