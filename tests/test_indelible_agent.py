"""The agent as an operator runs it: a process, on the real node."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent import status
from agent.settings import AgentSettings
from audit_events import open_log
from indelible.agent import command, give
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.waiting import wait_until


class Rig:
    """A directory of logs, and agents on it that can be killed."""

    def __init__(self, directory: Path, cluster: Cluster, index: IndexSettings) -> None:
        self.directory = directory
        self.cluster = cluster
        self.index = index
        self.state = directory / "state"
        self.own_log = directory / "agent.log"
        self.running: list[subprocess.Popen[str]] = []

    def environment(self, **changes: str) -> dict[str, str]:
        settings = {
            "INDELIBLE_HOME": str(self.directory / "home"),
            "INDELIBLE_OPENSEARCH_URL": self.cluster.url,
            "INDELIBLE_OPENSEARCH_CA_FILE": str(self.cluster.ca_file),
            "INDELIBLE_OPENSEARCH_WRITER_USERNAME": "audit_writer",
            "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": self.cluster.credentials.users["audit_writer"],
            "INDELIBLE_INDEX_PREFIX": self.index.prefix,
            "INDELIBLE_AGENT_PATHS": f"{self.directory}/*.events*",
            "INDELIBLE_AGENT_STATE_DIRECTORY": str(self.state),
            "INDELIBLE_AGENT_BATCH_EVENTS": "500",
            **changes,
        }
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("INDELIBLE_")
        }
        return kept | settings

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        with self.own_log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "indelible", "agent", *arguments],
                env=self.environment(**changes),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.running.append(process)
        return process

    def finish(self, *arguments: str, **changes: str) -> tuple[int, str]:
        """Run an agent to its end."""
        process = self.start(*arguments, **changes)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()

    def log(self, count: int, name: str = "app.events") -> None:
        log = open_log(self.directory / name, service="s")
        for number in range(count):
            log.info(
                "member.role_changed",
                organization_id="o1",
                actor={"type": "user", "id": f"u{number}"},
                context={"previous": {"role": "member"}, "new": {"role": "owner"}, "n": number},
            )

    def stored(self) -> dict[str, bytes]:
        """Every document by id, as it is in the index."""
        pattern = f"{self.index.prefix}-*"
        found: dict[str, bytes] = {}
        with self.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=pattern)
        with self.cluster.client("reader") as client:
            after: list[object] | None = None
            while True:
                body: dict[str, object] = {"size": 2000, "sort": [{"id": "asc"}]}
                if after:
                    body["search_after"] = after
                hits = client.search(index=pattern, body=body)["hits"]["hits"]
                if not hits:
                    return found
                for hit in hits:
                    assert hit["_id"] not in found, "stored twice"
                    found[hit["_id"]] = msgspec.json.encode(hit["_source"])
                after = hits[-1]["sort"]

    def count(self) -> int:
        report = status.read(self.state)
        return report.totals.created + report.totals.duplicates if report else 0


@pytest.fixture
def rig(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[Rig]:
    one = Rig(tmp_path, opensearch, index)
    yield one
    one.close()


def told(path: Path, event: str) -> bool:
    return path.exists() and f'"event": "{event}"' in path.read_text()


@pytest.mark.opensearch
def test_sigterm_ends_it_cleanly_and_a_second_agent_is_refused_meanwhile(rig: Rig) -> None:
    rig.log(10)
    first = rig.start()
    wait_until(lambda: rig.count() == 10, "ships")
    second = subprocess.run(
        [sys.executable, "-m", "indelible", "agent"],
        env=rig.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr
    assert "next: " in second.stderr
    # What is appended while it runs is found without a restart.
    rig.log(5, "other.events")
    wait_until(lambda: rig.count() == 15, "follows")
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    report = status.read(rig.state)
    assert report is not None
    assert (report.state, report.lag_bytes) == ("stopped", 0)
    code, output = rig.finish("--once")
    assert (code, output.split()[0]) == (0, "0")
    assert len(rig.stored()) == 15


@pytest.mark.opensearch
def test_expired_credentials_keep_the_data(rig: Rig) -> None:
    """Scenario 5: nothing goes to the dead letter, and the right password ships it."""
    rig.log(10)
    wrong = "expired"
    process = rig.start(
        INDELIBLE_OPENSEARCH_WRITER_PASSWORD=wrong, INDELIBLE_AGENT_SHUTDOWN_SECONDS="1"
    )
    wait_until(lambda: told(rig.own_log, "bulk_halted"), "alarm")
    process.terminate()
    assert process.wait(30) == 0
    assert not (rig.state / "dead-letter.jsonl").exists()
    code, output = rig.finish("--once")
    assert code == 0
    assert output.startswith("10 events stored, 0 stored before, 0 in the dead letter")


@pytest.mark.opensearch
def test_malformed_lines_are_in_the_dead_letter_and_the_rest_is_stored(rig: Rig) -> None:
    rig.log(3)
    with (rig.directory / "app.events").open("ab") as file:
        file.write(b"garbage\n" + b"x" * 100_000 + b"\n")
    rig.log(2)
    code, output = rig.finish("--once")
    assert code == 0
    assert output.startswith("5 events stored, 0 stored before, 2 in the dead letter")
    records = (rig.state / "dead-letter.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(record).get("bytes") for record in records] == [None, 100_000]


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "indelible", "agent", *arguments],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.slow
def test_a_state_directory_that_cannot_be_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, text = run(
        "--state-directory",
        str(tmp_path / "file" / "state"),
        INDELIBLE_HOME=str(tmp_path),
        INDELIBLE_OPENSEARCH_URL="https://127.0.0.1:1",
    )
    assert code == 1
    assert "error: cannot write to the state directory" in text
    assert "next: let this user write" in text


def test_settings_that_are_wrong_are_all_told(tmp_path: Path) -> None:
    code, text = run(
        INDELIBLE_HOME=str(tmp_path),
        INDELIBLE_AGENT_BATCH_EVENTS="0",
        INDELIBLE_AGENT_POLL_INTERVAL_SECONDS="soon",
    )
    assert code == 2
    assert "INDELIBLE_AGENT_BATCH_EVENTS" in text
    assert "INDELIBLE_AGENT_POLL_INTERVAL_SECONDS" in text


def test_options_stand_in_for_settings() -> None:
    settings = AgentSettings(paths=("/a",), state_directory="/s", check_chain=True)
    assert give(settings) == settings
    assert give(settings, paths=("/b", "/c")).paths == ("/b", "/c")
    assert give(settings, state_directory="/t").state_directory == "/t"
    assert give(settings, check_chain=False).check_chain is False


def test_its_help_says_how_it_ends() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "--once" in result.output
    assert "SIGTERM" in result.output
