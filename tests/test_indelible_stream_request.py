"""Asking `/stream` on a bad day: it waits, says so once, and sends the token nowhere else."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from typing_extensions import override

from indelible import stream, stream_request
from indelible.errors import CommandError
from indelible.stopping import Breaking, StopAsked
from indelible.stream_request import ask
from indelible.stream_settings import StreamSettings
from indexer.settings import Secret
from tests.app_traffic import ROOT
from tests.throw_away_tls import make_authority
from tests.waiting import wait_until

FIRST = b'{"events":[{"id":"1"}],"cursor":"behind-1","more":true}'
LAST = b'{"events":[],"cursor":"behind-all","more":false}'

Served = tuple[int, bytes, int]
"""Status, body, and how long it is said to be."""


class Server(HTTPServer):
    """Gives one answer after the other, and keeps what was asked."""

    def __init__(self, answers: Sequence[Served], context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.asked: list[str] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that trusts no certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        status, body, length = self.server.answers.pop(0)
        self.server.asked.append(self.path.partition("?")[2])
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Retry-After", "3")
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(
    answers: Sequence[Served], context: ssl.SSLContext | None = None
) -> Generator[tuple[Server, StreamSettings]]:
    with Server(answers, context) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        scheme = "http" if context is None else "https"
        url = f"{scheme}://127.0.0.1:{server.server_port}"
        yield server, StreamSettings(url=url, token=Secret("secret"))
        server.shutdown()


@contextmanager
def endless(begin: bytes, part: bytes, *, pause: float) -> Generator[str]:
    """A server whose answer has no end; for one question, 20 s at most."""

    def answer() -> None:
        with suppress(OSError):
            asked, _ = listener.accept()
            with asked:
                asked.recv(65_536)
                asked.sendall(begin)
                until = time.monotonic() + 20
                while time.monotonic() < until:
                    asked.sendall(part)
                    time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def whole(status: int, body: bytes = b"") -> Served:
    return (status, body, len(body))


def test_it_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(stream, "ONCE_SECONDS", 0)
    answers = [
        (200, FIRST[:9], len(FIRST)), whole(503), whole(429), whole(200, FIRST), whole(429),
        whole(502), whole(200, LAST),
    ]  # fmt: skip
    with serving(answers) as (server, settings):
        source = stream.Source(settings, [("action", "a.b")], Breaking(), None)
        stream.follow(source, None, "beginning", once=True)
    out, told = capfd.readouterr()
    assert out == '{"id":"1"}\n'
    warnings = [line for line in told.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2, "one an outage"
    assert "IncompleteRead" in warnings[0]
    assert "the API answers 502" in warnings[1]
    assert told.count("note: the API answers again\n") == 2
    assert told.count("429") == 1
    assert "secret" not in told
    assert slept[0] <= 1
    assert [seconds >= 3 for seconds in slept[1:]] == [True] * 4, "as Retry-After has it"
    filters = "action=a.b&"
    first = f"{filters}start=beginning&limit=1000&wait=0s"
    assert server.asked == [first] * 4 + [f"{filters}after=behind-1&limit=1000&wait=0s"] * 3


def test_behind_a_page_that_is_not_full_it_pauses(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", iter([0.0, 1.0, 21.0]).__next__)
    unknown = b'{"events":[],"cursor":"x","more":true}'
    answers = [whole(200, unknown), whole(200, FIRST), whole(200, LAST), whole(200, LAST)]
    with serving(answers) as (server, settings):
        stream.follow(stream.Source(settings, [], Breaking(), None), None, "now", once=True)
    assert slept == [stream.PAUSE_SECONDS] * 2
    assert not server.answers, "what was stored just before may still come"
    assert capfd.readouterr() == ('{"id":"1"}\n', "")


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTHY = HEAD + b"Content-Length: 999999999999\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        pytest.param(LENGTHY, b"x" * 65_536, id="of a length"),
        pytest.param(HEAD + b"\r\n", b"x" * 65_536, id="until it hangs up"),
        pytest.param(CHUNKED, b"8000\r\n" + b"x" * 32_768 + b"\r\n", id="in chunks"),
        pytest.param(CHUNKED, b"1\r\nx\r\n" * 999, id="in chunks of a byte"),
    ],
)
def test_an_answer_larger_than_any_page_is_trouble(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, part: bytes
) -> None:
    monkeypatch.setattr(stream_request, "MOST_BYTES", 2 << 20)
    with endless(begin, part, pause=0) as url:
        answer = ask(StreamSettings(url=url, token=Secret("secret")), [])
    assert getattr(answer, "why", "").endswith("does not answer: its answer is larger than 2 MiB")


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        pytest.param(b"", b"x", id="its first line"),
        pytest.param(HEAD, b"X: y\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="what is to be continued"),
        pytest.param(LENGTHY, b"x", id="its body"),
        pytest.param(CHUNKED + b"0\r\n", b"X: y\r\n", id="what follows its last chunk"),
    ],
)
def test_an_answer_that_drips_for_ever_is_trouble(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, part: bytes
) -> None:
    monkeypatch.setattr(stream_request, "ANSWER_SECONDS", 0.5)
    with endless(begin, part, pause=0.02) as url:
        began, former = time.monotonic(), signal.getsignal(signal.SIGALRM)
        answer = ask(StreamSettings(url=url, token=Secret("secret")), [])
    assert "its answer was not whole within 0.5 s" in getattr(answer, "why", "")
    assert time.monotonic() - began < 5
    assert signal.getsignal(signal.SIGALRM) == former
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0, "it goes on"


def test_a_redirect_gets_no_token() -> None:
    with serving([whole(302)]) as (server, settings):
        answer = ask(settings, [])
    assert not server.answers
    assert getattr(answer, "status", None) == 302


def test_an_event_that_others_stored_on_several_lines_is_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else a line of it is taken for an event that nobody logged."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(stream, "ONCE_SECONDS", 0)
    page = b'{"events":[{"x":\n{"id":"forged"}\n},{"id": "2"}],"cursor":"x","more":false}'
    with serving([whole(200, page)]) as (_, settings):
        stream.follow(stream.Source(settings, [], Breaking(), None), None, "now", once=True)
    assert capfd.readouterr().out == '{"x":{"id":"forged"}}\n{"id": "2"}\n'


def test_no_proxy_gets_the_token_of_this_very_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([whole(200, LAST)]) as (server, settings), serving([]) as (proxy, _):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        script = (
            "import sys\nfrom indelible.stream_request import ask\n"
            "from indelible.stream_settings import StreamSettings\n"
            "print(ask(StreamSettings(url=sys.argv[1]), []).status)"
        )
        # A process of its own: proxies are read from the environment once.
        done = subprocess.run(
            [sys.executable, "-c", script, settings.url],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.stdout == "200\n", done.stderr
    assert (len(server.asked), proxy.asked) == (1, [])


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [("http://audit.example", True), ("https://audit.example", False), ("http://[::1]:8", False)],
)
def test_a_token_that_goes_over_the_network_in_the_clear_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, url: str, *, is_warned: bool
) -> None:
    def end(*_: object, **__: object) -> None:
        raise StopAsked

    monkeypatch.setattr(stream, "follow", end)
    monkeypatch.setattr(Breaking, "install", lambda _self: None)
    monkeypatch.setenv("INDELIBLE_STREAM_URL", url)
    monkeypatch.setenv("INDELIBLE_STREAM_TOKEN", "secret")
    result = CliRunner().invoke(stream.command, [])
    assert result.exit_code == 0, result.output
    assert (f"warning: {url} is asked without https" in result.output) == is_warned
    assert "secret" not in result.output


def test_a_server_that_is_not_there_is_trouble_and_a_bad_address_the_end() -> None:
    with serving([]) as (_, settings):
        pass
    assert "Connection refused" in getattr(ask(settings, []), "why", "")
    for url in (
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a..b",
        f"http://{'n' * 70}.example",
    ):
        with pytest.raises(CommandError, match="is no address"):
            ask(StreamSettings(url=url, token=Secret("secret")), [])


def test_a_certificate_is_verified_by_the_systems_authorities(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with serving([whole(200, LAST)] * 9, authority.server()) as (server, settings):
        with pytest.raises(CommandError, match="not proven") as raised:
            ask(settings, [])
        assert "SSL_CERT_FILE" in raised.value.hint
        process = subprocess.Popen(
            [sys.executable, "-m", "indelible", "stream"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "SSL_CERT_FILE": str(authority.file),
                "INDELIBLE_STREAM_URL": settings.url,
                "INDELIBLE_STREAM_TOKEN": "secret",
            },
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: server.asked, "it was not asked")
        process.terminate()
        assert process.communicate(timeout=10)[1] == b""
    assert process.returncode == 0
