"""The agent's own small HTTP server: `/metrics`, `/healthz` and `/readyz`, for this host alone.

It shows what the loop showed last and asks the loop for nothing, so whoever looks holds nothing up.
Nor can a slow client hold up others: every connection ends `CONNECTION_SECONDS` after it began, and
at most `CONNECTIONS` are served at a time. There is no event in what it tells, and no secret.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final, cast

import msgspec
import structlog
from typing_extensions import override

from agent.board import Board
from agent.errors import MonitorError
from agent.health import PATHS_SHOWN, TURN_SECONDS, find_notes, judge
from agent.metrics import MEDIA_TYPE, Exposition

CONNECTION_SECONDS: Final = 10.0
CONNECTIONS: Final = 16
POLL_SECONDS: Final = 0.5
JSON_TYPE: Final = "application/json"

_log = structlog.get_logger("agent")


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: HTTPStatus
    body: bytes
    media_type: str = JSON_TYPE


class _Handler(BaseHTTPRequestHandler):
    server_version = "indelible"
    timeout = CONNECTION_SECONDS

    def do_GET(self) -> None:
        routes = cast("_Server", self.server).routes
        route = routes.get(self.path.partition("?")[0])
        if route is None:
            self._answer(_problem(HTTPStatus.NOT_FOUND, f"there is {', '.join(routes)}"))
        else:
            self._answer(route())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    @override
    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses by itself: as JSON, and without an echo of what was sent."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            # It knows no such method of ours.
            code = HTTPStatus.METHOD_NOT_ALLOWED
        status = HTTPStatus(code)
        self._answer(_problem(status, status.description or status.phrase))

    @override
    def version_string(self) -> str:
        return self.server_version

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS

    def __init__(self, address: tuple[str, int], routes: dict[str, Callable[[], Answer]]) -> None:
        self.routes = routes
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    @override
    def server_bind(self) -> None:
        # The library's own asks the name service for a name that nobody needs.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    @override
    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                return False
            self._open[request] = time.monotonic() + CONNECTION_SECONDS
        return True

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    @override
    def service_actions(self) -> None:
        """Cut those that take too long: a byte now and then keeps a timeout from ever coming."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, until in self._open.items() if until < now]
        for request in late:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away; the traceback of the library would stand between our lines.
        _log.debug("monitor_request_failed", exc_info=True)


class Monitor:
    """Serves in a thread of its own from `start` to `close`.

    Args:
        host: address to listen on.
        port: 0 takes any that is free (`port` tells).
        board: what the loop shows.
        directory: of the state, where the dead letter lies.

    Raises:
        MonitorError: it cannot listen there.
    """

    def __init__(self, host: str, port: int, board: Board, directory: Path) -> None:
        self._board = board
        self._exposition = Exposition(board, directory)
        routes = {"/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}
        try:
            self._server = _Server((host, port), routes)
        except (OSError, OverflowError) as error:
            raise MonitorError(host, port, error) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="monitor", daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()
        _log.info("monitor_listens", host=self._server.server_name, port=self.port)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _metrics(self) -> Answer:
        return Answer(HTTPStatus.OK, self._exposition.render(), MEDIA_TYPE)

    def _health(self) -> Answer:
        seconds = self._turned_seconds()
        is_healthy = seconds <= TURN_SECONDS
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        content = {"healthy": is_healthy, "loopTurnedSecondsAgo": round(seconds, 2)}
        return Answer(status, _encode(content))

    def _readiness(self) -> Answer:
        shown, now = self._board.status, datetime.now(UTC)
        problems = judge(shown, self._turned_seconds(), now)
        notes = find_notes(shown, now)[:PATHS_SHOWN] if shown else []
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        content = {"ready": not problems, "problems": problems, "notes": notes}
        return Answer(status, _encode(content))

    def _turned_seconds(self) -> float:
        return max(0.0, time.monotonic() - self._board.turned)


def _problem(status: HTTPStatus, detail: str) -> Answer:
    content = {"status": status.value, "title": status.phrase, "detail": detail}
    return Answer(status, _encode(content), "application/problem+json")


def _encode(content: object) -> bytes:
    """With an end of line, for whoever asks in a terminal."""
    return msgspec.json.encode(content) + b"\n"
