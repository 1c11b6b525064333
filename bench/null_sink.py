"""A bulk endpoint that stores nothing: what is measured against it is the shipper alone.

A process of its own that reads bulk requests into one buffer, counts their newlines (two an
event), and answers 201 for each item in the shape of `_bulk`: trimmed where `filter_path` asks for
it, whole where it does not. Answers of a size are made once. Bodies in gzip are decoded with isal.
What it costs, `flood` says: prepared bodies from two connections, nothing else to do.

    POST /_bulk     takes events
    GET  /_tally    how much came since the last reset
    GET  /_marks    when each marked event came
    POST /_reset    begins anew
"""

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final, cast

import msgspec
from typing_extensions import override

from bench.gzip_coding import compress as compress_body
from bench.gzip_coding import decompressor
from bench.processes import cpu_seconds, environment

BUFFER_BYTES: Final = 1 << 18
END_OF_HEAD: Final = b"\r\n\r\n"
HASH: Final = re.compile(rb'hash\\?":\s*\\?"([\w-]{43})')
"""The chain's hash, which no two events share; some shippers put the line into a string."""
MARK: Final = b'"correlationId":"mark-'
SHORT_ITEM: Final = '{"create":{"status":201}}'
ITEM: Final = (
    '{"create":{"_index":"audit-events-2026.11","_id":"01a20a5f-153a-71bf-8496-a63c5697f592",'
    '"_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},'
    '"_seq_no":1,"_primary_term":1,"status":201}}'
)
ABOUT: Final = (
    b'{"name":"null","cluster_name":"null","version":{"distribution":"opensearch",'
    b'"number":"3.4.0"},"tagline":"The OpenSearch Project: https://opensearch.org/"}'
)


class Options(msgspec.Struct, frozen=True):
    """What a sink does besides counting; each costs it time, so a measurement of speed has none."""

    distinct: bool = False
    """Keep the hash of every event."""
    marks: bool = False
    """Note when an event came whose correlation id is `mark-NUMBER`."""
    events_per_second: int = 0
    """Answer no faster than this, as a cluster would; 0 for as fast as it can."""


class Tally(msgspec.Struct):
    """What came since the last reset; instants are of the system's monotonic clock."""

    events: int = 0
    requests: int = 0
    wire_bytes: int = 0
    first_at: float = 0.0
    first_events: int = 0
    last_at: float = 0.0
    distinct: int = 0
    marked: int = 0

    @property
    def rate(self) -> float:
        """Events a second between the end of the first request and the end of the last."""
        seconds = self.last_at - self.first_at
        return (self.events - self.first_events) / seconds if seconds else 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request, as far as it matters."""

    line: bytes
    length: int
    is_gzip: bool
    awaits_continue: bool


class _Handler(BaseRequestHandler):
    """One connection."""

    request: socket.socket

    @override
    def handle(self) -> None:
        self._sink = cast("_Server", self.server)
        self._buffer = bytearray(BUFFER_BYTES)
        self._filled = 0
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            while (head := self._read_head()) is not None:
                self._answer(head)

    def _answer(self, head: Head) -> None:
        if head.awaits_continue:
            self.request.sendall(b"HTTP/1.1 100 Continue" + END_OF_HEAD)
        blocks = self._read_body(head)
        if b"/_bulk" in head.line:
            events = self._sink.take(blocks, head.length)
            self.request.sendall(answer(events, short=b"filter_path" in head.line))
            return
        for _ in blocks:
            pass
        self.request.sendall(self._sink.tell(head.line))

    def _read_head(self) -> Head | None:
        while (end := self._buffer.find(END_OF_HEAD, 0, self._filled)) < 0:
            count = self.request.recv_into(memoryview(self._buffer)[self._filled :])
            if not count:
                return None
            self._filled += count
        text = bytes(self._buffer[:end])
        rest = self._filled - end - len(END_OF_HEAD)
        self._buffer[:rest] = self._buffer[end + len(END_OF_HEAD) : self._filled]
        self._filled = rest
        return read_head(text)

    def _read_body(self, head: Head) -> Iterator[bytearray | bytes]:
        """Give the body in blocks; a block is good until the next is asked for."""
        view = memoryview(self._buffer)
        expand = decompressor() if head.is_gzip else None
        left = head.length
        while left:
            count = self._filled or self._fill(view[: min(left, BUFFER_BYTES)])
            self._filled = 0
            left -= count
            yield expand(view[:count]) if expand else self._block(count)

    def _fill(self, view: memoryview) -> int:
        # Whole blocks: a wakeup for each packet would cost more than reading it.
        count = self.request.recv_into(view, 0, socket.MSG_WAITALL)
        if count < len(view):
            raise ConnectionAbortedError
        return count

    def _block(self, count: int) -> bytearray | bytes:
        return self._buffer if count == len(self._buffer) else bytes(self._buffer[:count])


def read_head(text: bytes) -> Head:
    """Take apart the head of a request."""
    line, *fields = text.split(b"\r\n")
    named = {
        name.strip().lower(): value.strip()
        for name, _, value in (field.partition(b":") for field in fields)
    }
    return Head(
        line,
        int(named.get(b"content-length", b"0")),
        named.get(b"content-encoding") == b"gzip",
        b"expect" in named,
    )


@lru_cache(maxsize=1024)
def answer(events: int, *, short: bool) -> bytes:
    """The answer to a bulk request, head and all."""
    items = ",".join([SHORT_ITEM if short else ITEM] * events)
    took = "" if short else '"took":1,'
    return _respond(f'{{{took}"errors":false,"items":[{items}]}}'.encode())


def _respond(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + END_OF_HEAD + body


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, options: Options) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._options = options
        self._lock = threading.Lock()
        self._busy_until = 0.0
        self._begin()

    def _begin(self) -> None:
        self._tally = Tally()
        self._hashes: set[bytes] = set()
        self._marks: dict[int, float] = {}

    def take(self, blocks: Iterator[bytearray | bytes], wire_bytes: int) -> int:
        """Count a body; returns its events."""
        options = self._options
        kept: list[bytes] = []
        newlines = 0
        for block in blocks:
            newlines += block.count(b"\n")
            if options.distinct or options.marks:
                kept.append(bytes(block))
        events = newlines // 2
        now = time.monotonic()
        body = b"".join(kept)
        with self._lock:
            tally = self._tally
            tally.events += events
            tally.requests += 1
            tally.wire_bytes += wire_bytes
            tally.last_at = now
            if tally.requests == 1:
                tally.first_at, tally.first_events = now, events
            if options.distinct:
                self._hashes.update(HASH.findall(body))
            if options.marks:
                for number in find_marks(body):
                    self._marks.setdefault(number, now)
        if options.events_per_second:
            self._hold_back(events / options.events_per_second)
        return events

    def _hold_back(self, seconds: float) -> None:
        with self._lock:
            self._busy_until = max(self._busy_until, time.monotonic()) + seconds
            until = self._busy_until
        time.sleep(max(0.0, until - time.monotonic()))

    def tell(self, line: bytes) -> bytes:
        """The answer to a request that is no bulk."""
        if line.startswith(b"HEAD"):
            return b"HTTP/1.1 200 OK\r\ncontent-length: 0" + END_OF_HEAD
        with self._lock:
            self._tally.distinct, self._tally.marked = len(self._hashes), len(self._marks)
            body = ABOUT
            if b"/_tally" in line:
                body = msgspec.json.encode(self._tally)
            if b"/_marks" in line:
                body = msgspec.json.encode(self._marks)
            if b"/_reset" in line:
                self._begin()
        return _respond(body)


def find_marks(body: bytes) -> Iterator[int]:
    """The numbers of the marked events in a body."""
    at = body.find(MARK)
    while at >= 0:
        start = at + len(MARK)
        end = body.index(b'"', start)
        yield int(body[start:end])
        at = body.find(MARK, end)


def serve(options: str) -> None:
    """Serve until killed; prints the port."""
    with _Server(msgspec.json.decode(options, type=Options)) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


@dataclass(frozen=True, slots=True)
class NullSink:
    """A sink that runs."""

    port: int
    pid: int

    def tally(self) -> Tally:
        """What came since the last reset."""
        return msgspec.json.decode(self._ask("GET", "/_tally"), type=Tally)

    def marks(self) -> dict[int, float]:
        """When each marked event came, by the system's monotonic clock."""
        return msgspec.json.decode(self._ask("GET", "/_marks"), type=dict[int, float])

    def reset(self) -> None:
        """Forget what came."""
        self._ask("POST", "/_reset")

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.pid)

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def null_sink(options: Options | None = None) -> Generator[NullSink]:
    """Run a sink in a process of its own."""
    text = msgspec.json.encode(options or Options()).decode()
    code = "import sys; from bench.null_sink import serve; serve(sys.argv[1])"
    child = subprocess.Popen(
        [sys.executable, "-c", code, text], stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield NullSink(int(child.stdout.readline() if child.stdout else 0), child.pid)
    finally:
        child.kill()
        child.communicate()


def flood(path: Path, port: int, *, batch_events: int, compress: bool = False) -> None:
    """Send the lines of a file, prepared, by two connections: the most that the sink can take."""
    lines = path.read_bytes().splitlines(keepends=True)
    bodies = [
        b'{"create":{}}\n' + b'{"create":{}}\n'.join(lines[at : at + batch_events])
        for at in range(0, len(lines), batch_events)
    ]
    del lines
    headers = {"content-type": "application/x-ndjson"}
    if compress:
        bodies = [compress_body(body) for body in bodies]
        headers["content-encoding"] = "gzip"

    def send(share: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in share:
            connection.request("POST", "/_bulk?filter_path=errors", body, headers)
            connection.getresponse().read()

    threads = [threading.Thread(target=send, args=(bodies[part::2],)) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
