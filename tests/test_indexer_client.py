"""The client: who it is, and that every answer and every silence comes back as it was."""

import base64
import gzip
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from opensearchpy import OpenSearch
from typing_extensions import override

from indexer.archive import list_archived
from indexer.backoff import Backoff
from indexer.client import Reply, ask, connect, request
from indexer.control import Control, ControlDocument
from indexer.deletion import remove
from indexer.errors import ConnectionFileError, NoAnswerError, RefusedError
from indexer.exchange import BULK, Exchange, Failure
from indexer.figures import Figures
from indexer.mode import has_plugin
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from tests.throw_away_tls import make_authority

INDEX = IndexSettings()


class Recorder(BaseHTTPRequestHandler):
    """Answers with the status that the path asks for (`/503`), and keeps what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        server = self.server
        assert isinstance(server, RecordingServer)
        server.seen.append((self.headers.get("authorization", ""), body))
        server.connections.add(self.client_address[1])
        self.send_response(int(self.path.strip("/").partition("?")[0]))
        self.send_header("Retry-After", "7")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"<htm>")

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


class RecordingServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Recorder)
        self.seen: list[tuple[str, bytes]] = []
        self.connections: set[int] = set()


@contextmanager
def recorder() -> Generator[tuple[str, RecordingServer]]:
    with RecordingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 404, 413, 429, 503])
def test_any_status_comes_back_with_its_headers(status: int) -> None:
    with recorder() as (url, _), connect(ConnectionSettings(url=url), role="writer") as client:
        reply = ask(client, "POST", f"/{status}", body=b"\xff\n")
    assert (reply.status, reply.text, reply.headers["retry-after"]) == (status, "<htm>", "7")


@pytest.mark.parametrize("compress", [True, False])
def test_the_body_arrives_as_it_is(compress: bool) -> None:  # noqa: FBT001  # a table
    with recorder() as (url, server):
        settings = ConnectionSettings(url=url, http_compress=compress)
        with connect(settings, role="writer") as client:
            ask(client, "POST", "/200", body=b"\xff\x00\n" * 100)
            ask(client, "POST", "/200", body=[b"\xff\x00\n"] * 100)
    assert server.seen == [("", b"\xff\x00\n" * 100)] * 2
    assert len(server.connections) == 1


def test_the_connection_is_kept() -> None:
    with recorder() as (url, server):
        with connect(ConnectionSettings(url=url), role="writer") as client:
            for _ in range(5):
                ask(client, "POST", "/200", body=b"x")
        assert len(server.connections) == 1


GENERAL = {"username": "all", "password": Secret("general")}
OWN = {"writer_username": "w", "writer_password": Secret("wörter")}


@pytest.mark.parametrize(
    ("settings", "pair"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param(GENERAL, "all:general", id="the general user"),
        pytest.param({**GENERAL, **OWN}, "w:wörter", id="the role's own"),
        pytest.param(
            {"reader_username": "r", "reader_password": Secret("r")}, None, id="only another role's"
        ),
    ],
)
def test_a_role_has_its_own_credentials(settings: dict[str, object], pair: str | None) -> None:
    with recorder() as (url, server):
        connection = ConnectionSettings(url=url, **settings)  # type: ignore[arg-type]  # a table
        with connect(connection, role="writer") as client:
            ask(client, "POST", "/200", body=b"")
    expected = "" if pair is None else f"Basic {base64.b64encode(pair.encode()).decode()}"
    assert server.seen[0][0] == expected


def test_nobody_listening_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    settings = ConnectionSettings(url=f"http://127.0.0.1:{port}")
    with connect(settings, role="writer") as client, pytest.raises(NoAnswerError) as raised:
        ask(client, "POST", "/_bulk", body=b"secret line")
    assert str(raised.value) == f"no answer from http://127.0.0.1:{port}: Connection refused"
    assert raised.value.hint


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        pytest.param(b"", "the connection was closed without an answer", id="without a word"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "the answer was cut", id="cut"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xff",
            "the answer is no text",
            id="no text",
        ),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.2\r\n",
            "what answers there does not speak HTTP",
            id="another protocol",
        ),
    ],
)
def test_an_answer_that_is_none_is_no_answer(answer: bytes, cause: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                # All of it: what is unread when it is closed makes a reset of the end.
                asked = b""
                while not asked.endswith(b"\r\n\r\nx"):
                    asked += connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        settings = ConnectionSettings(url=f"http://127.0.0.1:{server.getsockname()[1]}")
        with connect(settings, role="writer") as client, pytest.raises(NoAnswerError) as raised:
            ask(client, "POST", "/_bulk", body=b"x")
        thread.join()
    assert str(raised.value) == f"no answer from {settings.url}: {cause}"


def test_a_slow_answer_ends_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = ConnectionSettings(url=url, timeout_seconds=0.1)
        with connect(settings, role="writer") as client, pytest.raises(NoAnswerError) as raised:
            ask(client, "POST", "/_bulk", body=b"x")
    assert str(raised.value) == f"no answer from {url}: timed out"


def test_a_name_that_nobody_has_is_said() -> None:
    settings = ConnectionSettings(url="http://opensearch.invalid:9200")
    with connect(settings, role="writer") as client, pytest.raises(NoAnswerError) as raised:
        ask(client, "POST", "/_bulk", body=b"x")
    assert ": its name cannot be resolved: " in str(raised.value)
    assert "Connection(" not in str(raised.value)


@contextmanager
def tls_server(context: ssl.SSLContext) -> Generator[str]:
    """One that shows its certificate once; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def disbelieve(context: ssl.SSLContext, ca_file: Path | None = None) -> NoAnswerError:
    """The error of a request to a server whose certificate is not believed."""
    with tls_server(context) as url:
        settings = ConnectionSettings(url=url, ca_file=ca_file)
        with connect(settings, role="writer") as client, pytest.raises(NoAnswerError) as raised:
            ask(client, "POST", "/_bulk", body=b"x")
    assert ": its certificate is not believed: " in str(raised.value)
    assert not raised.value.sent
    return raised.value


def test_a_certificate_that_is_not_believed_names_the_setting(tmp_path: Path) -> None:
    error = disbelieve(make_authority(tmp_path).server())
    assert "INDELIBLE_OPENSEARCH_CA_FILE" in error.hint
    assert "INDELIBLE_HOME" in error.hint


@pytest.mark.parametrize(
    ("days", "why"),
    [
        pytest.param((-9, -2), "certificate has expired", id="expired"),
        pytest.param((2, 9), "certificate is not yet valid", id="a clock that was set back"),
    ],
)
def test_a_certificate_at_the_wrong_time_sends_nobody_to_the_settings(
    tmp_path: Path, days: tuple[int, int], why: str
) -> None:
    authority = make_authority(tmp_path)
    context = authority.server(valid_from_days=days[0], valid_to_days=days[1])
    error = disbelieve(context, authority.file)
    assert str(error).endswith(why)
    assert "renew the certificate" in error.hint
    assert "clock of this host" in error.hint
    assert "INDELIBLE_OPENSEARCH" not in error.hint


def test_an_agent_tells_a_certificate_from_a_silence(tmp_path: Path) -> None:
    with (
        tls_server(make_authority(tmp_path).server()) as url,
        connect(ConnectionSettings(url=url), role="writer") as client,
    ):
        exchange = Exchange(client, Backoff(), 1, threading.Event(), Figures())
        failure = exchange.ask(BULK, [b"x"], lambda _: None)
    assert isinstance(failure, Failure)
    assert failure.error.type == "certificate_not_believed"


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConnectionFileError, match=str(path)) as raised:
        connect(ConnectionSettings(ca_file=path), role="reader")
    assert raised.value.hint
    assert "Errno" not in str(raised.value)


@pytest.mark.parametrize("name", ["ca_file", "client_cert_file", "client_key_file"])
def test_a_pipe_that_nobody_writes_into_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path, other = tmp_path / "pipe", tmp_path / "other.pem"
    os.mkfifo(path)
    other.touch()
    settings = ConnectionSettings(client_cert_file=other, client_key_file=other)
    with pytest.raises(ConnectionFileError, match=f"{path} .*no regular file"):
        connect(msgspec.structs.replace(settings, **{name: path}), role="reader")


@pytest.mark.parametrize(
    ("error_type", "reason", "where"),
    [
        pytest.param(
            "cluster_block_exception",
            "index [audit-journal] blocked by: [FORBIDDEN/8/index write (api)];",
            "index.blocks.*",
            id="of an index",
        ),
        pytest.param(
            "cluster_block_exception",
            "index [audit-journal] blocked by: [FORBIDDEN/6/cluster read-only (api)];",
            "cluster.blocks.*",
            id="of the cluster",
        ),
        pytest.param(
            "index_create_block_exception",
            "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];",
            "cluster.blocks.*",
            id="of new indices",
        ),
    ],
)
def test_a_block_is_looked_for_where_it_is(error_type: str, reason: str, where: str) -> None:
    error = RefusedError("PUT /audit-journal", 403, error_type, reason)
    assert where in error.hint


@pytest.mark.parametrize(
    "error_type", ["cluster_manager_not_discovered_exception", "cluster_block_exception"]
)
def test_a_cluster_without_a_manager_is_no_block_that_somebody_set(error_type: str) -> None:
    reason = "blocked by: [SERVICE_UNAVAILABLE/2/no cluster-manager];"
    assert "start those that are away" in RefusedError("GET /x", 503, error_type, reason).hint


def test_a_refused_request_says_what_was_asked() -> None:
    with recorder() as (url, _), connect(ConnectionSettings(url=url), role="reader") as client:
        with pytest.raises(RefusedError, match="POST /401 was refused with 401") as raised:
            request(client, "POST", "/401", body={})
        assert str(raised.value).startswith(
            "POST /401 was refused with 401 for the reader, who has"
        )
        assert "password" in raised.value.hint
        with pytest.raises(RefusedError, match="no JSON"):
            request(client, "POST", "/200")
        assert request(client, "POST", "/404") is None


@pytest.mark.parametrize(
    ("error_type", "reason", "asker", "expected"),
    [
        pytest.param("", "", "", "GET / was refused with 401", id="nothing is known"),
        pytest.param(
            "", "", "the reader 'r'", "GET / was refused with 401 for the reader 'r'", id="who"
        ),
        pytest.param("x_exception", "", "", "GET / was refused with 401: x_exception", id="type"),
        pytest.param("x", "why", "", "GET / was refused with 401: x: why", id="type and reason"),
    ],
)
def test_a_refusal_says_what_is_known_of_it(
    error_type: str, reason: str, asker: str, expected: str
) -> None:
    assert str(RefusedError("GET /", 401, error_type, reason, asker=asker)) == expected


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(
            lambda client: ControlDocument(client, INDEX).write(Control(), None), id="lease"
        ),
        pytest.param(lambda client: has_plugin(client, INDEX), id="plugin"),
        pytest.param(lambda client: list_archived(client, "archive"), id="snapshots"),
        pytest.param(lambda client: remove(client, "audit-events-2026.11"), id="deletion"),
    ],
)
def test_whoever_is_refused_is_named_whatever_they_asked(
    act: Callable[[OpenSearch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = Reply(500, '{"error":{"type":"x_exception","reason":"why"}}', {})
    for module in ("control", "mode", "archive", "deletion"):
        monkeypatch.setattr(f"indexer.{module}.ask", lambda *_, **__: reply)
    settings = ConnectionSettings(lifecycle_username="eve", lifecycle_password=Secret("x"))
    with connect(settings, role="lifecycle") as client, pytest.raises(RefusedError) as raised:
        act(client)
    assert "refused with 500 for the lifecycle 'eve': x_exception: why" in str(raised.value)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(
            lambda client: ControlDocument(client, INDEX).write(Control(), None), id="lease"
        ),
        pytest.param(lambda client: list_archived(client, "archive"), id="snapshots"),
    ],
)
def test_a_page_of_a_proxy_is_a_refusal_whatever_was_asked(
    act: Callable[[OpenSearch], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("control", "archive"):
        monkeypatch.setattr(f"indexer.{module}.ask", lambda *_, **__: Reply(200, "<html>", {}))
    with (
        connect(ConnectionSettings(), role="lifecycle") as client,
        pytest.raises(RefusedError, match="not_an_answer"),
    ):
        act(client)
