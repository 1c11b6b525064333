"""Workers of gunicorn share what comes: none is full while another has a thread that rests."""

import http.client
import os
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, quantiles
from typing import Final, NamedTuple

import pytest

from tests.conftest import free_ports
from tests.webapi_process import log_lines, serving

THREADS: Final = 4
SECONDS: Final = 0.5
ROUNDS: Final = 4
TRIES: Final = 3
"""So many, as a machine that stands still for a moment makes many wait."""
SERVER: Final = f"""
import os, sys, time
from flask import Flask
from webapi import log, server
from webapi.settings import WebSettings

server.CLIENT_SILENCE_SECONDS = int(sys.argv[2])
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


@contextmanager
def serving_slowly(log: Path, silence_seconds: int = 60) -> Generator[int]:
    """A server of two workers, which takes `SECONDS` to answer."""
    (port,) = free_ports(1)
    with serving(["-c", SERVER, str(port), str(silence_seconds)], dict(os.environ), port, log):
        yield port


@pytest.fixture
def port(log: Path) -> Iterator[int]:
    with serving_slowly(log) as port:
        yield port


@pytest.mark.slow
def test_whoever_keeps_a_connection_goes_before_nobody(port: int) -> None:
    """Whoever connects anew waits 1.3 to 1.4 times as long; with gunicorn's own, 2.4 to 3.3."""
    many, few = 3 * THREADS, THREADS
    with ThreadPoolExecutor(many + few) as pool:
        staying = [pool.submit(ask_again_and_again, port, "keep-alive", 12) for _ in range(many)]
        time.sleep(SECONDS)
        coming = [pool.submit(ask_again_and_again, port, "close", 3) for _ in range(few)]
    anew, kept_on = all_of(coming), all_of(staying)
    # Of the same time: where the machine stood still, it did so for both.
    first, last = min(one.begun for one in anew), max(one.begun for one in anew)
    kept_on = [one for one in kept_on if first <= one.begun <= last]
    of_anew, of_kept = (fmean(one.seconds for one in some) for some in (anew, kept_on))
    assert of_anew < 2 * of_kept, "not a time: the machine may be slow"


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_no_worker_is_full_while_another_rests(port: int, connection: str) -> None:
    tried = (three_quarters(port, connection) for _ in range(TRIES))
    assert any(seconds < 2 * SECONDS for seconds in tried), "many of them waited for another"


def three_quarters(port: int, connection: str) -> float:
    """Within how many seconds three of four are answered."""
    clients = 2 * THREADS
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask_again_and_again, port, connection) for _ in range(clients)]
    workers = Counter(one.worker for one in all_of(asked))
    assert len(workers) == 2
    assert max(workers.values()) <= ROUNDS * THREADS + THREADS, workers
    return quantiles((one.seconds for one in all_of(asked)), n=4)[2]


@pytest.mark.slow
def test_a_client_that_is_cut_for_its_silence_is_one_line_of_the_log(log: Path) -> None:
    with serving_slowly(log, silence_seconds=1) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        connection.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert connection.sock.recv(1) == b"", "cut"
        connection.close()
    (line,) = [line for line in log_lines(log) if "client" in str(line["event"])]
    assert (line["level"], "exception" in line) == ("info", False)
    assert "error" not in {line["level"] for line in log_lines(log)}


class Asked(NamedTuple):
    """Which worker answered, when it was asked, and how long that took."""

    worker: bytes
    begun: float
    seconds: float


def all_of(clients: "Sequence[Future[list[Asked]]]") -> list[Asked]:
    return [one for client in clients for one in client.result()]


def ask_again_and_again(port: int, kept: str, rounds: int = ROUNDS) -> list[Asked]:
    found: list[Asked] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(rounds):
        begun = time.monotonic()
        connection.request("GET", "/slow", headers={"Connection": kept})
        worker = connection.getresponse().read()
        found.append(Asked(worker, begun, time.monotonic() - begun))
    connection.close()
    return found
