"""WSGI and Flask: bound from the begin of a request until its response is closed, never longer."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
import structlog
from flask import Flask, g
from structlog.typing import FilteringBoundLogger
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

import audit_events
from audit_events.binding import bound_fields, current_request
from audit_events.errors import EventError, ParameterError
from audit_events.integrations.flask import init_app
from audit_events.integrations.wsgi import AuditMiddleware
from tests.written import read_events

ANA = {"type": "user", "id": "u_ana"}
Body = Callable[[WSGIEnvironment], Iterable[bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def log(path: Path) -> FilteringBoundLogger:
    return audit_events.open_log(path, service="members")


def application(body: Body) -> WSGIApplication:
    def run(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body(environ)

    return run


def client(body: Body, **settings: Any) -> Client:
    """A client of the middleware, between two judges of what PEP 3333 says."""
    return Client(validator(AuditMiddleware(validator(application(body)), **settings)))


def ask(client: Client, **headers: str) -> bytes:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    with client.get("/", headers=named, environ_base={"REMOTE_ADDR": "203.0.113.7"}) as answer:
        return bytes(answer.data)


def test_a_streamed_body_is_part_of_its_request(log: FilteringBoundLogger, path: Path) -> None:
    closed: list[object] = []

    def body(_: WSGIEnvironment) -> Iterator[bytes]:
        try:
            yield b"begun "
            log.info("member.exported")
            yield b"done"
        finally:
            closed.append(bound_fields()["actor"])

    streaming = client(body, actor=lambda _: ANA, organization_id=lambda _: "org_acme")
    assert ask(streaming) == b"begun done"
    assert [event.actor.id for event in read_events(path)] == ["u_ana"]
    assert closed == [ANA]
    assert bound_fields() == {}


def test_who_acts_is_asked_with_the_environ_as_the_application_left_it(
    log: FilteringBoundLogger, path: Path
) -> None:
    def body(environ: WSGIEnvironment) -> list[bytes]:
        environ["REMOTE_USER"] = "ana"
        environ["REMOTE_ADDR"] = "192.0.2.1"
        log.info("member.invited", organization_id="org_acme")
        return [b"done"]

    ask(client(body, actor=lambda environ: {"type": "user", "id": environ["REMOTE_USER"]}))
    assert [(one.actor.id, one.ip_address) for one in read_events(path)] == [("ana", "203.0.113.7")]


def test_what_a_request_binds_is_gone_for_the_next_of_its_thread() -> None:
    seen: list[dict[str, object]] = []

    def body(_: WSGIEnvironment) -> list[bytes]:
        seen.append(bound_fields())
        structlog.contextvars.bind_contextvars(actor=ANA, unrelated=1)
        audit_events.bind_organization("org_acme")
        if len(seen) == 2:
            raise LookupError
        return [b"done"]

    one = client(body, correlation_header=None)
    ask(one)
    with pytest.raises(LookupError):
        ask(one)
    ask(one)
    assert [sorted(fields) for fields in seen] == [["correlation_id", "ip_address"]] * 3
    assert len({fields["correlation_id"] for fields in seen}) == 3
    assert structlog.contextvars.get_contextvars() == {}
    assert current_request.get() is None


def test_what_a_job_bound_in_a_thread_acts_for_no_request_of_it() -> None:
    seen: list[dict[str, object]] = []

    def body(_: WSGIEnvironment) -> list[bytes]:
        seen.append({**bound_fields(), **structlog.contextvars.get_contextvars()})
        return [b"done"]

    with structlog.contextvars.bound_contextvars(actor=ANA, correlation_id="job-1", unrelated=1):
        ask(client(body))
        assert bound_fields() == {"actor": ANA, "correlation_id": "job-1"}
    (fields,) = seen
    assert sorted(fields) == ["correlation_id", "ip_address", "unrelated"]
    assert fields["correlation_id"] != "job-1"


def test_a_body_that_is_there_is_passed_as_it_is() -> None:
    """A server tells its length by it, or sends a file without reading it."""
    whole = [b"done"]
    file = FileWrapper(open(__file__, "rb"))  # noqa: PTH123, SIM115  # closed below
    bodies: list[Iterable[bytes]] = [whole, file]
    middleware = AuditMiddleware(application(lambda environ: bodies[environ["body"]]))
    for place, body in enumerate(bodies):
        environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper, "body": place}
        assert middleware(environ, lambda *_: lambda _: None) is body
    file.close()


def test_a_server_s_file_wrapper_may_be_a_function() -> None:
    """PEP 3333 asks for a callable; with that of uWSGI every request was an error."""
    body = [b"done"]
    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": lambda file: file}
    assert AuditMiddleware(lambda *_: body)(environ, lambda *_: lambda _: None) is body
    streamed = AuditMiddleware(lambda *_: iter(body))(environ, lambda *_: lambda _: None)
    assert list(streamed) == body


def test_an_outer_middleware_knows_the_peer_and_an_inner_one_the_actor(
    log: FilteringBoundLogger, path: Path
) -> None:
    def body(environ: WSGIEnvironment) -> list[bytes]:
        log.info("member.invited", organization_id="org_acme")
        environ["seen"] = True
        return [b"done"]

    inner = AuditMiddleware(application(body), actor=lambda _: ANA)
    outer = Client(AuditMiddleware(inner, actor=lambda _: {"type": "system"}, trusted_proxies=1))
    ask(outer, X_Forwarded_For="198.51.100.66, 192.0.2.44", X_Request_Id="req-1")
    (event,) = read_events(path)
    assert (event.actor.id, event.ip_address) == ("u_ana", "192.0.2.44")
    assert (event.context, event.correlation_id) == ({"peerAddress": "203.0.113.7"}, "req-1")


@pytest.mark.parametrize("trusted_proxies", [0, 1])
def test_proxy_fix_in_front_has_the_same_word(
    trusted_proxies: int, log: FilteringBoundLogger, path: Path
) -> None:
    def body(_: WSGIEnvironment) -> list[bytes]:
        log.info("member.invited", organization_id="org_acme", actor=ANA)
        return [b"done"]

    middleware = AuditMiddleware(application(body), trusted_proxies=trusted_proxies)
    ask(Client(ProxyFix(middleware)), X_Forwarded_For="198.51.100.66, 192.0.2.44")
    assert read_events(path)[0].ip_address == "192.0.2.44"


@pytest.fixture
def app(path: Path) -> Flask:
    app = Flask(__name__)
    log = audit_events.open_log(path, service="members")

    @app.post("/invite")
    def invite() -> str:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        g.user = "u_ana"
        return str(log.info("member.invited"))

    @app.post("/wrong")
    def wrong() -> str:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        return str(log.info("member.invited"))

    return app


def test_flask_asks_inside_the_request(app: Flask, path: Path) -> None:
    init_app(app, actor=lambda: {"type": "user", "id": g.user}, organization_id=lambda: "org_acme")
    with app.test_client() as asking:
        assert asking.post("/invite", headers={"User-Agent": "curl"}).status_code == 200
        assert g.user == "u_ana"
    assert bound_fields() == {}
    (event,) = read_events(path)
    assert (event.actor.id, event.user_agent) == ("u_ana", "curl")
    assert event.ip_address == "127.0.0.1"


def test_who_cannot_be_told_fails_the_view_and_names_the_actor(app: Flask, path: Path) -> None:
    app.testing = True
    init_app(app, actor=lambda: {"type": "user", "id": g.user}, organization_id=lambda: "org_acme")
    with pytest.raises(EventError, match="actor: cannot be told, its callable raised Attribute"):
        app.test_client().post("/wrong")
    assert path.read_bytes() == b""


async def current_actor() -> dict[str, str]:
    return ANA


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        pytest.param({"actor": current_actor}, "actor", id="a coroutine function"),
        pytest.param({"actor": ANA}, "actor", id="an actor for everybody"),
        pytest.param({"organization_id": "org_acme"}, "organization_id", id="no callable"),
        pytest.param({"trusted_proxies": "1"}, "trusted_proxies", id="text for a number"),
        pytest.param({"correlation_header": "x"}, "correlation_header", id="another header"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_at_start(
    settings: dict[str, Any], parameter: str, app: Flask
) -> None:
    with pytest.raises(ParameterError) as caught:
        init_app(app, **settings)
    assert caught.value.parameter == parameter
