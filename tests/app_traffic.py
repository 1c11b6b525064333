"""A real server with one of `tests/apps`, and users who all ask it at once."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from audit_events.chain import verify_chain
from audit_events.event import SYSTEM_ORGANIZATION, Actor, Event, TargetUser, decode_event

ROOT: Final = Path(__file__).parent.parent
USERS: Final = 50
ROUNDS: Final = 3

_WERKZEUG: Final = """
import sys
from importlib import import_module
from werkzeug.serving import make_server
module, _, name = sys.argv[2].partition(":")
app = getattr(import_module(module), name)
make_server("127.0.0.1", 0, app, threaded=True, fd=int(sys.argv[1])).serve_forever()
"""
_GUNICORN: Final = (
    *("gunicorn", "--worker-class=gthread", f"--threads={USERS}", "--log-level=error"),
    # On a busy machine a client may be slower than the few seconds that servers wait by default.
    *("--keep-alive=75", "--timeout=120"),
)
_UVICORN: Final = ("uvicorn", "--log-level=warning", "--timeout-keep-alive=75")


def server_command(kind: str, app: str, descriptor: int) -> list[str]:
    """Return the command that serves `module:name` on a socket that listens already."""
    if kind == "werkzeug":
        return [sys.executable, "-c", _WERKZEUG, str(descriptor), app]
    if kind == "gunicorn":
        return [sys.executable, "-m", *_GUNICORN, f"--bind=fd://{descriptor}", app]
    return [sys.executable, "-m", *_UVICORN, f"--fd={descriptor}", app]


@contextlib.contextmanager
def serve(
    kind: str, app: str, directory: Path, listening: socket.socket
) -> Generator[subprocess.Popen[bytes]]:
    """Serve an application from `directory`, where its audit.log lands."""
    descriptor = listening.fileno()
    process = subprocess.Popen(
        server_command(kind, app, descriptor),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[descriptor],
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def serving(kind: str, app: str, directory: Path) -> Generator[int]:
    """Serve an application on a port of its own, which is yielded."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=2 * USERS) as listening,
        serve(kind, app, directory, listening),
    ):
        yield listening.getsockname()[1]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one user, and what the event of it must say."""

    view: str
    user: int
    turn: int

    @property
    def correlation_id(self) -> str:
        """As it is sent in X-Request-ID."""
        return f"{self.view}-{self.user}-{self.turn}"

    @property
    def member(self) -> str:
        """Whom it changes."""
        return f"member_{self.user}_{self.turn}"

    @property
    def address(self) -> str:
        """Of the peer: each user connects from an address of their own."""
        return f"127.0.1.{self.user + 1}"

    @property
    def behind_proxy(self) -> str:
        """What the only proxy of ours would have seen."""
        return f"203.0.113.{self.user + 1}"

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, one of them a lie."""
        return {
            "Authorization": f"user_{self.user}.org_{self.user % 7}",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": f"Agent/{self.user}.{self.turn} é",
            "X-Forwarded-For": f"198.51.100.66, {self.behind_proxy}",
            "X-Request-ID": self.correlation_id,
        }

    def ask(self, connection: http.client.HTTPConnection) -> tuple[int, bytes]:
        """Send it, and return the answer."""
        path = f"/{self.view}/{self.member}?role=admin"
        connection.request("PATCH", path, b"role=admin", self.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def visit_all(port: int, views: Sequence[str]) -> None:
    """Let all users ask at the same time, and again on the same connections.

    Every view waits for others (`tests/apps/directory.py`), so that none can end before more began.
    """
    together = threading.Barrier(USERS)

    def stay(user: int) -> None:
        source = (Visit("", user, 0).address, 0)
        connection = http.client.HTTPConnection("127.0.0.1", port, 60, source)
        with contextlib.closing(connection):
            for visit in visits_of(user, views):
                together.wait(timeout=60)
                status, body = visit.ask(connection)
                assert status == 200, (visit, status, body)

    with ThreadPoolExecutor(USERS) as pool:
        users = [pool.submit(stay, user) for user in range(USERS)]
    errors = [error for user in users if (error := user.exception())]
    assert not errors, errors


def visits_of(user: int, views: Sequence[str]) -> list[Visit]:
    """Return what one user does, one after the other."""
    return [Visit(view, user, turn) for view in views for turn in range(ROUNDS)]


def read_events(directory: Path) -> list[Event]:
    """Return the events of an application, whose chain must hold; not those of the log itself."""
    lines = (directory / "audit.log").read_bytes().splitlines()
    assert not verify_chain(lines)
    events = [decode_event(line) for line in lines]
    return [event for event in events if event.organization_id != SYSTEM_ORGANIZATION]


def check_none_mixed_up(
    events: Sequence[Event], views: Sequence[str], *, behind_proxy: bool = False
) -> None:
    """Hold every event against the request that it must be of."""
    visits = {
        visit.correlation_id: visit for user in range(USERS) for visit in visits_of(user, views)
    }
    assert sorted(event.correlation_id or "" for event in events) == sorted(visits)
    for event in events:
        visit = visits[event.correlation_id or ""]
        peer = {"peerAddress": visit.address} if behind_proxy else {}
        assert event == msgspec.structs.replace(
            event,
            organization_id=f"org_{visit.user % 7}",
            actor=Actor(type="user", id=f"user_{visit.user}"),
            target_user=TargetUser(id=visit.member),
            ip_address=visit.behind_proxy if behind_proxy else visit.address,
            user_agent=visit.headers["User-Agent"],
            context={"new": {"role": "admin"}, **peer},
        )
