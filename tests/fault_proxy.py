"""A real proxy between an agent process and a real node, which has bad days on demand.

It speaks HTTP/1.1 with keep-alive, or HTTPS with whatever certificate it is given, and passes on
what it gets with its credentials. Each request may meet a fault of `tests.faults` (what is
answered instead) or one of this module (what happens to the connection). It keeps an account of
every bulk request: when, which ids, and which of them its answer left unsettled. So a test can ask
for each id whether it was sent again without a reason.
"""

import gzip
import http.client
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from opensearchpy.exceptions import ConnectionError as NoConnection
from typing_extensions import override

from indexer.answer import UNREADABLE
from tests.event_ids import created_ids
from tests.faults import Answer, Fault, Faults, Script, Send

_HOP_BY_HOP: Final = {"connection", "content-length", "transfer-encoding", "accept-encoding"}
_CONFLICT: Final = 409
_RESET: Final = struct.pack("ii", 1, 0)
PASS_ALL: Final = Faults(lambda _method, _path, _body: None)


StandIn = Callable[[str, str, bytes], Answer | None]
"""What answers in the place of the node, by method, path with query, and body; None lets it."""


class Attempt(Struct, frozen=True):
    """One bulk request that arrived whole."""

    began: float
    """Monotonic, when it had arrived."""
    ids: tuple[str, ...]
    size_bytes: int
    status: int
    """Of the answer, 0 when the connection broke instead."""
    unsettled: frozenset[str]
    """Those that have to be sent again, by what the agent was told."""


class _CutError(Exception):
    """Answer half of it, then break the connection."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class _SilenceError(Exception):
    """Never answer, and keep the connection."""


def cut_on_the_wire(send: Send, body: bytes) -> Answer:
    """The request is done; the connection breaks in the middle of the answer."""
    raise _CutError(send(body))


def silent(_send: Send, _body: bytes) -> Answer:
    """Nothing is done and nothing is ever answered."""
    raise _SilenceError


def slow(seconds: float) -> Fault:
    """The request is done, and answered late."""

    def fault(send: Send, body: bytes) -> Answer:
        answer = send(body)
        time.sleep(seconds)
        return answer

    return fault


def sometimes(share: float, seed: int, *choices: Fault) -> Script:
    """This share of the bulk requests meets one of the faults; the same ones for the same seed."""
    drawn = random.Random(seed)  # noqa: S311  # to be drawn again

    def script(_method: str, path: str, _body: bytes) -> Fault | None:
        if path != "/_bulk" or drawn.random() >= share:
            return None
        return drawn.choice(choices)

    return script


class FaultProxy:
    """One listener; everything but `port` may be changed while it runs.

    Args:
        url, ca_file: of the node.
        tls: serve HTTPS with this.
    """

    def __init__(
        self, url: str, ca_file: Path | None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.upstream_url = url
        self._ca = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self.tls = tls
        self.faults = PASS_ALL
        self.stand_in: StandIn = lambda _method, _target, _body: None
        self.reset_after: Callable[[int], int | None] = lambda _length: None
        """By the length of a request's body: how much of it is read before a reset, None: all."""
        self.connections = 0
        self.failed_handshakes = 0
        self.attempts: list[Attempt] = []
        self.under_way = 0
        """Requests that arrived and are not answered yet."""
        self._live: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._silence = threading.Event()
        self._server: _Server | None = None
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Take connections (again, on the same port)."""
        self._silence.clear()
        server = _Server(("127.0.0.1", self.port), _Handler)
        server.proxy = self
        self._server = server
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def hang_up(self) -> None:
        """Nobody listens any more, and all connections are reset."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._silence.set()
        with self._lock:
            live, self._live = self._live, set()
        for connection in live:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def script(self, script: Script) -> Faults:
        """Let this script choose the faults from now on; returns its counts."""
        self.faults = Faults(script)
        return self.faults

    # What was counted.

    def sent(self) -> Counter[str]:
        """How often each id arrived."""
        return Counter(one for attempt in list(self.attempts) for one in attempt.ids)

    def unsettled(self) -> Counter[str]:
        """How often the agent was told, or had to assume, that an id is not stored."""
        return Counter(one for attempt in list(self.attempts) for one in attempt.unsettled)

    def sent_needlessly(self) -> dict[str, int]:
        """Ids that were sent again although an answer had settled them, and how often."""
        unsettled = self.unsettled()
        return {
            one: count - 1 - unsettled[one]
            for one, count in self.sent().items()
            if count > unsettled[one] + 1
        }

    # What the handlers do.

    def take(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._live.add(connection)

    def let_go(self, connection: socket.socket) -> None:
        with self._lock:
            self._live.discard(connection)

    def count_under_way(self, change: int) -> None:
        with self._lock:
            self.under_way += change

    def connect_upstream(self) -> http.client.HTTPConnection:
        at = urlsplit(self.upstream_url)
        assert at.hostname is not None
        if self._ca is None:
            return http.client.HTTPConnection(at.hostname, at.port, timeout=60)
        return http.client.HTTPSConnection(at.hostname, at.port, timeout=60, context=self._ca)

    def await_the_end(self) -> None:
        self._silence.wait()

    def note(self, path: str, body: bytes, began: float, answer: Answer | None) -> None:
        if path == "/_bulk":
            ids = tuple(created_ids(body))
            status = answer[0] if answer else 0
            unsettled = frozenset(_unsettled(ids, answer))
            self.attempts.append(Attempt(began, ids, len(body), status, unsettled))


@contextmanager
def fault_proxy(
    url: str, ca_file: Path | None, *, tls: ssl.SSLContext | None = None
) -> Generator[FaultProxy]:
    """Run a proxy before the node at `url`."""
    proxy = FaultProxy(url, ca_file, tls=tls)
    try:
        yield proxy
    finally:
        proxy.hang_up()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64
    proxy: FaultProxy

    @override
    def finish_request(self, request: Any, client_address: Any) -> None:
        proxy = self.proxy
        if proxy.tls is not None:
            request.settimeout(10)
            try:
                request = proxy.tls.wrap_socket(request, server_side=True)
            except OSError:
                proxy.failed_handshakes += 1
                raise
            request.settimeout(None)
        proxy.take(request)
        try:
            with request:
                _Handler(request, client_address, self)
        finally:
            proxy.let_go(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @override
    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, _Server)
        self._proxy = self.server.proxy
        self._upstream: http.client.HTTPConnection | None = None

    @override
    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """The account is kept in `attempts`."""

    def _serve(self) -> None:
        proxy, path = self._proxy, urlsplit(self.path).path
        length = int(self.headers.get("content-length") or 0)
        reach = proxy.reset_after(length)
        if reach is not None:
            self.rfile.read(min(reach, length))
            self._reset()
            return
        body = self.rfile.read(length)
        if len(body) < length:
            # The agent died while it sent.
            self.close_connection = True
            return
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self._answer(path, body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve  # noqa: N815  # names of the base

    def _answer(self, path: str, body: bytes) -> None:
        proxy, began, answer = self._proxy, time.monotonic(), None
        proxy.count_under_way(1)
        try:
            answer = proxy.stand_in(self.command, self.path, body)
            if answer is None:
                fault = proxy.faults.choose(self.command, path, body)
                answer = self._forward(body) if fault is None else fault(self._forward, body)
        except _CutError as cut:
            proxy.note(path, body, began, None)
            self._write(cut.answer, half=True)
            self._reset()
        except _SilenceError:
            proxy.note(path, body, began, None)
            proxy.await_the_end()
            self._reset()
        except (NoConnection, http.client.HTTPException, OSError):
            proxy.note(path, body, began, None)
            self._reset()
        else:
            proxy.note(path, body, began, answer)
            self._write(answer)
        finally:
            proxy.count_under_way(-1)

    def _forward(self, body: bytes) -> Answer:
        if self._upstream is None:
            self._upstream = self._proxy.connect_upstream()
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _HOP_BY_HOP | {"content-encoding", "host"}
        }
        self._upstream.request(self.command, self.path, body, kept)
        reply = self._upstream.getresponse()
        headers = {
            name: value for name, value in reply.getheaders() if name.lower() not in _HOP_BY_HOP
        }
        return reply.status, headers, reply.read().decode()

    def _write(self, answer: Answer, *, half: bool = False) -> None:
        status, headers, text = answer
        content = text.encode("utf-8", "surrogatepass")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _unsettled(ids: tuple[str, ...], answer: Answer | None) -> list[str]:
    """The ids that this answer leaves to be sent again or given up."""
    if answer is None or answer[0] != http.HTTPStatus.OK:
        return list(ids)
    try:
        items = msgspec.json.decode(answer[2])["items"]
        statuses = [item["create"]["status"] for item in items]
    except (*UNREADABLE, KeyError, TypeError):
        return list(ids)
    if len(statuses) != len(ids):
        return list(ids)
    return [
        one
        for one, status in zip(ids, statuses, strict=True)
        if status not in (200, 201, _CONFLICT)
    ]
