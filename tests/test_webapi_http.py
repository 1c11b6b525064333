"""What every answer has, whatever was asked: shape, headers, and nothing of the inside."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from opensearchpy import OpenSearch
from structlog.testing import capture_logs

from audit_events import EventError
from indexer.client import connect
from indexer.errors import SettingsError
from indexer.settings import ConnectionSettings, IndexSettings
from tests.faults import UNREACHABLE, Faults, connect_through
from tests.webapi_api import SETTINGS, Api, problem, token
from webapi import create_app
from webapi.audit_log import PATH
from webapi.settings import WebSettings
from webapi.sign_in.destination import HOME

INDEX = IndexSettings(prefix="audit-tnone")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@pytest.fixture
def nowhere() -> Iterator[OpenSearch]:
    """A client of a cluster that is down: the port is bound and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(ConnectionSettings(url=url), role="reader") as client:
            yield client


@pytest.fixture
def silent() -> Iterator[OpenSearch]:
    """A client of a cluster that takes the question and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = ConnectionSettings(
            url=f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=0.2
        )
        with connect(settings, role="reader") as client:
            yield client


@pytest.fixture
def api(nowhere: OpenSearch) -> Api:
    return Api(nowhere, INDEX)


def test_where_nothing_is_the_answer_says_where_to_look(api: Api) -> None:
    response = api.client.get("/audit-log")
    assert response.json is not None
    assert "/docs" in response.json["detail"]
    assert api.client.get("/docs").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{PATH}/", 404, "route_not_found"),
        ("GET", f"/{PATH}", 404, "route_not_found"),
        ("GET", PATH.replace("/rbac", "//rbac"), 404, "route_not_found"),
        ("GET", f"{PATH}//actions", 404, "route_not_found"),
        ("GET", f"{PATH}/a/b", 404, "route_not_found"),
        ("GET", "/static/x", 404, "route_not_found"),
        ("POST", PATH, 405, "method_not_allowed"),
        ("DELETE", f"{PATH}/x", 405, "method_not_allowed"),
        ("OPTIONS", PATH, 405, "method_not_allowed"),
        ("TRACE", PATH, 405, "method_not_allowed"),
        ("GET", PATH, 401, "token_missing"),
        ("GET", f"{PATH}/actions", 401, "token_missing"),
        ("GET", f"{PATH}/x", 401, "token_missing"),
        ("HEAD", PATH, 401, "token_missing"),
    ],
)
def test_every_refusal_has_one_shape(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    response = api.client.open(path, method=method)
    if method != "HEAD":
        problem(response, status, code)
    assert response.status_code == status
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert "Server" not in response.headers
    assert response.headers.get("Allow") == ("GET, HEAD" if status == 405 else None)
    challenge = response.headers.get("WWW-Authenticate", "")
    assert challenge.startswith("Bearer") == (status == 401)


def test_who_opens_the_server_comes_to_the_list(api: Api) -> None:
    response = api.client.get("/")
    assert (response.status_code, response.headers["Location"]) == (303, HOME)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", f"{PATH}/actions"])
def test_what_is_answered_is_protected_as_well(api: Api, path: str) -> None:
    response = api.get(path=path)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_a_head_request_is_answered_without_a_body(api: Api) -> None:
    response = api.client.head("/healthz")
    assert (response.status_code, response.data) == (200, b"")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "CONNECT", "PROPFIND", "QUERY"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/actions", "/healthz", "/readyz"])
def test_a_good_token_does_not_make_anything_writable(api: Api, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {token()}", "X-HTTP-Method-Override": "GET"}
    problem(api.client.open(path, method=method, headers=headers), 405, "method_not_allowed")


def test_what_an_address_takes_is_said_where_curl_shows_it(api: Api) -> None:
    refused = problem(api.client.put(f"{PATH}/tokens"), 405, "method_not_allowed")
    assert refused["detail"] == "it takes GET or HEAD or POST"


def test_a_query_string_that_is_not_utf8_is_refused(api: Api) -> None:
    problem(api.get("q=%FF"), 400, "request_malformed")


def test_a_cluster_that_is_down_is_told_so_and_when_to_ask_again(api: Api) -> None:
    for path in (PATH, f"{PATH}/01a209c8-3fec-704d-9ea0-6979ad24323e", "/readyz"):
        response = api.get(path=path)
        problem(response, 503, "storage_unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in response.text


def test_a_cluster_that_does_not_answer_in_time_is_told_so(silent: OpenSearch) -> None:
    response = Api(silent, INDEX).get()
    problem(response, 504, "storage_timeout")
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("status", [301, 302, 400, 404])
def test_whatever_answers_in_the_stores_place_is_not_ready(status: int) -> None:
    script = Faults(lambda *_: lambda _send, _body: (status, {}, "<html>"))
    with connect_through(UNREACHABLE, script) as client:
        code = "not_ready" if status == 404 else "storage_unavailable"
        problem(Api(client, INDEX).get(path="/readyz"), 503, code)


@pytest.mark.parametrize(
    ("template", "search", "ready"), [(401, 401, False), (403, 403, False), (403, 200, True)]
)
def test_a_cluster_that_refuses_the_reader_is_not_ready(
    template: int, search: int, *, ready: bool
) -> None:
    """A password that was changed, a role that was taken away: every question is a 500 then."""
    script = Faults(
        lambda _method, path, _body: (
            lambda *_: (template if "template" in path else search, {}, "{}")
        )
    )
    with connect_through(UNREACHABLE, script) as client:
        response = Api(client, INDEX).get(path="/readyz")
    if ready:
        assert response.get_json()["template"] == "unknown"
    else:
        assert "password" in str(problem(response, 503, "not_ready")["detail"])


def test_the_process_lives_without_a_cluster(api: Api) -> None:
    assert api.get(path="/healthz", bearer=None).get_json() == {"status": "alive"}


def test_what_nobody_foresaw_is_logged_and_not_shown(nowhere: OpenSearch) -> None:
    app = create_app(SETTINGS, client=nowhere, index=INDEX)
    break_route(app)
    with capture_logs() as logs:
        response = app.test_client().get("/healthz")
    body = problem(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert "detail" in body
    assert logs[0]["log_level"] == "error"


def break_route(app: Flask) -> None:
    def fail() -> str:
        raise ValueError("password is hunter2")

    app.view_functions["health.healthz"] = fail


def test_settings_that_do_not_fit_are_refused_at_once(nowhere: OpenSearch) -> None:
    with pytest.raises(SettingsError, match="jwt_secret"):
        create_app(WebSettings(), client=nowhere, index=INDEX)


def test_an_audit_file_that_cannot_be_written_is_refused_at_start(
    nowhere: OpenSearch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = WebSettings(jwt_secret=SETTINGS.jwt_secret, audit_path=str(tmp_path / "file" / "x"))
    with pytest.raises(Exception, match="cannot open") as caught:
        create_app(settings, client=nowhere, index=INDEX)
    assert not isinstance(caught.value, EventError)


def test_a_token_is_asked_for_before_anything_else_is_looked_at(api: Api) -> None:
    problem(api.get("limit=0&foo=1", bearer=None), 401, "token_missing")
    problem(api.get("limit=0&foo=1", bearer=token(role="member")), 403, "role_not_allowed")
