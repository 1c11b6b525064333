"""The units and their example files, held against the settings and commands that they speak of."""

import shlex
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

import click
import pytest

from agent.settings import AgentSettings
from indelible import environment_file
from indelible.agent import command
from indelible.cli import EXIT_SETTINGS, describe
from indelible.configuration import load
from indelible.status import asks_indices, serves_web
from indexer.errors import SettingsError
from indexer.settings import ConnectionSettings
from indexer.settings_reading import SettingsReading
from webapi.server import STOP_MARGIN_SECONDS

DIRECTORY = Path(__file__).parent.parent / "packaging" / "systemd"
UNIT = DIRECTORY / "indelible-agent.service"


WEB_UNIT = DIRECTORY / "indelible-web.service"
LIFECYCLE_UNIT = DIRECTORY / "indelible-lifecycle.service"
UNITS = [UNIT, WEB_UNIT, LIFECYCLE_UNIT]


def read_unit(path: Path = UNIT) -> dict[str, list[str]]:
    """Every key with its values, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    return read_unit()


@pytest.fixture
def environ(unit: dict[str, list[str]], tmp_path: Path) -> dict[str, str]:
    """The variables of the unit, with its files as they lie in the repository."""
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    secret = tmp_path / "writer_password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    config = tmp_path / "agent.toml"
    text = (DIRECTORY / "agent.toml").read_text()
    assert '"/etc/indelible/writer_password"' in text
    config.write_text(text.replace("/etc/indelible/writer_password", str(secret)))
    assert variables["INDELIBLE_CONFIG"] == "/etc/indelible/agent.toml"
    return {**variables, "INDELIBLE_CONFIG": str(config)}


def read_settings(environ: dict[str, str]) -> tuple[AgentSettings, ConnectionSettings]:
    reading = SettingsReading(environ)
    agent = reading.group("agent", AgentSettings)
    connection = reading.group("opensearch", ConnectionSettings)
    assert reading.problems == []
    assert agent is not None
    assert connection is not None
    return agent, connection


def test_its_settings_are_settings(environ: dict[str, str]) -> None:
    agent, connection = read_settings(environ)
    assert agent.monitor_port
    assert agent.monitor_host == "127.0.0.1"
    assert agent.paths == ("/var/log/*/audit.log*",)
    assert connection.writer_password is not None


def test_what_is_commented_out_in_the_examples_is_right_too(environ: dict[str, str]) -> None:
    lines = (DIRECTORY / "agent.env").read_text().splitlines()
    examples = [line.removeprefix("# ") for line in lines if line.startswith("# INDELIBLE_")]
    assert examples
    read_settings({**environ, **dict(one.split("=", 1) for one in examples)})
    assert environment_file.read(DIRECTORY / "agent.env") == {}


def test_the_command_takes_what_it_is_called_with(unit: dict[str, list[str]]) -> None:
    program, name, *arguments = shlex.split(unit["ExecStart"][0])
    assert (Path(program).name, name) == ("indelible", "agent")
    context = command.make_context("agent", list(arguments), resilient_parsing=False)
    assert isinstance(context, click.Context)
    assert context.params["environment_file"] == Path("/etc/indelible/agent.env")
    assert not context.params["once"]


def test_it_waits_longer_than_the_agent_does(
    unit: dict[str, list[str]], environ: dict[str, str]
) -> None:
    agent, connection = read_settings(environ)
    stop_seconds = float(unit["TimeoutStopSec"][0])
    assert connection.timeout_seconds <= agent.shutdown_seconds < stop_seconds
    assert AgentSettings().shutdown_seconds < stop_seconds


def test_its_state_is_where_systemd_makes_it(
    unit: dict[str, list[str]], environ: dict[str, str]
) -> None:
    agent, _ = read_settings(environ)
    assert agent.state_directory == f"/var/lib/{unit['StateDirectory'][0]}"


def test_it_is_told_when_the_agent_is_ready_reloads_and_hangs(unit: dict[str, list[str]]) -> None:
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] == ["main"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["Restart"] == ["always"]
    # The loop turns several times a second, and is healthy for 10 s without.
    assert float(unit["WatchdogSec"][0]) >= 30


def test_it_may_do_nothing_that_it_need_not(unit: dict[str, list[str]]) -> None:
    assert unit["CapabilityBoundingSet"] == [""]
    for name in ("NoNewPrivileges", "PrivateDevices", "ProtectKernelModules", "RestrictNamespaces"):
        assert unit[name] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]
    assert "AF_UNIX" in unit["RestrictAddressFamilies"][0], "else it cannot tell anything"
    assert unit["User"] != ["root"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_what_restarting_does_not_mend_is_not_restarted(path: Path) -> None:
    unit = read_unit(path)
    assert unit["RestartPreventExitStatus"] == [str(EXIT_SETTINGS)]
    assert describe(SettingsError(("[agent] paths: wrong",))) == (
        "error: [agent] paths: wrong\nnext: " + SettingsError.hint,
        EXIT_SETTINGS,
    )


def test_a_command_finds_the_agent_by_its_toml_file_alone(
    environ: dict[str, str], unit: dict[str, list[str]]
) -> None:
    found = load({"INDELIBLE_CONFIG": environ["INDELIBLE_CONFIG"]})
    assert found.agent.state_directory == f"/var/lib/{unit['StateDirectory'][0]}"
    assert not found.embedded
    assert not asks_indices(found)
    assert not serves_web(found)


def test_the_webs_settings_are_settings(tmp_path: Path) -> None:
    unit = read_unit(WEB_UNIT)
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    assert variables["INDELIBLE_CONFIG"] == "/etc/indelible-web/web.toml"
    text = (DIRECTORY / "web.toml").read_text()
    for name in ("reader_password", "tokens_password", "jwt_secret"):
        secret = tmp_path / name
        secret.write_text("s" * 43 + "\n")
        secret.chmod(0o600)
        assert f'"/etc/indelible-web/{name}"' in text
        text = text.replace(f"/etc/indelible-web/{name}", str(secret))
    config = tmp_path / "web.toml"
    config.write_text(text)
    found = load({**variables, "INDELIBLE_CONFIG": str(config)})
    killed_after = found.web.shutdown_seconds + STOP_MARGIN_SECONDS
    assert killed_after < float(unit["TimeoutStopSec"][0])
    assert found.web.audit_path == f"/var/log/{unit['LogsDirectory'][0]}/audit.log"
    assert found.connection.reader_password is not None
    assert found.web.jwt_secret is not None
    assert unit["User"] != read_unit()["User"]


def test_the_lifecycles_settings_are_settings(tmp_path: Path) -> None:
    unit = read_unit(LIFECYCLE_UNIT)
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    text = (DIRECTORY / "lifecycle.toml").read_text()
    for name in ("reader_password", "lifecycle_password"):
        secret = tmp_path / name
        secret.write_text("s" * 43 + "\n")
        secret.chmod(0o600)
        assert f'"/etc/indelible-lifecycle/{name}"' in text
        text = text.replace(f"/etc/indelible-lifecycle/{name}", str(secret))
    config = tmp_path / "lifecycle.toml"
    config.write_text(text)
    found = load({**variables, "INDELIBLE_CONFIG": str(config)})
    assert found.connection.timeout_seconds < float(unit["TimeoutStopSec"][0])
    assert found.connection.lifecycle_password is not None
    assert found.connection.reader_password is not None
    assert found.lifecycle.admin_cert_file == Path("/etc/indelible-lifecycle/admin.pem")
    assert unit["User"] not in (read_unit()["User"], read_unit(WEB_UNIT)["User"])
    program, *arguments = shlex.split(unit["ExecStart"][0])
    assert (Path(program).name, arguments) == ("indelible", ["lifecycle", "run"])


def test_the_examples_have_no_secret_in_them() -> None:
    secrets = {"password", "writer_password", "reader_password", "jwt_secret", "cursor_secret"}
    secrets |= {"lifecycle_password", "tokens_password"}
    for name in ("agent.toml", "web.toml", "lifecycle.toml"):
        document = tomllib.loads((DIRECTORY / name).read_text())
        assert not secrets & {key for group in document.values() for key in group}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_and_little_exposed(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/opt/indelible/bin/indelible", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)],  # noqa: S607  # where it lies differs
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy)],  # noqa: S607  # as above
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-200:]
