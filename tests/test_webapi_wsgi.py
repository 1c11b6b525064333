"""How the API is connected."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import msgspec
import pytest
from typing_extensions import override

from audit_events.catalogue import CATALOGUE
from indexer.client import ask
from indexer.settings import ConnectionSettings, IndexSettings
from tests.webapi_api import SETTINGS
from webapi.parts import EXTENSION, Parts
from webapi.wsgi import assemble

THREADS: Final = 12
AT_ONCE: Final = 2 * THREADS


class Meeting(BaseHTTPRequestHandler):
    """Answers once `AT_ONCE` requests are under way, so that each needs a connection of its own."""

    protocol_version = "HTTP/1.1"
    together = threading.Barrier(AT_ONCE)
    connections: Final[set[int]] = set()

    def do_GET(self) -> None:
        self.connections.add(self.client_address[1])
        self.together.wait(timeout=30)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_all_connections_that_the_threads_of_a_worker_need_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Meeting) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        connection = ConnectionSettings(url=f"http://127.0.0.1:{server.server_port}")
        settings = msgspec.structs.replace(SETTINGS, threads=THREADS)
        parts = assemble(settings, connection, IndexSettings(), CATALOGUE).extensions[EXTENSION]
        assert isinstance(parts, Parts)
        client = parts.storage._client  # nothing else shows its connections
        with client, ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in range(3):
                list(pool.map(lambda _: ask(client, "GET", "/"), range(AT_ONCE)))
        server.shutdown()
    assert len(Meeting.connections) == AT_ONCE
    assert "pool is full" not in caplog.text
