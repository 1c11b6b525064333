"""Workers of gunicorn share what comes: none is full while another has a thread that rests."""

import http.client
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Final

import pytest

from tests.conftest import free_ports
from tests.webapi_process import log_lines, serving

THREADS: Final = 4
SECONDS: Final = 0.5
ROUNDS: Final = 4
SERVER: Final = f"""
import os, sys, time
from flask import Flask
from webapi import log, server
from webapi.settings import WebSettings

server.CLIENT_SILENCE_SECONDS = 1
app = Flask("slow")

@app.get("/healthz")
def answer():
    return ""

@app.get("/slow")
def answer_slowly():
    time.sleep({SECONDS})
    return str(os.getpid())

server.serve(WebSettings(port=int(sys.argv[1]), workers=2, threads={THREADS}), lambda: app)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the server says."""
    return tmp_path / "web.log"


@pytest.fixture
def port(log: Path) -> Iterator[int]:
    """A server of two workers, which takes `SECONDS` to answer."""
    (port,) = free_ports(1)
    with serving(["-c", SERVER, str(port)], dict(os.environ), port, log):
        yield port


@pytest.mark.slow
def test_whoever_keeps_a_connection_goes_before_nobody(port: int) -> None:
    """Whoever connects anew waits 1.3 to 1.4 times as long; with gunicorn's own, 2.4 to 3.3."""
    many, few = 3 * THREADS, THREADS
    with ThreadPoolExecutor(many + few) as pool:
        staying = [pool.submit(ask_again_and_again, port, "keep-alive", 12) for _ in range(many)]
        time.sleep(SECONDS)
        coming = [pool.submit(ask_again_and_again, port, "close", 3) for _ in range(few)]
    anew, kept_on = (
        fmean(seconds for client in asked for _, seconds in client.result())
        for asked in (coming, staying)
    )
    assert anew < 2 * kept_on, "not a time: the machine may be slow"


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_no_worker_is_full_while_another_rests(port: int, connection: str) -> None:
    clients = 2 * THREADS
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask_again_and_again, port, connection) for _ in range(clients)]
    workers = Counter(worker for client in asked for worker, _ in client.result())
    times = sorted(seconds for client in asked for _, seconds in client.result())
    assert len(workers) == 2
    assert max(workers.values()) <= ROUNDS * THREADS + THREADS, workers
    assert times[len(times) * 3 // 4] < 2 * SECONDS, "most of them waited for no other"


@pytest.mark.slow
def test_a_client_that_is_cut_for_its_silence_is_one_line_of_the_log(port: int, log: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    connection.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
    assert connection.sock.recv(1) == b"", "cut"
    connection.close()
    (line,) = [line for line in log_lines(log) if "client" in str(line["event"])]
    assert (line["level"], "exception" in line) == ("info", False)
    assert "error" not in {line["level"] for line in log_lines(log)}


def ask_again_and_again(port: int, kept: str, rounds: int = ROUNDS) -> list[tuple[bytes, float]]:
    """Return which worker answered each time, and after how long."""
    found: list[tuple[bytes, float]] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(rounds):
        begin = time.monotonic()
        connection.request("GET", "/slow", headers={"Connection": kept})
        worker = connection.getresponse().read()
        found.append((worker, time.monotonic() - begin))
    connection.close()
    return found
