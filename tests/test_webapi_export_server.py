"""Exports by a real server: what is cut off, on either side, never looks whole."""

import http.client
import json
import random
import signal
import socket
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from audit_events.event import decode_event
from indexer.client import ask
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.node_home import free_ports
from tests.webapi_api import store, token, write_events
from tests.webapi_process import environment, log_lines, serving
from webapi.audit_log import PATH

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

EVENTS = 3000
FILLER_BYTES = 2000
"""So that it all is more than the buffers of a connection hold, packed too."""
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A server with one worker, and what it records."""

    cluster: Cluster
    index: IndexSettings
    port: int
    trail: Path
    pid: int
    log: Path

    @contextmanager
    def begun(self, query: str = "") -> Generator[tuple[socket.socket, http.client.HTTPResponse]]:
        """Ask for an export, and read no more than its beginning."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sock.connect(("127.0.0.1", self.port))
        headers = {"Authorization": f"Bearer {token()}"}
        connection.request("GET", f"{PATH}/export?{query}", headers=headers)
        answer = connection.getresponse()
        try:
            assert answer.status == 200
            assert answer.read(100)
            yield connection.sock, answer
        finally:
            answer.close()
            connection.close()

    def states(self) -> list[str]:
        events = [decode_event(line) for line in self.trail.read_bytes().splitlines()]
        return [str((event.context or {})["state"]) for event in events]

    def pinned(self) -> list[str]:
        """The points in time of this test's indices."""
        with self.cluster.admin() as admin:
            reply = ask(admin, "GET", "/_search/point_in_time/_all")
            known = json.loads(reply.text).get("pits", []) if reply.status == 200 else []
            mine = self.index.prefix.encode()
            return [one["pit_id"] for one in known if mine in _decoded(one["pit_id"])]


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


def read_slowly(answer: http.client.HTTPResponse) -> None:
    while answer.read(4096):
        time.sleep(0.01)


@pytest.fixture
def server(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[Server]:
    chance = random.Random(1)  # noqa: S311  # nothing that could be packed well
    events: list[dict[str, object]] = [
        {"action": "app.created", "context": {"reason": chance.randbytes(FILLER_BYTES).hex()}}
        for _ in range(EVENTS)
    ]
    lines = write_events(tmp_path / "e.log", events, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        for start in range(0, EVENTS, 1000):
            store(writer, index, lines[start : start + 1000])
    (port,) = free_ports(1)
    trail = tmp_path / "viewed.log"
    environ = environment(
        opensearch,
        index,
        tmp_path,
        INDELIBLE_WEB_PORT=str(port),
        INDELIBLE_WEB_WORKERS="1",
        INDELIBLE_WEB_SHUTDOWN_SECONDS="1",
        INDELIBLE_WEB_AUDIT_PATH=str(trail),
    )
    with serving(["-m", "indelible", "web"], environ, port, tmp_path / "web.log") as process:
        yield Server(opensearch, index, port, trail, process.pid, tmp_path / "web.log")


def test_a_client_that_goes_away_ends_the_search(server: Server) -> None:
    with server.begun():
        assert server.states() == ["started"]
        assert len(server.pinned()) == 1
    assert eventually(lambda: server.states() == ["started", "aborted"])
    assert eventually(lambda: not server.pinned())


@pytest.mark.parametrize("query", ["", "format=csv", "format=zip", "gzip=true"])
def test_what_the_cluster_breaks_ends_without_its_end(server: Server, query: str) -> None:
    with server.begun(f"{query}&order=asc") as (_, answer):
        with server.cluster.admin() as admin:
            body = json.dumps({"pit_id": server.pinned()}).encode()
            assert ask(admin, "DELETE", "/_search/point_in_time", body=body).status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as broken:
            answer.read()
    partial = getattr(broken.value, "partial", b"")
    assert b'"export":{' not in partial
    assert eventually(lambda: server.states() == ["started", "aborted"])


def test_a_worker_that_is_killed_leaves_no_whole_file(server: Server) -> None:
    (worker,) = psutil.Process(server.pid).children()
    with server.begun() as (_, answer):
        worker.send_signal(signal.SIGKILL)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
    assert server.states() == ["started"], "which tells that it never ended"


def test_a_stop_that_cuts_it_is_recorded(server: Server) -> None:
    """The client goes on reading, slowly: a worker waits for one that rests, until killed."""
    with server.begun() as (_, answer):
        psutil.Process(server.pid).terminate()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            read_slowly(answer)
    assert eventually(lambda: server.states() == ["started", "aborted"])
    told = [line for line in log_lines(server.log) if line["level"] not in ("info", "debug")]
    assert [(line["event"], line["cause"]) for line in told] == [
        ("export cut", "this process stops")
    ]
    assert 0 < int(str(told[0]["events"])) < EVENTS


def test_one_that_is_read_slowly_is_whole(server: Server) -> None:
    with server.begun() as (_, answer):
        time.sleep(1)
        *lines, last = answer.read().splitlines()
    assert len(lines) == EVENTS
    assert json.loads(last)["export"]["events"] == EVENTS
    assert server.states() == ["started", "complete"]
    assert server.pinned() == []
