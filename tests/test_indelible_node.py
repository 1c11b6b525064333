"""`indelible node` as an operator uses it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from indelible.configuration import load
from indexer.client import connect, request
from node.artifact import read_lock
from tests.node_home import artifact_cache, free_ports, own_home


class Operator:
    """Runs the command with a home of its own."""

    def __init__(self, home: Path) -> None:
        http_port, transport_port = free_ports(2)
        self.url = f"https://127.0.0.1:{http_port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("INDELIBLE_")}
        self.environ = {
            **kept,
            "INDELIBLE_HOME": str(home),
            "INDELIBLE_CACHE": str(artifact_cache()),
            "INDELIBLE_NODE_HTTP_PORT": str(http_port),
            "INDELIBLE_NODE_TRANSPORT_PORT": str(transport_port),
            "INDELIBLE_NODE_HEAP_MEGABYTES": "512",
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "indelible", "node", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_before_the_first_start_status_says_so(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert "absent" in operator.run("status", code=1)
    status = msgspec.json.decode(operator.run("status", "--json", code=1))
    assert (status["state"], status["pid"]) == ("absent", None)
    assert operator.run("stop") == "node-1 was not running\n"


@pytest.mark.slow
def test_without_network_and_cache_it_says_what_to_do(tmp_path: Path) -> None:
    # Not tmp_path as the home: root's node would leave its place behind.
    with own_home() as home:
        operator = Operator(home)
        operator.environ |= {
            "INDELIBLE_CACHE": str(tmp_path / "cache"),
            "HTTPS_PROXY": "http://127.0.0.1:1",
            "https_proxy": "http://127.0.0.1:1",
        }
        said = operator.run("start", code=1)
        assert "error: " in said
        assert any(artifact.coordinates in said for artifact in read_lock())
        assert "next: connect to the network" in said
        assert "Traceback" not in said


@pytest.mark.opensearch
@pytest.mark.slow
def test_start_status_logs_stop() -> None:
    with own_home() as home:
        operator = Operator(home)
        assert "started in" in operator.run("start")
        try:
            assert "runs already" in operator.run("start")
            status = msgspec.json.decode(operator.run("status", "--json"))
            assert (status["state"], status["url"]) == ("running", operator.url)
            assert "green" in operator.run("status")
            assert len(operator.run("logs", "-n", "3").splitlines()) == 3
            # Another shell, which knows the home alone.
            del operator.environ["INDELIBLE_NODE_HTTP_PORT"]
            del operator.environ["INDELIBLE_NODE_TRANSPORT_PORT"]
            assert "runs already" in operator.run("start")
            connection = load(operator.environ).connection
            assert connection.url == operator.url
            with connect(connection, role="lifecycle") as client:
                assert request(client, "GET", "/_cluster/health") is not None
        finally:
            assert operator.run("stop") == "node-1 stopped\n"
        assert "stopped" in operator.run("status", code=1)


def test_a_node_is_not_started_in_a_directory_of_somebody_else(tmp_path: Path) -> None:
    """A source checkout has folders called like ours; what is not a home is left alone."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "tail.py").write_text("source")
    before = sorted(tmp_path.rglob("*"))
    said = Operator(tmp_path).run("start", code=1)
    assert str(tmp_path) in said
    assert "next: " in said
    assert sorted(tmp_path.rglob("*")) == before
