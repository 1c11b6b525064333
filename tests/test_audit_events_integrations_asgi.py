"""ASGI: what is no request passes untouched, and a WebSocket is one request."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from structlog.typing import FilteringBoundLogger

import audit_events
from audit_events.binding import bound_fields, current_request
from audit_events.errors import ParameterError
from audit_events.event import SOURCE_CLOSED, Event, decode_event
from audit_events.integrations.asgi import (
    Application,
    AuditMiddleware,
    Message,
    Receive,
    Scope,
    Send,
)
from audit_events.process_log import PROCESS_LOG

ANA = {"type": "user", "id": "u_ana"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def no_process_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS_LOG, "log", None)
    monkeypatch.setattr(PROCESS_LOG, "arguments", None)


@pytest.fixture
def log(path: Path) -> FilteringBoundLogger:
    return audit_events.open_log(path, service="members")


def events(path: Path) -> list[Event]:
    return [decode_event(line) for line in path.read_bytes().splitlines()]


async def receive() -> Message:
    return {"type": "http.request"}


async def send(_: Message) -> None:
    pass


def scope(**members: Any) -> Scope:
    return {"type": "http", "headers": [], "client": ("203.0.113.7", 1), **members}


def talk_to(app: Application, scope: Scope, received: Sequence[Message]) -> list[Message]:
    """Run an application on what it receives, and return what it sends."""
    sent: list[Message] = []
    messages = iter(received)

    async def receive() -> Message:
        return next(messages, {"type": "http.request"})

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # all are coroutines
    return sent


def test_an_application_is_taken_whatever_its_framework_calls_the_three() -> None:
    asked: list[str] = []

    async def djangos(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],  # noqa: ARG001  # of its type
        send: Callable[[Mapping[str, Any]], Awaitable[None]],  # noqa: ARG001
    ) -> None:
        asked.append(scope["type"])

    talk_to(AuditMiddleware(djangos), scope(), [])  # that it is taken is for mypy and pyright
    assert asked == ["http"]


def seen_by(scope: Scope, **settings: Any) -> dict[str, object]:
    seen: dict[str, object] = {}

    async def app(inner: Scope, _receive: Receive, _send: Send) -> None:
        inner["client"] = None
        seen.update(bound_fields())

    async def run() -> None:
        await AuditMiddleware(app, **settings)(scope, receive, send)
        assert current_request.get() is None

    asyncio.run(run())
    return seen


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, {"ip_address": "203.0.113.7"}, id="a peer"),
        pytest.param({"client": ["::1", 1]}, {"ip_address": "::1"}, id="a list"),
        pytest.param({"client": None}, {}, id="a Unix socket"),
        pytest.param({"client": ("testclient", 1)}, {}, id="a client of tests"),
        pytest.param(
            {"headers": [(b"user-agent", b"curl/8 \xff")]},
            {"ip_address": "203.0.113.7", "user_agent": "curl/8 ÿ"},
            id="bytes that are no UTF-8",
        ),
    ],
)
def test_a_request_is_read_from_its_scope(
    members: dict[str, Any], expected: dict[str, object]
) -> None:
    seen = seen_by(scope(**members))
    assert seen.pop("correlation_id")
    assert seen == expected


def test_what_a_job_bound_in_a_context_acts_for_no_request_of_it() -> None:
    async def run() -> None:
        audit_events.bind_actor(ANA, organization_id="org_acme")
        seen: dict[str, object] = {}

        async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
            seen.update(bound_fields())
            audit_events.bind_actor({"type": "system"})

        await AuditMiddleware(app)(scope(), receive, send)
        assert sorted(seen) == ["correlation_id", "ip_address"]
        assert bound_fields() == {"actor": ANA, "organization_id": "org_acme"}

    asyncio.run(run())


def test_lines_of_one_header_are_one_list() -> None:
    lines = [b"198.51.100.66", b"192.0.2.44, 10.0.0.1"]
    headers = [(b"x-forwarded-for", line) for line in lines]
    seen = seen_by(scope(headers=headers), trusted_proxies=2)
    assert (seen["ip_address"], seen["context"]) == ("192.0.2.44", {"peerAddress": "203.0.113.7"})


def test_what_is_no_request_passes_untouched() -> None:
    begun: list[object] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        begun.append(current_request.get())
        yield

    app = Starlette(lifespan=lifespan)
    app.add_middleware(AuditMiddleware, actor=lambda _: ANA)
    received = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = talk_to(app, {"type": "lifespan"}, received)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert begun == [None]


@pytest.mark.usefixtures("no_process_log")
def test_the_log_says_its_last_line_when_the_application_has_shut_down(path: Path) -> None:
    said: list[tuple[str, int]] = []
    log = audit_events.configure(path, service="members")

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        log.info("member.left", organization_id="org_acme", actor=ANA)
        await send({"type": "lifespan.shutdown.complete"})

    async def send(message: Message) -> None:
        said.append((message["type"], len(events(path))))

    asyncio.run(AuditMiddleware(app)({"type": "lifespan"}, receive, send))
    assert said == [("lifespan.startup.complete", 0), ("lifespan.shutdown.complete", 2)]
    assert [event.action for event in events(path)] == ["member.left", SOURCE_CLOSED]


@pytest.mark.usefixtures("no_process_log")
def test_a_last_line_that_cannot_be_written_stops_no_server(path: Path) -> None:
    log = audit_events.configure(path, service="members")
    log.info("member.left", organization_id="org_acme", actor=ANA)
    path.unlink()
    path.mkdir()
    app = Starlette()
    app.add_middleware(AuditMiddleware)
    received = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = talk_to(app, {"type": "lifespan"}, received)
    assert [message["type"] for message in sent][-1] == "lifespan.shutdown.complete"


def test_a_web_socket_is_one_request(log: FilteringBoundLogger, path: Path) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        audit_events.bind_actor(ANA, organization_id="org_acme")
        async for _ in socket.iter_text():
            log.info("member.invited")
            await socket.send_text("done")

    app = Starlette(routes=[WebSocketRoute("/", talk)])
    app.add_middleware(AuditMiddleware)
    text: Message = {"type": "websocket.receive", "text": "invite"}
    end: Message = {"type": "websocket.disconnect", "code": 1000}
    received = [{"type": "websocket.connect"}, text, text, end]
    headers = [(b"user-agent", b"curl")]
    talk_to(app, scope(type="websocket", path="/", headers=headers), received)
    first, second = events(path)
    assert first.correlation_id == second.correlation_id
    assert (first.actor.id, second.user_agent) == ("u_ana", "curl")


def test_an_application_within_another_keeps_the_request_and_names_its_own_actor() -> None:
    seen: list[dict[str, object]] = []

    def view(_: object) -> PlainTextResponse:
        seen.append(bound_fields())
        return PlainTextResponse("done")

    inner = AuditMiddleware(Starlette(routes=[Route("/", view)]), actor=lambda _: ANA)
    app = Starlette(routes=[Mount("/inner", inner), Route("/", view)])
    outer = AuditMiddleware(app, actor=lambda _: {"type": "system"})
    headers = [(b"x-request-id", b"req-1")]
    for path in ("/inner/", "/"):
        talk_to(outer, scope(path=path, method="GET", headers=headers), [])
    assert [fields["actor"] for fields in seen] == [ANA, {"type": "system"}]
    assert {fields["correlation_id"] for fields in seen} == {"req-1"}


def test_an_exception_ends_the_request_too() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError

    async def run() -> None:
        with pytest.raises(LookupError):
            await AuditMiddleware(app)(scope(), receive, send)
        assert current_request.get() is None

    asyncio.run(run())


async def current_actor(_: Scope) -> dict[str, str]:
    return ANA


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        pytest.param({"actor": current_actor}, "actor", id="a coroutine function"),
        pytest.param({"organization_id": "org_acme"}, "organization_id", id="no callable"),
        pytest.param({"trusted_proxies": 1.0}, "trusted_proxies", id="a float"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_at_start(
    settings: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        AuditMiddleware(Starlette(), **settings)
    assert caught.value.parameter == parameter
