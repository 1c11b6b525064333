"""`indelible web`: serves until it is told to stop, or says what is wrong before it begins."""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from indelible.errors import CommandError
from indelible.web import command
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.webapi_api import token
from tests.webapi_process import ROOT, ask, environment, log_lines, serving
from webapi.audit_log import PATH


@pytest.mark.opensearch
@pytest.mark.slow
def test_it_serves_until_sigterm(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environ = environment(opensearch, index, tmp_path, INDELIBLE_WEB_PORT=str(port))
    log = tmp_path / "web.log"
    with serving(("-m", "indelible", "web"), environ, port, log) as process:
        assert ask(f"http://127.0.0.1:{port}{PATH}", token())[0] == 200
        assert ask(f"http://127.0.0.1:{port}/readyz")[0] == 200
        secrets = [
            environ["INDELIBLE_WEB_JWT_SECRET"],
            environ["INDELIBLE_OPENSEARCH_READER_PASSWORD"],
        ]
        command_line = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not any(secret in command_line for secret in secrets)
    assert process.returncode == 0
    said = [str(line["event"]) for line in log_lines(log)]
    assert said.count("reads are not recorded") == 1
    assert not any(secret in log.read_text() for secret in secrets)


def run(environ: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": "/usr/bin:/bin", "INDELIBLE_HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-m", "indelible", "web"],
        cwd=ROOT,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    done = run({}, tmp_path)
    assert done.returncode == 2
    assert "web.jwt_secret or web.jwks_url must be set" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {"INDELIBLE_WEB_PORT": str(port), "INDELIBLE_WEB_JWT_SECRET": "s" * 32}
        done = run(environ, tmp_path)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "INDELIBLE_WEB_PORT" in done.stderr


@pytest.mark.slow
def test_an_audit_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {
        "INDELIBLE_WEB_JWT_SECRET": "s" * 32,
        "INDELIBLE_WEB_AUDIT_PATH": str(tmp_path / "file" / "web.log"),
    }
    done = run(environ, tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_container_without_a_place_for_temporary_files_is_told_what_to_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    environ = {"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_WEB_JWT_SECRET": "s" * 32}
    error = CliRunner().invoke(command, env=environ).exception
    assert isinstance(error, CommandError)
    assert "temporary files" in str(error)
    assert "/tmp" in error.hint  # noqa: S108  # as it is said
