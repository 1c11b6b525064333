"""One deadline for a whole request: the library's timeout is for each single read or write.

A server, or something before it, that sends one byte now and then would hold a sender for hours.
So the time that is left is measured anew before each read and each piece that is written. (A TLS
handshake on its own is bounded by the library already; a TCP connect is bounded more tightly.)
"""

import io
import time
from http.client import HTTPResponse
from socket import SocketIO, socket
from typing import Any, Final, Protocol, cast

from typing_extensions import Buffer, override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

CONNECT_SECONDS: Final = 5.0
"""To reach a host that answers at all: room for two lost packets (sent again after 1 and 3 s). One
that is gone without a word is known for it by then, and another node is asked."""
TLS_PIECE_BYTES: Final = 1 << 16
"""Written at a time by TLS, whose socket bounds each record alone, of which these are four. A plain
socket's `sendall` bounds all that it is given (Python 3.5), and each call more would let go of the
interpreter's lock once more: the agent's loop slows down by that."""


class _Timed(Protocol):
    def settimeout(self, value: float | None, /) -> None: ...


class _Reader(io.RawIOBase):
    """Reads from a socket until a moment."""

    def __init__(self, raw: SocketIO, sock: _Timed, ends: float) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._ends = ends

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int | None:
        self._sock.settimeout(_left(self._ends))
        return self._raw.readinto(buffer)

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer that has to be whole when the timeout that its socket has now is over."""

    def __init__(
        self, sock: socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        seconds = sock.gettimeout()
        if seconds is not None:
            raw = sock.makefile("rb", buffering=0)
            self.fp.close()
            self.fp = io.BufferedReader(_Reader(raw, sock, time.monotonic() + seconds))


class BoundedConnection(HTTPConnection):
    """Sends a request and reads its answer in `timeout` seconds together."""

    response_class = _Response
    _ends = 0.0
    _piece_bytes: int | None = None
    """Bytes that are written at a time; None for all."""

    @override
    def _new_conn(self) -> socket:
        patience = self.timeout
        self.timeout = CONNECT_SECONDS if patience is None else min(patience, CONNECT_SECONDS)
        try:
            connected = super()._new_conn()
        finally:
            self.timeout = patience
        # The handshake of TLS may take longer: the host is there, and busy.
        connected.settimeout(patience)
        return connected

    @override
    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,
        skip_accept_encoding: bool = False,
    ) -> None:
        self._ends = time.monotonic() + (self.timeout or float("inf"))
        super().putrequest(
            method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding
        )

    @override
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        piece_bytes = self._piece_bytes or max(1, len(view))
        for start in range(0, len(view), piece_bytes):
            # Made by `connect`, which the types do not say.
            sock = cast("socket", self.sock)
            sock.settimeout(_left(self._ends))
            sock.sendall(view[start : start + piece_bytes])

    @override
    def getresponse(self) -> Any:
        # It becomes the socket's timeout, which is all that the response gets to see.
        self.timeout = _left(self._ends)
        return super().getresponse()


class BoundedTlsConnection(BoundedConnection, HTTPSConnection):
    """The same over TLS."""

    _piece_bytes = TLS_PIECE_BYTES


def bound(pool: HTTPConnectionPool) -> None:
    """Let every connection that the pool makes be bounded."""
    is_tls = issubclass(pool.ConnectionCls, HTTPSConnection)
    # The library types this as a protocol that its own connections do not fulfil.
    cast("Any", pool).ConnectionCls = BoundedTlsConnection if is_tls else BoundedConnection


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
