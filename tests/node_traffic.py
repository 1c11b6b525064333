"""Applications that write, agents that ship and an API that is read, while nodes come and go.

What is counted: every line by id, what was acknowledged (settled, with the checkpoint saved) at a
moment, and every answer of the API with its time.
"""

import os
import subprocess
import sys
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.envelope import decode_envelope
from indexer.client import connect, request
from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.node_home import free_ports
from tests.stored_events import read_ids, read_stored
from tests.three_nodes import await_slowly
from tests.webapi_api import token
from tests.webapi_process import ask, environment, serving
from webapi.audit_log import PATH

AGENTS: Final = 4
EVENTS_PER_SECOND: Final = int(os.environ.get("INDELIBLE_TEST_NODES_EVENTS_PER_SECOND", "300"))
BATCH_EVENTS: Final = "500"
"""Small nodes that have just started take their time; larger requests would meet the timeout."""
READERS: Final = 2
READ_PAUSE_SECONDS: Final = 0.25
QUERIES: Final = ("limit=20", "action=member.role_changed&limit=50", "q=company&limit=10")
GUNICORN: Final = (
    "-m",
    "gunicorn",
    "-c",
    "python:webapi.gunicorn_settings",
    "webapi.wsgi:create()",
)
_APPLICATION: Final = """
import signal, sys, time
from audit_events import open_log
path, name, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
log = open_log(path, service=name)
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
begun, number = time.monotonic(), 0
while not ended:
    while number < rate * (time.monotonic() - begun):
        log.info(
            "member.role_changed",
            organization_id=f"org_{number % 7}",
            actor={"type": "user", "id": f"u{number % 50}", "email": f"u{number % 50}@company.com"},
            ip_address="203.0.113.7",
            context={"previous": {"role": "member"}, "new": {"role": "admin"}, "number": number},
            correlation_id=f"{name}-{number}",
        )
        number += 1
    time.sleep(0.01)
"""


LONGEST_LINE_BYTES: Final = 1024
"""Of the above; one may be half written."""


class Answer(Struct, frozen=True):
    """One answer of the API."""

    at: float
    """When it was asked for (monotonic)."""
    seconds: float
    status: int
    """0 for none."""
    retry_after: str | None
    body: str
    """Of an answer that is none of the events asked for."""


class Account(Struct, frozen=True):
    """What became of all lines."""

    events: int
    lost: int
    twice: int
    altered: int
    buried: int


class Traffic:
    """All that goes on, with its counts."""

    def __init__(self, directory: Path, cluster: Cluster, index: IndexSettings) -> None:
        self.cluster = cluster
        self.index = index
        self.homes: list[AgentHome] = []
        self.applications: list[subprocess.Popen[bytes]] = []
        self.answers: list[Answer] = []
        for number in range(AGENTS):
            own = directory / str(number)
            own.mkdir()
            home = AgentHome(own, cluster, index)
            self.homes.append(home)
            home.start(INDELIBLE_AGENT_BATCH_EVENTS=BATCH_EVENTS)
            self.applications.append(_write(own / "app.events", f"application-{number}"))

    def acknowledged(self) -> set[str]:
        """The ids below all checkpoints, as these are on disk now."""
        ids: set[str] = set()
        for home in self.homes:
            for name, offset in home.places().items():
                with (home.directory / name).open("rb") as file:
                    lines = file.read(offset).splitlines()
                ids.update(decode_envelope(line).id for line in lines)
        return ids

    def found(self) -> set[str]:
        """The ids that a search over everything finds, as the reader."""
        self._act("_refresh")
        with self._reader() as reader:
            return set(read_ids(reader, self.index.prefix))

    def flush(self) -> None:
        """Have a commit: a node that returns replays only what came after it."""
        self._act("_flush")

    def _reader(self) -> OpenSearch:
        """As the reader, who counts and is not in a hurry."""
        patient = msgspec.structs.replace(self.cluster.connection(), timeout_seconds=60)
        return connect(patient, role="reader")

    def _act(self, operation: str) -> None:
        with self.cluster.client("lifecycle") as lifecycle:
            request(lifecycle, "POST", f"/{self.index.prefix}-*/{operation}")

    def settled_bytes(self) -> int:
        """Below all checkpoints."""
        return sum(offset for home in self.homes for offset in home.places().values())

    def await_shipped(self, seconds: float) -> None:
        """Wait until all that was written until now is settled."""
        targets = [
            (home, path, path.stat().st_size) for home in self.homes for path in _files(home)
        ]
        await_slowly(
            lambda: all(
                home.places().get(path.name, 0) >= size - LONGEST_LINE_BYTES
                for home, path, size in targets
            ),
            self.said,
            seconds,
        )

    def said(self) -> str:
        """The end of what each agent said."""
        return "\n".join(home.said() for home in self.homes)

    def end(self, seconds: float) -> Account:
        """Let the applications end and the agents ship all of it, and count."""
        for application in self.applications:
            application.terminate()
        assert [application.wait(30) for application in self.applications] == [0] * AGENTS
        for home in self.homes:
            home.await_settled(seconds)
        return self._account()

    def _account(self) -> Account:
        written: dict[str, bytes] = {}
        for home in self.homes:
            for path in _files(home):
                home.note(path.read_bytes())
            written |= home.written
        stored: Counter[str] = Counter()
        altered = 0
        self._act("_refresh")
        with self._reader() as reader:
            for hit in read_stored(reader, self.index.prefix):
                stored[hit.id] += 1
                altered += written.get(hit.id) != hit.line
        return Account(
            events=len(written),
            lost=len(written.keys() - stored.keys()),
            twice=sum(count - 1 for count in stored.values()),
            altered=altered,
            buried=sum(len(home.buried()) for home in self.homes),
        )

    def close(self) -> None:
        for application in self.applications:
            application.kill()
            application.wait()
        for home in self.homes:
            home.close()


@contextmanager
def traffic(directory: Path, cluster: Cluster, index: IndexSettings) -> Generator[Traffic]:
    """Applications, agents, an API and its readers until the end of the block."""
    (port,) = free_ports(1)
    environ = environment(cluster, index, directory, INDELIBLE_WEB_PORT=str(port))
    with ExitStack() as stack:
        stack.enter_context(serving(GUNICORN, environ, port, directory / "web.log"))
        one = Traffic(directory, cluster, index)
        stack.callback(one.close)
        stack.enter_context(_reading(f"http://127.0.0.1:{port}{PATH}", one.answers))
        yield one


def _files(home: AgentHome) -> list[Path]:
    return list(home.directory.glob("*.events"))


def _write(path: Path, name: str) -> subprocess.Popen[bytes]:
    rate = str(EVENTS_PER_SECOND / AGENTS)
    return subprocess.Popen([sys.executable, "-c", _APPLICATION, str(path), name, rate])


@contextmanager
def _reading(url: str, answers: list[Answer]) -> Generator[None]:
    done = threading.Event()
    bearer = token("org_3")

    def read(number: int) -> None:
        while not done.wait(READ_PAUSE_SECONDS):
            answers.append(_ask(f"{url}?{QUERIES[number % len(QUERIES)]}", bearer))
            number += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _ask(url: str, bearer: str) -> Answer:
    begun = time.monotonic()
    try:
        status, headers, body = ask(url, bearer)
    except (OSError, urllib.error.URLError) as error:
        status, headers, body = 0, {}, str(error).encode()
    return Answer(
        at=begun,
        seconds=time.monotonic() - begun,
        status=status,
        retry_after=headers.get("retry-after"),
        body="" if status == 200 else body.decode(errors="replace")[:300],
    )
