"""The agent as an operator runs it: a process, on the real node."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.settings import AgentSettings
from indelible.agent import command, give
from indexer.dead_letter import FILE_NAME
from indexer.settings import IndexSettings
from tests.agent_process import AGENT, AgentHome
from tests.cluster import Cluster
from tests.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, opensearch, index)) as one:
        yield one


@pytest.mark.opensearch
def test_sigterm_ends_it_cleanly_and_a_second_agent_is_refused_meanwhile(home: AgentHome) -> None:
    home.emit(10)
    first = home.start()
    home.await_settled()
    second = subprocess.run(
        AGENT, env=home.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr
    assert "next: " in second.stderr
    # What is appended while it runs is found without a restart.
    home.emit(5, "other.events")
    home.await_settled()
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    report = home.status()
    assert report is not None
    assert (report.state, report.lag_bytes) == ("stopped", 0)
    assert (report.totals.created, report.totals.duplicates) == (15, 0)
    assert home.once().split()[0] == "0"
    home.check()


@pytest.mark.opensearch
def test_expired_credentials_keep_the_data(home: AgentHome) -> None:
    """Scenario 5: nothing goes to the dead letter, and the right password ships it."""
    home.emit(10)
    wrong = "expired"
    process = home.start(
        INDELIBLE_OPENSEARCH_WRITER_PASSWORD=wrong, INDELIBLE_AGENT_SHUTDOWN_SECONDS="1"
    )
    wait_until(lambda: home.has_said("bulk_halted"), "alarm")
    process.terminate()
    assert process.wait(30) == 0
    assert not (home.state / FILE_NAME).exists()
    assert home.once().startswith("10 events stored, 0 stored before, 0 in the dead letter")


@pytest.mark.opensearch
def test_malformed_lines_are_in_the_dead_letter_and_the_rest_is_stored(home: AgentHome) -> None:
    home.emit(3)
    with (home.directory / "app.events").open("ab") as file:
        file.write(b"garbage\n" + b"x" * 100_000 + b"\n")
    home.emit(2)
    assert home.once().startswith("5 events stored, 0 stored before, 2 in the dead letter")
    assert [record.get("bytes") for record in home.buried()] == [None, 100_000]
    home.check()


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    result = subprocess.run(
        [*AGENT, *arguments],
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
