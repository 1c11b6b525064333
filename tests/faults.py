"""Faults between the writer and a real node: what a bad day answers instead of the node.

A fault is a function that gets `send` (ask the node) and the body, and answers. So it can refuse
without asking, ask with a part of the body, or ask and lose the answer.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout
from typing_extensions import override

from indexer.client import QuietConnection, Role, connect
from indexer.settings import ConnectionSettings

Answer = tuple[int, Mapping[str, str], str]
Send = Callable[[bytes], Answer]
Fault = Callable[[Send, bytes], Answer]
Script = Callable[[str, str, bytes], Fault | None]

UNREACHABLE: Final = ConnectionSettings(url="http://127.0.0.1:9")


class Faults:
    """Which request meets which fault: the script is asked for each, None lets it through.

    `requests` counts them by path.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.requests: dict[str, int] = {}
        self.largest_bytes = 0

    def choose(self, method: str, path: str, body: bytes) -> Fault | None:
        with self._lock:
            self.requests[path] = self.requests.get(path, 0) + 1
            self.largest_bytes = max(self.largest_bytes, len(body))
            return self._script(method, path, body)


def in_turn(*faults: Fault | None, path: str = "/_bulk") -> Faults:
    """Each request to `path` meets the next fault; after the last all goes through."""
    rest = list(faults)

    def script(_method: str, requested: str, _body: bytes) -> Fault | None:
        return rest.pop(0) if requested == path and rest else None

    return Faults(script)


def connect_through(
    settings: ConnectionSettings, faults: Faults, *, role: Role = "writer"
) -> OpenSearch:
    """A client whose every request may meet a fault."""

    class FaultyConnection(QuietConnection):
        @override
        def perform_request(
            self,
            method: str,
            url: str,
            params: Any = None,
            body: bytes | Sequence[bytes] | None = None,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            def send(part: bytes) -> Answer:
                answer: Answer = super(FaultyConnection, self).perform_request(
                    method, url, params, part, *args, **kwargs
                )
                return answer

            # A fault may send less, so the length is not that of all pieces.
            kwargs.pop("headers", None)
            whole = body if isinstance(body, bytes) else b"".join(body or ())
            fault = faults.choose(method, url, whole)
            return send(whole) if fault is None else fault(send, whole)

    return connect(settings, role=role, connection_class=FaultyConnection)


def status(code: int, error_type: str = "", **headers: str) -> Fault:
    """The whole request is answered with this status, and nothing is done."""
    body = {"error": {"type": error_type, "reason": "injected"}, "status": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = msgspec.json.encode(body).decode() if error_type else "<html>an error page</html>"

    def fault(_send: Send, _body: bytes) -> Answer:
        return code, named, text

    return fault


def text(content: str, code: int = 200) -> Fault:
    """The request is done, and answered with something else."""

    def fault(send: Send, body: bytes) -> Answer:
        send(body)
        return code, {}, content

    return fault


def altered(old: str, new: str) -> Fault:
    """The request is done, and something in its answer is another."""

    def fault(send: Send, body: bytes) -> Answer:
        code, headers, content = send(body)
        return code, headers, content.replace(old, new)

    return fault


def instead(code: int, content: str) -> Fault:
    """Nothing is done, and this is answered."""
    return lambda _send, _body: (code, {}, content)


def cut(send: Send, body: bytes) -> Answer:
    """The request is done, and the second half of the answer is missing."""
    code, headers, content = send(body)
    return code, headers, content[: len(content) // 2]


def one_item_short(send: Send, body: bytes) -> Answer:
    """The request is done, and the answer lacks its last item."""
    code, headers, content = send(body)
    answer = msgspec.json.decode(content)
    answer["items"].pop()
    return code, headers, msgspec.json.encode(answer).decode()


def lost(send: Send, body: bytes) -> Answer:
    """The request is done, and the connection breaks before the answer."""
    send(body)
    return refused(send, body)


def refused(_send: Send, _body: bytes) -> Answer:
    """Nobody listens."""
    error = OSError("injected")
    raise NoConnection("N/A", str(error), error)


def late(_send: Send, _body: bytes) -> Answer:
    """The answer does not come in time."""
    raise ConnectionTimeout("TIMEOUT", "late", OSError("injected"))


def larger_than(limit_bytes: int) -> Fault:
    """413 for a body above the limit."""

    def fault(send: Send, body: bytes) -> Answer:
        return (413, {}, "too large") if len(body) > limit_bytes else send(body)

    return fault


def breaks_above(limit_bytes: int) -> Fault:
    """The connection breaks while a body above the limit is sent, without a word."""

    def fault(send: Send, body: bytes) -> Answer:
        return refused(send, body) if len(body) > limit_bytes else send(body)

    return fault


def items(picks: Callable[[int], bool], code: int, error_type: str) -> Fault:
    """The items whose number is picked are answered like this, and not done; the others are."""

    def fault(send: Send, body: bytes) -> Answer:
        lines = body.splitlines(keepends=True)
        pairs = [b"".join(lines[at : at + 2]) for at in range(0, len(lines), 2)]
        through = [pair for number, pair in enumerate(pairs) if not picks(number)]
        done: list[object] = []
        if through:
            done = msgspec.json.decode(send(b"".join(through))[2])["items"]
        rest = iter(done)
        failed = {"status": code, "error": {"type": error_type, "reason": "injected"}}
        answer = [
            {"create": failed} if picks(number) else next(rest) for number in range(len(pairs))
        ]
        return 200, {}, msgspec.json.encode({"errors": True, "items": answer}).decode()

    return fault
