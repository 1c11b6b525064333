"""`indelible agent --once`: the bar, what it came to, and the exit codes."""

import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import structlog
from click.testing import CliRunner
from rich.console import Console

from agent.board import Board
from agent.start import Outcome
from agent.status import Status, Totals, Waiting
from audit_events import open_log
from indelible.agent import command
from indelible.agent_once import Bar, describe, describe_progress, judge, ship, show
from indexer.log import configure
from tests.cluster import Cluster
from tests.waiting import wait_until

STATUS = Status(
    pid=1,
    state="running",
    started_at="2026-11-23T12:00:00.000000Z",
    updated_at="2026-11-23T12:00:00.000000Z",
    file_count=1,
    lag_bytes=3_000_000,
    oldest_unshipped="",
    in_flight=1,
    totals=Totals(created=10, settled_bytes=1_000_000),
    files=(),
    unreadable={},
    unwatched={},
    checkpoint_problem="",
)
WAITS = Waiting("halted", "security_exception", "2026-11-23T12:00:07.000000Z")


def status(**changes: Any) -> Status:
    return msgspec.structs.replace(STATUS, **changes)


@pytest.mark.parametrize(
    ("changes", "stopped", "says"),
    [
        pytest.param({}, 0, ["1.0 MB of 4.0 MB", "1,234 events/s"], id="under way"),
        pytest.param({"waiting": WAITS}, 0,
                     ["credentials or roles, waiting (security_exception, since 12:00:07Z)"],
                     id="halted"),
        pytest.param({"waiting": msgspec.structs.replace(WAITS, outcome="blocked")}, 0,
                     ["an index is blocked"], id="blocked"),
        pytest.param({"waiting": msgspec.structs.replace(WAITS, outcome="retry")}, 0,
                     ["trying again"], id="retry"),
        pytest.param({"checkpoint_problem": "No space left"}, 0,
                     ["checkpoint cannot be saved: No space left"], id="full disk"),
        pytest.param({"trail_problem": "No space left"}, 0,
                     ["findings cannot be recorded: No space left"], id="trail"),
        pytest.param({"dead_letter_problem": "cannot write the dead letter"}, 0,
                     ["events/s, cannot write the dead letter"], id="dead letter"),
        pytest.param({}, 1, ["stopping, 1.0 MB of 4.0 MB"], id="stopping"),
    ],
)  # fmt: skip
def test_beside_the_bar_stands_how_far_it_is_and_what_holds_it_up(
    changes: dict[str, Any], stopped: int, says: list[str]
) -> None:
    text = describe_progress(status(**changes), 1234.4, is_stopped=bool(stopped))
    assert [one for one in says if one not in text] == []


def test_the_rate_is_that_of_the_last_seconds() -> None:
    bar = Bar(Console(file=io.StringIO()), 20.0)
    rates = [
        bar._rate(status(totals=Totals(created=created)), now)
        for now, created in ((0, 0), (1, 100), (2, 200), (10, 1000), (10.5, 1000), (20, 1000))
    ]
    assert rates == [0, 100, 100, 100, pytest.approx(94, abs=1), 0]


@pytest.mark.parametrize(
    ("unreadable", "last", "stopped", "code", "says"),
    [
        pytest.param({}, status(lag_bytes=0), 0, 0, "10 events stored", id="all settled"),
        pytest.param({}, status(lag_bytes=5), 0, 0, "10 events stored", id="half a line"),
        pytest.param({"/a": "denied"}, status(lag_bytes=0), 0, 1, "not read: /a: denied",
                     id="unreadable"),
        pytest.param({}, status(checkpoint_problem="full"), 0, 1, "checkpoint not saved: full",
                     id="no checkpoint"),
        pytest.param({}, status(trail_problem="full"), 0, 1, "not recorded yet: full",
                     id="no trail"),
        pytest.param({}, status(), 1, 130, "3.0 MB wait for the next start, nothing is lost",
                     id="interrupted"),
        pytest.param({}, status(lag_bytes=0), 1, 0, "10 events stored",
                     id="interrupted at the very end"),
    ],
)  # fmt: skip
def test_what_it_came_to(
    unreadable: dict[str, str], last: Status, stopped: int, code: int, says: str
) -> None:
    report = judge(Outcome(Totals(created=10), unreadable), last, is_stopped=bool(stopped))
    assert report.exit_code == code
    assert report.ok == (code == 0)
    assert says in describe(report)


def test_names_of_files_are_nothing_that_a_terminal_obeys() -> None:
    outcome = Outcome(Totals(), {"/a\x1b[2J": "denied"}, unmatched=("/b\x1b[2J",))
    text = describe(judge(outcome, None, is_stopped=False))
    assert "/a\\u001b[2J" in text
    assert "/b\\u001b[2J" in text
    assert "\x1b" not in text


def test_gaps_and_breaks_are_said() -> None:
    totals = Totals(created=10, gaps=2, missing_events=7, chain_breaks=3)
    text = describe(judge(Outcome(totals, {}), None, is_stopped=False))
    assert "missing: 7 events in 2 gaps, recorded" in text
    assert "altered: 3 events, stored and recorded" in text


def shipped(*, as_json: bool = False) -> tuple[int, str]:
    """What `ship` prints of a run that is over at once."""
    board = Board()
    board.show(status(lag_bytes=0))
    codes: list[int] = []

    @click.command()
    def probe() -> None:
        outcome = Outcome(Totals(created=10), {})
        code = ship(lambda: outcome, board, threading.Event(), shutdown_seconds=1, as_json=as_json)
        codes.append(code)

    result = CliRunner().invoke(probe)
    assert result.exception is None
    return codes[0], result.output


def test_json_is_one_line_with_all_totals() -> None:
    code, output = shipped(as_json=True)
    assert code == 0
    assert output.count("\n") == 1
    report = msgspec.json.decode(output)
    assert (report["ok"], report["complete"], report["totals"]["created"]) == (True, True, 10)


def test_without_a_terminal_nothing_but_the_outcome_is_printed() -> None:
    assert shipped() == (0, "10 events stored, 0 stored before, 0 in the dead letter\n")


def test_on_a_terminal_the_bar_shows_and_is_gone_at_the_end() -> None:
    configure()
    usual = structlog.get_config()["wrapper_class"]
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120)
    board = Board()
    board.show(status())
    with show(board, threading.Event(), console, shutdown_seconds=20):
        wait_until(lambda: "1.0 MB of 4.0 MB" in file.getvalue(), "the bar")
        assert structlog.get_config()["wrapper_class"] is not usual, "warnings alone"
    assert file.getvalue().endswith("\x1b[2K"), "its line is erased"
    assert structlog.get_config()["wrapper_class"] is usual


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_a_glob_that_matches_nothing_is_said_and_is_no_failure(
    tmp_path: Path,
    as_json: bool,  # noqa: FBT001  # an expectation
) -> None:
    arguments = ["--once", "--path", f"{tmp_path}/*.lgo", *(["--json"] if as_json else [])]
    result = subprocess.run(
        [sys.executable, "-m", "indelible", "agent", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "INDELIBLE_HOME": str(tmp_path),
            "INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    if as_json:
        assert msgspec.json.decode(result.stdout)["unmatched"] == [f"{tmp_path}/*.lgo"]
    else:
        first, second = result.stdout.splitlines()
        assert first.startswith("0 events stored")
        assert second == f"no file matches {tmp_path}/*.lgo"


def test_its_help_states_the_exit_codes() -> None:
    output = CliRunner().invoke(command, ["--help"]).output
    for words in ("--once", "--json", "0 ", "1 ", "2 ", "130 "):
        assert words in output


def test_json_is_for_once_alone(tmp_path: Path) -> None:
    result = CliRunner(env={"INDELIBLE_HOME": str(tmp_path)}).invoke(command, ["--json"])
    assert result.exit_code == 2
    assert "--once" in result.output


class Terminal:
    """`indelible agent --once` whose stderr is a terminal of 120 columns."""

    def __init__(self, directory: Path, **environ: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "indelible", "agent", "--once"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "TERM": "xterm",
                "INDELIBLE_HOME": str(directory),
                "INDELIBLE_AGENT_PATHS": f"{directory}/*.events",
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self._ours = ours
        self.shown = ""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 4096):
                self.shown += data.decode(errors="replace")
        except OSError:
            # EIO is how a terminal says that nobody writes to it any more.
            pass

    def wait_for(self, text: str) -> None:
        def is_shown() -> bool:
            assert self.process.poll() is None, self.shown[-2000:]
            return text in self.shown

        wait_until(is_shown, lambda: self.shown[-2000:])

    def end(self) -> str:
        output, _ = self.process.communicate(timeout=60)
        self._thread.join(10)
        return output

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._thread.join(10)
        os.close(self._ours)


@contextmanager
def terminal(directory: Path, **environ: str) -> Generator[Terminal]:
    one = Terminal(directory, **environ)
    try:
        yield one
    finally:
        one.close()


def emit(directory: Path, count: int) -> None:
    log = open_log(directory / "app.events", service="s")
    for _ in range(count):
        log.info("member.invited", organization_id="o1", actor={"type": "system"})


@pytest.mark.slow
def test_ctrl_c_says_what_is_settled_and_that_nothing_is_lost(tmp_path: Path) -> None:
    """The cluster does not answer; the bar says so."""
    emit(tmp_path, 100)
    unreachable = {"INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:9"}
    with terminal(tmp_path, INDELIBLE_AGENT_SHUTDOWN_SECONDS="2", **unreachable) as one:
        one.wait_for("trying again")
        assert "events/s" in one.shown
        assert '"file_followed"' not in one.shown, "what is no trouble is not logged beside a bar"
        one.process.send_signal(signal.SIGINT)
        one.wait_for("Ctrl-C again ends it at once")
        assert "Stopping: up to 2 s for what was sent and is not answered (1 batch)" in one.shown
        output = one.end()
        assert one.process.returncode == 130
    assert output.startswith("0 events stored")
    assert "wait for the next start, nothing is lost" in output
    assert not (tmp_path / "agent" / "dead-letter.jsonl").exists()


@pytest.mark.opensearch
def test_what_ctrl_c_left_the_next_run_ships(tmp_path: Path, opensearch: Cluster) -> None:
    emit(tmp_path, 100)
    with opensearch.own_prefix() as index:
        environ = {
            "INDELIBLE_OPENSEARCH_URL": opensearch.url,
            "INDELIBLE_OPENSEARCH_CA_FILE": str(opensearch.ca_file),
            "INDELIBLE_OPENSEARCH_WRITER_USERNAME": "audit_writer",
            "INDELIBLE_INDEX_PREFIX": index.prefix,
            "INDELIBLE_AGENT_SHUTDOWN_SECONDS": "1",
        }
        password = opensearch.credentials.users["audit_writer"]
        wrong = {**environ, "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": "expired"}
        with terminal(tmp_path, **wrong) as one:
            one.wait_for("credentials or roles")
            one.process.send_signal(signal.SIGINT)
            assert "0 events stored" in one.end()
        right = {**environ, "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": password}
        with terminal(tmp_path, **right) as one:
            assert one.end() == "100 events stored, 0 stored before, 0 in the dead letter\n"
            assert one.process.returncode == 0
