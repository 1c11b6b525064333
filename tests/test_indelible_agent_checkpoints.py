"""`indelible agent checkpoints`: what an operator sees of a whole, a torn and a missing one."""

import gzip
import os
import re
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent import checkpoint
from agent.checkpoint import SLOTS
from agent.errors import CheckpointMissingError, CheckpointUnreadableError
from agent.findings import find
from agent.lock import hold
from indelible.agent import command
from indelible.agent_checkpoints import look
from indelible.cli import describe
from tests.agent_world import SOURCE, Bench, bench, event_line, write


def run(directory: Path, *arguments: str) -> Result:
    """As a user calls it, below `indelible agent`, in a pipe."""
    runner = CliRunner(env={"INDELIBLE_HOME": str(directory), "COLUMNS": "80"})
    return runner.invoke(command, ["checkpoints", *arguments])


@pytest.fixture
def agent(tmp_path: Path) -> Bench:
    """Three files: one settled, one that has grown since, one that is gone; and a gap."""
    for name, numbers in (("settled", range(3)), ("grown", range(5, 8)), ("gone", range(8, 9))):
        write(tmp_path / f"{name}.log", *numbers)
    one = bench(tmp_path)
    one.drain()
    with (tmp_path / "grown.log").open("ab") as file:
        file.write(event_line(10))
    (tmp_path / "gone.log").unlink()
    return one


def test_it_shows_files_and_sources(agent: Bench, tmp_path: Path) -> None:
    result = run(tmp_path, "--state-directory", agent.settings.state_directory)
    assert result.exit_code == 0, result.output
    first, head, grown, *_ = result.output.splitlines()
    assert re.match("generation 1, saved [0-9]+m?s ago", first)
    assert first.endswith("ago; no agent runs")
    assert head.split() == ["file", "offset", "size", "lag", "last", "seen"]
    assert grown.split()[0] == str(tmp_path / "grown.log"), "what lags comes first"
    gone = next(line for line in result.output.splitlines() if "gone.log" in line)
    assert gone.split()[2:5] == ["-", "-", "gone"]
    assert re.search(r"within the hour of \d{4}-\d\d-\d\dT\d\d:00Z$", gone.rstrip())
    assert "within the hour" not in grown, "it is there now"
    source = next(line for line in result.output.splitlines() if SOURCE in line)
    assert source.split()[:3] == [SOURCE, "8", "3-4"]


@pytest.mark.parametrize(
    ("share", "lag_bytes"), [pytest.param(1.0, 0, id="whole"), pytest.param(0.6, None, id="cut")]
)
def test_an_archive_is_called_so_and_has_no_lag_that_means_nothing(
    tmp_path: Path, share: float, lag_bytes: int | None
) -> None:
    """What it unpacks to is not compared with its size, whichever is larger."""
    packed = gzip.compress(b"".join(event_line(n) + b"\n" for n in range(400)))
    archive = tmp_path / "a.log.1.gz"
    archive.write_bytes(packed[: int(len(packed) * share)])
    one = bench(tmp_path, "*.log*")
    for _ in range(3):
        one.drain()
    (report,) = look(Path(one.settings.state_directory), time.time()).files
    assert (report.archive, report.gone, report.lag_bytes) == (True, False, lag_bytes)
    assert report.offset > (report.size or 0)
    result = run(tmp_path, "--state-directory", one.settings.state_directory)
    (row,) = [line for line in result.output.splitlines() if "a.log.1.gz" in line]
    assert row.split()[-1] == "archive", "and not rotated"


def test_its_help_says_how_exact_it_is() -> None:
    output = CliRunner().invoke(command, ["checkpoints", "--help"]).output
    assert "known to the hour" in " ".join(output.split())


def test_as_json_it_is_one_line_for_programs(agent: Bench, tmp_path: Path) -> None:
    state = agent.settings.state_directory
    result = run(tmp_path, "--state-directory", state, "--json")
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    report = msgspec.json.decode(result.output)
    assert report["ok"]
    assert (report["generation"], report["agentPid"]) == (1, None)
    line_bytes = len(event_line(10))
    found = {Path(file["path"]).stem: file for file in report["files"]}
    assert found["grown"]["lagBytes"] == line_bytes
    assert found["grown"]["size"] == found["grown"]["offset"] + line_bytes
    assert (found["gone"]["size"], found["gone"]["gone"]) == (None, True)
    (source,) = report["sources"]
    assert (source["id"], source["seq"], source["missing"]) == (SOURCE, 8, [[3, 4]])


def test_a_file_that_another_one_replaced_is_gone(agent: Bench, tmp_path: Path) -> None:
    """Its size would be another content's."""
    (tmp_path / "settled.log").rename(tmp_path / "elsewhere")
    (tmp_path / "settled.log").write_bytes(b"x" * 10_000)
    report = look(Path(agent.settings.state_directory), time.time())
    assert next(one for one in report.files if "settled" in one.path).gone


def test_it_works_while_an_agent_runs_and_changes_nothing(agent: Bench, tmp_path: Path) -> None:
    state = Path(agent.settings.state_directory)
    with hold(state):
        before = {path.name: path.read_bytes() for path in state.iterdir()}
        result = run(tmp_path, "--state-directory", str(state))
        assert {path.name: path.read_bytes() for path in state.iterdir()} == before
    assert f"process {os.getpid()} runs" in result.output


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        pytest.param(b"", "torn: it is empty", id="empty"),
        pytest.param(b"\0" * 500, "torn: it holds nothing but zeros", id="zeroed"),
        pytest.param(b'{"format":"indelible-checkpoint","version":7,"generation":2,"bytes":0,'
                     b'"sha256":""}\n', "written by another version of the agent (7", id="newer"),
    ],
)  # fmt: skip
def test_a_broken_generation_is_named_with_the_reason_and_the_other_is_shown(
    damage: bytes, why: str, agent: Bench, tmp_path: Path
) -> None:
    agent.drain()
    state = Path(agent.settings.state_directory)
    (state / SLOTS[0]).write_bytes(damage)
    result = run(tmp_path, "--state-directory", str(state))
    assert result.exit_code == 1
    assert f"{state / SLOTS[0]} does not count: {why}" in result.output
    assert result.output.startswith("generation 1,")
    assert str(tmp_path / "grown.log") in result.output
    report = msgspec.json.decode(run(tmp_path, "--state-directory", str(state), "--json").output)
    assert not report["ok"]
    assert [one["problem"].startswith(why) for one in report["generations"]] == [True, False]
    assert (state / SLOTS[0]).read_bytes() == damage, "only the agent sets it aside"


def test_both_broken_is_shown_too(agent: Bench, tmp_path: Path) -> None:
    state = Path(agent.settings.state_directory)
    for name in SLOTS:
        (state / name).write_bytes(b"\0")
    result = run(tmp_path, "--state-directory", str(state))
    assert result.exit_code == 1
    assert result.output.count("does not count") == 2


def test_the_directory_is_found_by_settings_and_by_the_option_of_the_agent(
    agent: Bench, tmp_path: Path
) -> None:
    state = agent.settings.state_directory
    environment = {"INDELIBLE_AGENT_STATE_DIRECTORY": state, "INDELIBLE_HOME": str(tmp_path)}
    environment["INDELIBLE_OPENSEARCH_URL"] = "https://127.0.0.1:1"
    by_setting = CliRunner(env=environment).invoke(command, ["checkpoints"])
    by_option = CliRunner().invoke(command, ["--state-directory", state, "checkpoints"])
    assert by_setting.exit_code == by_option.exit_code == 0
    assert SOURCE in by_setting.output
    assert SOURCE in by_option.output


def test_without_a_checkpoint_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissingError, match="no agent has run") as caught:
        look(tmp_path, 0.0)
    text, code = describe(caught.value) or ("", 0)
    assert str(tmp_path) in text
    assert "next: name the agent's directory" in text
    assert code == 1


def test_a_checkpoint_that_may_not_be_read_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / SLOTS[0]).mkdir()
    with pytest.raises(CheckpointUnreadableError, match="cannot read the checkpoint in"):
        look(tmp_path, 0.0)


def test_what_is_not_recorded_yet_is_shown(agent: Bench, tmp_path: Path) -> None:
    state = Path(agent.settings.state_directory)
    loaded = checkpoint.load(state)
    waiting = (find("gap", SOURCE, (3, 4), "/var/log/a.log", 7),)
    checkpoint.save(state, msgspec.structs.replace(loaded, generation=2, findings=waiting))
    result = run(tmp_path, "--state-directory", str(state))
    assert "not recorded yet: gap of 2 events in /var/log/a.log" in result.output


def test_the_name_of_a_file_is_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[2J.log", 0)
    one = bench(tmp_path)
    one.drain()
    result = run(tmp_path, "--state-directory", one.settings.state_directory)
    assert "\x1b" not in result.output
    assert "\\u001b[2J.log" in "".join(result.output.split())


def test_thousands_of_files_are_counted_and_not_poured_out(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path / f"{number}.log", number)
    one = bench(tmp_path)
    one.drain()
    state = one.settings.state_directory
    result = run(tmp_path, "--state-directory", state)
    assert "10 files more: --all" in result.output
    assert len(run(tmp_path, "--state-directory", state, "--all").output.splitlines()) == 64


def test_its_help_says_what_the_columns_and_the_exit_codes_mean(tmp_path: Path) -> None:
    output = run(tmp_path, "--help").output
    for word in ("offset", "lag", "rotated", "gone", "missing", "told", "Exit code", "--json"):
        assert word in output
