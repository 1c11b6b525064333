"""The floor: what shipping a line costs a Python process that checks and remembers nothing.

Reads 2 MB at a time, splits, decodes three fields with msgspec, joins the bulk body and sends it by
one connection of `http.client`. No checkpoint, no chain, no rotation; one file; an answer with an
error ends it.
"""

import http.client
import signal
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.gzip_coding import compress

READ_BYTES: Final = 2_000_000
LOOK_SECONDS: Final = 0.01


class _Event(Struct):
    id: str
    timestamp: str
    hash: str


_decode = msgspec.json.Decoder(_Event).decode


def main() -> None:
    """Ship the first file that appears in a directory; then wait for SIGTERM.

    Arguments: the directory, the port of the sink, `gzip` or `plain`.
    """
    directory, port, coding = sys.argv[1:]
    headers = {"content-type": "application/x-ndjson"}
    if coding == "gzip":
        headers["content-encoding"] = "gzip"
    while not (found := list(Path(directory).glob("*.log"))):
        time.sleep(LOOK_SECONDS)
    _ship(found[0], http.client.HTTPConnection("127.0.0.1", int(port)), headers)
    signal.pause()


def _ship(path: Path, connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    rest = b""
    with path.open("rb", buffering=0) as file:
        while data := file.read(READ_BYTES):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            body = _make_body(lines)
            if "content-encoding" in headers:
                body = compress(body)
            connection.request("POST", "/_bulk?filter_path=errors,items.*.status", body, headers)
            answer = connection.getresponse().read()
            if not answer.startswith(b'{"errors":false'):
                raise RuntimeError(answer[:200].decode(errors="replace"))


def _make_body(lines: list[bytes]) -> bytes:
    parts: list[bytes] = []
    for line in lines:
        event = _decode(line)
        month = event.timestamp[:7].replace("-", ".")
        action = f'{{"create":{{"_index":"audit-events-{month}","_id":"{event.id}"}}}}\n'
        parts += (action.encode(), line, b"\n")
    return b"".join(parts)
