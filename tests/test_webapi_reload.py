"""gunicorn while its settings are edited, without a cluster: nothing that is wrong ends it."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import msgspec
import psutil
import pytest

from tests.conftest import free_ports
from tests.webapi_api import SETTINGS
from tests.webapi_process import GUNICORN, ROOT, ask, log_lines, serving
from webapi.server import gunicorn_options

PATIENCE_SECONDS = 60
RIGHT = f'[web]\nworkers = 1\nshutdown_seconds = 1\njwt_secret = "{"j" * 40}"\n'


@dataclass(frozen=True, slots=True)
class Server:
    """A server with one worker, and the file of its settings."""

    config: Path
    log: Path
    port: int
    pid: int

    def hang_up(self, text: str, told: str) -> dict[str, object]:
        """Write other settings, send SIGHUP, and return what the server says of them."""
        self.config.write_text(text)
        before = len(log_lines(self.log))
        os.kill(self.pid, signal.SIGHUP)
        found: list[dict[str, object]] = []

        def is_told() -> bool:
            lines = log_lines(self.log)[before:]
            found[:] = [line for line in lines if line["event"] == told]
            return bool(found)

        eventually(is_told)
        return found[0]

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.pid).children()}

    def header(self, name: str) -> str | None:
        with contextlib.suppress(URLError, ConnectionError):
            status, headers, _ = ask(f"http://127.0.0.1:{self.port}/healthz")
            return headers.get(name) if status == 200 else None
        return None


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (port,) = free_ports(1)
    config, log = tmp_path / "web.toml", tmp_path / "web.log"
    config.write_text(RIGHT)
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "INDELIBLE_CONFIG": str(config),
        "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:1",
        "INDELIBLE_WEB_PORT": str(port),
    }
    with serving(GUNICORN, environ, port, log) as process:
        yield Server(config, log, port, process.pid)


WRONG = [
    pytest.param(RIGHT + "trusted_proxies = 'many'\n", "trusted_proxies", id="a value"),
    pytest.param(
        RIGHT + "trusted_proxy_networks = ['10.0.0.0/8']\n", "trusted_proxy_secret", id="a conflict"
    ),
    pytest.param(RIGHT + "audit_path = '/dev/null/audit.log'\n", "/dev/null", id="a file"),
    pytest.param(RIGHT + "[catalogue]\npath = '/dev/null/c.toml'\n", "/dev/null", id="a catalogue"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "named"), WRONG)
def test_settings_that_are_wrong_are_told_and_the_others_go_on(
    server: Server, text: str, named: str
) -> None:
    first = server.workers()
    refused = server.hang_up(text, "configuration_refused")
    assert named in str(refused["problems"])
    eventually(lambda: not first & server.workers() and server.header("server") is not None)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: worker not in server.workers() and server.header("server") is not None)


@pytest.mark.slow
def test_settings_that_are_right_are_taken(server: Server) -> None:
    name = "strict-transport-security"
    assert server.header(name) is None
    server.hang_up(RIGHT + "hsts_seconds = 60\n", "configuration_reread")
    eventually(lambda: server.header(name) == "max-age=60")


def test_a_worker_gives_up_before_it_is_killed() -> None:
    options = gunicorn_options(msgspec.structs.replace(SETTINGS, shutdown_seconds=7))
    given: dict[str, int] = {}
    options["post_fork"](None, SimpleNamespace(cfg=SimpleNamespace(set=given.__setitem__)))
    assert given == {"graceful_timeout": 7}
    assert options["graceful_timeout"] > 7
