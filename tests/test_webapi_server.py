"""The API behind real gunicorn."""

import http.client
import socket
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from audit_events.chain import verify_chain
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.webapi_api import SETTINGS, store, token, write_events
from tests.webapi_process import ask, environment, log_lines, serving
from webapi import server
from webapi.audit_log import PATH
from webapi.log import hide_query
from webapi.server import gunicorn_options

GUNICORN = ("-m", "gunicorn", "-c", "python:webapi.gunicorn_settings", "webapi.wsgi:create()")


@pytest.mark.opensearch
@pytest.mark.slow
def test_the_whole_way_through_gunicorn(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e.log", [{"action": "app.created"}] * 3, "2026-03-15")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    (port,) = free_ports(1)
    trail, log = tmp_path / "viewed.log", tmp_path / "web.log"
    environ = environment(
        opensearch,
        index,
        tmp_path,
        INDELIBLE_WEB_PORT=str(port),
        INDELIBLE_WEB_AUDIT_PATH=str(trail),
    )
    url = f"http://127.0.0.1:{port}{PATH}"
    with serving(GUNICORN, environ, port, log) as process:
        status, headers, body = ask(f"{url}?limit=2", token())
        assert (status, headers["server"]) == (200, "indelible")
        assert headers["cache-control"] == "no-store"
        page = msgspec.json.decode(body, type=Events)
        assert [bytes(event) for event in page.events] == lines[:0:-1]
        assert ask(f"{url}?since=2026-03-15T00:00:01+00:00", token())[0] == 200
        assert ask(url)[1]["content-type"] == "application/problem+json"
        assert ask(f"{url}?q=%00", token())[0] == 400
        assert {ask(url, token())[0] for _ in range(20)} == {200}
        refuse_smuggling(port)
    assert process.returncode == 0
    seen = trail.read_bytes().splitlines()
    # Two questions, and one that is asked again and again: once by each worker.
    assert 3 <= len(seen) <= 4
    assert verify_chain(seen) == []
    said = " ".join(str(line["event"]) for line in log_lines(log))
    assert "Listening at" in said
    assert not [text for text in (PATH, "Jos") if text in said], "a request was logged"


def test_of_a_request_that_fails_on_its_way_the_query_is_not_logged() -> None:
    said = hide_query(None, "error", {"event": "Error handling request GET /x?q=ana&q=b\nc"})
    assert said == {"event": "Error handling request GET /x?…"}


class Events(msgspec.Struct):
    """A page, with its events as they are."""

    events: list[msgspec.Raw]


def refuse_smuggling(port: int) -> None:
    """Refuse what a proxy in front may read as another request (RFC 9112, section 6.3)."""
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
    attacks = [
        smuggled + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        smuggled + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        smuggled + b"X-A: a\x00b\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        # Not encoded, as sloppy clients send it: repeated in the log, but for its query.
        b"GET /?q=Jos\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    for attack in attacks:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        connection.sock.sendall(attack)
        answer = connection.sock.recv(65536)
        connection.close()
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 414")), answer[:200]
        assert b"Traceback" not in answer
    believe_no_path_of_a_proxy(port)


def believe_no_path_of_a_proxy(port: int) -> None:
    """A header that gunicorn takes from 127.0.0.1 must not lead past what a proxy checked."""
    for name, path in (("PATH_INFO", "/nothing"), ("SCRIPT_NAME", "/x/healthz")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path, headers={name: "/healthz" if path == "/nothing" else "/x"})
        assert connection.getresponse().status == 404, name
        connection.close()


@pytest.mark.slow
def test_a_client_that_falls_silent_holds_no_thread_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "CLIENT_SILENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arbiter = SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listener)])
        gunicorn_options(SETTINGS)["when_ready"](arbiter)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                # As gunicorn has it: without a limit of Python's own.
                accepted.settimeout(None)
                with pytest.raises(BlockingIOError):
                    accepted.recv(1)
                with pytest.raises(BlockingIOError):
                    accepted.sendall(b"x" * (64 << 20))


def test_an_address_of_version_six_is_bound_in_brackets() -> None:
    settings = msgspec.structs.replace(SETTINGS, host="::1", port=9)
    assert gunicorn_options(settings)["bind"] == "[::1]:9"


def test_each_worker_makes_its_own_application() -> None:
    """Preloaded, all workers would share one source of `audit_log.viewed`, and its connections."""
    assert gunicorn_options(SETTINGS)["preload_app"] is False
