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
from tests.webapi_process import ask, log_lines, serving

THREADS: Final = 4
SECONDS: Final = 0.5
ROUNDS: Final = 4
PATIENCE_SECONDS: Final = 5
TRIES: Final = 3
"""So many, as a machine that stands still for a moment makes many wait."""
SERVER: Final = f"""
import os, sys, time
from multiprocessing import Barrier
from threading import BrokenBarrierError
from flask import Flask
from webapi import log, server
from webapi.settings import WebSettings

server.CLIENT_SILENCE_SECONDS = int(sys.argv[2])
app = Flask("slow")
all_threads = Barrier({2 * THREADS})

@app.get("/healthz")
def answer():
    return ""

@app.get("/slow")
def answer_slowly():
    time.sleep({SECONDS})
    return str(os.getpid())

@app.get("/together")
def answer_together():
    try:
        all_threads.wait({PATIENCE_SECONDS})
    except BrokenBarrierError:
        return "", 503
    return ""

@app.get("/again")
def begin_again():
    all_threads.reset()
    return ""

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
def test_no_worker_is_full_while_another_rests(port: int) -> None:
    """Each answer waits until all threads have one: not one question may wait for a thread.

    By gunicorn's own worker, none of 20 tries.
    """
    for _ in range(TRIES):
        with ThreadPoolExecutor(2 * THREADS) as pool:
            asked = [pool.submit(are_together, port) for _ in range(2 * THREADS)]
        if all(one.result() for one in asked):
            return
        ask(f"http://127.0.0.1:{port}/again")
    raise AssertionError("some of them waited for another")


def are_together(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/together"
    return all(ask(url)[0] == 200 for _ in range(2 * ROUNDS))


@pytest.mark.slow
def test_connections_that_are_kept_fill_no_worker_while_another_rests(port: int) -> None:
    tried: list[tuple[float, Counter[bytes]]] = []
    while not any(is_shared(*one) for one in tried):
        assert len(tried) < TRIES, f"many of them waited for another: {tried}"
        tried.append(three_quarters(port))


def is_shared(seconds: float, workers: Counter[bytes]) -> bool:
    most = ROUNDS * THREADS + THREADS
    return seconds < 2 * SECONDS and len(workers) == 2 and max(workers.values()) <= most


def three_quarters(port: int) -> tuple[float, Counter[bytes]]:
    """Within how many seconds three of four are answered, and how many by which worker."""
    clients = 2 * THREADS
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask_again_and_again, port, "keep-alive") for _ in range(clients)]
    found = all_of(asked)
    workers = Counter(one.worker for one in found)
    return quantiles((one.seconds for one in found), n=4)[2], workers


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
