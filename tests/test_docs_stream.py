"""docs/stream.md has the options there are; its consumer goes on through what breaks, and stops."""

import json
import os
import re
import shlex
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import click
import pytest
from typing_extensions import override

from indelible.stream import command
from tests.app_traffic import ROOT

STREAM = (ROOT / "docs" / "stream.md").read_text()
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


def test_each_option_of_the_command_is_in_the_table_and_the_lines_to_copy_are_right() -> None:
    section = STREAM.split("## From the terminal")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(TEXT|--[a-z-]+)", row)}
    assert documented == {
        one.human_readable_name if isinstance(one, click.Argument) else one.opts[0]
        for one in command.params
    }
    lines = re.findall(r"^indelible stream (.*?) \|", section, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        command.make_context("stream", shlex.split(line))


def test_the_loop_that_mails_sends_one_mail_for_each_event(tmp_path: Path) -> None:
    loop = STREAM.partition("'result:denied' | ")[2].partition("```")[0]
    sent = tmp_path / "sent"
    mail = tmp_path / "mail"
    mail.write_text(f'#!/bin/sh\necho "$@" >> {sent}\ncat >> {sent}\n')
    mail.chmod(0o755)
    event = {"timestamp": "T", "action": "api_key.created", "actor": {"id": "u_1"}}
    subprocess.run(
        ["/bin/bash", "-c", loop],
        input=f"{json.dumps(event)}\n" * 2,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        text=True,
        check=True,
    )
    assert sent.read_text() == "-s Audit log oncall@company.com\nT api_key.created by u_1\n" * 2


def test_the_consumer_goes_on(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (consumer,) = re.findall(r"```python\n(.*?)```", STREAM, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    Path("token.txt").write_text("token\n")
    code = compile(consumer.replace("https://audit.example", address), "stream.md", "exec")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        exec(code, {"__name__": "__main__"})  # noqa: S102  # our own page
    assert capsys.readouterr().out == '{"id": "1"}\n'
    assert Bad.asked == ["start=beginning"] * 4 + ["after=behind+1"]
    assert Path("cursor.txt").read_text() == "behind 1"
