"""Asking a process on this host: why it is not ready is said in its own words."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typing_extensions import override

from indelible.probe import find_trouble

ANSWERS = {
    "/ready": (200, b"{}"),
    "/problem": (503, b'{"detail": "the index template is missing", "status": 503}'),
    "/wordless": (502, b"<html>"),
}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ready", ""),
        ("/problem", "503 the index template is missing"),
        ("/wordless", "502 Bad Gateway"),
    ],
)
def test_an_answer_says_why(path: str, expected: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert find_trouble(f"http://127.0.0.1:{server.server_port}{path}") == expected
        thread.join()


def test_nobody_there_is_said() -> None:
    assert find_trouble("http://127.0.0.1:1/readyz") == "Connection refused"
