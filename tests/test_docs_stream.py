"""The consumer of docs/stream.md goes on through what breaks, and stops where it must."""

import json
import re
import time
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from typing_extensions import override

from tests.app_traffic import ROOT

PAGE = json.dumps({"events": [{"id": "1"}], "cursor": "behind 1", "more": False}).encode()


class Bad(BaseHTTPRequestHandler):
    """Answers as a server on a bad day, and at its end that the token has no right any more."""

    asked: ClassVar[list[str]] = []
    answers: ClassVar[list[tuple[int, bytes, int]]] = [
        (200, PAGE[:20], len(PAGE)),
        (504, b"", 0),
        (429, b"", 0),
        (200, PAGE, len(PAGE)),
        (403, b"", 0),
    ]

    def do_GET(self) -> None:
        """Give the next answer, whole or in part."""
        status, body, length = self.answers[len(self.asked)]
        self.asked.append(self.path.partition("?")[2].partition("&")[0])
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Bad) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_consumer_goes_on(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "docs" / "stream.md").read_text()
    (consumer,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    Path("token.txt").write_text("token\n")
    code = compile(consumer.replace("https://audit.example", address), "stream.md", "exec")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        exec(code, {"__name__": "__main__"})  # noqa: S102  # our own page
    assert capsys.readouterr().out == '{"id": "1"}\n'
    assert Bad.asked == ["start=beginning"] * 4 + ["after=behind+1"]
    assert Path("cursor.txt").read_text() == "behind 1"
