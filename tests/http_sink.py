"""A cluster of a few lines: takes bulk requests over HTTP, and answers as the test wants it."""

import base64
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

import msgspec
from typing_extensions import override

from tests.event_ids import created_ids

USER: Final = "audit_writer"
RIGHT: Final = "right"


class HttpSink(ThreadingHTTPServer):
    """Stores ids; while `gate` is closed nobody gets an answer; another password is a 401."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.ids: list[str] = []
        self.requests = 0
        self.password = RIGHT
        self.gate = threading.Event()
        self.gate.set()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sink = cast("HttpSink", self.server)
        body = self.rfile.read(int(self.headers["content-length"]))
        with sink.lock:
            sink.requests += 1
        sink.gate.wait(60)
        pair = base64.b64encode(f"{USER}:{sink.password}".encode()).decode()
        if self.headers["authorization"] != f"Basic {pair}":
            return self._answer(401, {"error": {"type": "security_exception", "reason": "no"}})
        ids = created_ids(body)
        with sink.lock:
            sink.ids += ids
        return self._answer(
            200, {"errors": False, "items": [{"create": {"status": 201}}] * len(ids)}
        )

    def _answer(self, status: int, content: object) -> None:
        body = msgspec.json.encode(content)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def http_sink() -> Generator[HttpSink]:
    with HttpSink() as sink:
        thread = threading.Thread(target=sink.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            sink.gate.set()
            sink.shutdown()
            thread.join(5)
