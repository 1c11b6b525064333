"""A request has an end, however slowly bytes come or go."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from indexer.client import ask, connect
from indexer.errors import NoAnswerError
from indexer.settings import ConnectionSettings
from tests.cluster import Cluster
from tests.throw_away_tls import make_authority

SECONDS = 0.6
MOST_SECONDS = 25
"""The slow ones below would go on for half a minute and longer."""
HEAD = b"HTTP/1.1 200 OK\r\nx-pad: %b\r\ncontent-length: 1000\r\n\r\n" % (b"x" * 500)
Serve = Callable[[socket.socket, threading.Event], None]


def drip(text: bytes) -> Serve:
    """Read the request, then send one byte each tenth of the time that all of it may take."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(1 << 20)
        for byte in text:
            if over.wait(SECONDS / 10):
                return
            connection.sendall(bytes([byte]))
        over.wait(60)

    return serve


def read_slowly(connection: socket.socket, over: threading.Event) -> None:
    """Take a little of the request now and then, so that each write succeeds."""
    while not over.wait(SECONDS / 20):
        connection.recv(20_000)


@contextmanager
def serving(serve: Serve, context: ssl.SSLContext | None = None) -> Generator[str]:
    """Serve one connection; gives its address."""
    over = threading.Event()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        server.bind(("127.0.0.1", 0))
        server.listen()

        def run() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    serve(connection, over)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join(60)


def time_of(settings: ConnectionSettings, body: bytes) -> float:
    """Seconds until there is no answer."""
    with connect(settings, role="writer") as client:
        began = time.monotonic()
        with pytest.raises(NoAnswerError) as raised:
            ask(client, "POST", "/_bulk", body=body)
        assert raised.value.sent
        return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("serve", "body"),
    [
        pytest.param(drip(HEAD), b"{}\n", id="a slow head"),
        pytest.param(
            lambda connection, over: (connection.sendall(HEAD), drip(b"x" * 900)(connection, over)),
            b"{}\n",
            id="a slow answer",
        ),
        pytest.param(read_slowly, b"x" * (64 << 20), id="a slow reader"),
        pytest.param(lambda _connection, over: over.wait(60), b"{}\n", id="silence"),
    ],
)
def test_slowness_ends_in_time(serve: Serve, body: bytes) -> None:
    with serving(serve) as address:
        url = f"http://{address}"
        took = time_of(ConnectionSettings(url=url, timeout_seconds=SECONDS), body)
    assert SECONDS * 0.9 < took < MOST_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("serve", "body"),
    [
        pytest.param(drip(HEAD), b"{}\n", id="a slow head"),
        pytest.param(read_slowly, b"x" * (64 << 20), id="a slow reader"),
    ],
)
def test_slowness_ends_in_time_over_tls(serve: Serve, body: bytes, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with serving(serve, authority.server()) as address:
        settings = ConnectionSettings(
            url=f"https://{address}", ca_file=authority.file, timeout_seconds=SECONDS
        )
        assert SECONDS * 0.9 < time_of(settings, body) < MOST_SECONDS


@pytest.mark.opensearch
def test_a_connection_is_used_again_after_answers_that_took_their_time(
    opensearch: Cluster,
) -> None:
    """The time that one request had left is not the next one's."""
    with opensearch.client("lifecycle") as client:
        for _ in range(3):
            assert ask(client, "GET", "/_cluster/health").status == 200
        pools = [one.pool for one in client.transport.connection_pool.connections]
    assert [pool.num_connections for pool in pools] == [1]
    assert [pool.num_requests for pool in pools] == [3]


def test_an_answer_without_a_length_is_read_to_the_end_of_its_connection() -> None:
    def serve(connection: socket.socket, _over: threading.Event) -> None:
        asked = b""
        # All of it: a connection that is closed with bytes unread is reset.
        while not asked.endswith(b"{}\n"):
            asked += connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 100_000)

    with serving(serve) as address:
        settings = ConnectionSettings(url=f"http://{address}", timeout_seconds=60)
        with connect(settings, role="writer") as client:
            assert ask(client, "POST", "/_bulk", body=b"{}\n").text == "x" * 100_000
