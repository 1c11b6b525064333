"""`indelible sign-in`: a link that the web takes."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from indelible.errors import CommandError
from indelible.run_record import RunRecord, own_identity, record_path, write_record
from indelible.sign_in import ONCE_PATH, command
from tests.webapi_api import SECRET
from webapi.sign_in import views


def run(home: Path, *arguments: str, **more: str) -> Result:
    environ = {"INDELIBLE_HOME": str(home), "INDELIBLE_WEB_JWT_SECRET": SECRET, **more}
    return CliRunner().invoke(command, list(arguments), env=environ)


def test_it_prints_a_link_and_for_how_long(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "org_a", "--email", "ana@company.com")
    assert result.exit_code == 0, result.output
    found = urlsplit(result.stdout.strip())
    assert (found.scheme, found.netloc) == ("http", "127.0.0.1:8250")
    assert found.path == ONCE_PATH == views.ONCE
    assert result.stderr == "It works once, and for 10 minutes.\n"


def test_a_person_who_will_be_refused_is_told_of(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "org_a", "--plan", "free")
    assert result.stdout.count("\n") == 1
    assert "warning: it will be refused: this needs the plan studio_pro" in result.stderr


def test_the_address_is_the_one_that_browsers_know(tmp_path: Path) -> None:
    address = "https://audit.company.com"
    result = run(tmp_path, "--organization", "org_a", INDELIBLE_WEB_PUBLIC_URL=address)
    assert result.stdout.startswith(f"{address}/sign-in/once?ticket=")


def test_the_address_is_that_of_the_up_that_runs_there(tmp_path: Path) -> None:
    me = own_identity()
    record_path(tmp_path).parent.mkdir()
    record = RunRecord(pid=me.pid, started=me.started, web_url="http://127.0.0.1:8470")
    write_record(tmp_path, record)
    result = run(tmp_path, "--organization", "org_a")
    assert result.stdout.startswith("http://127.0.0.1:8470/sign-in/once?ticket=")


def test_a_reserved_organisation_gets_none(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "_system")
    assert isinstance(result.exception, CommandError)
    assert "reserved" in str(result.exception)


@pytest.mark.parametrize("more", [{"INDELIBLE_WEB_JWT_SECRET": ""}])
def test_without_a_secret_it_says_which(tmp_path: Path, more: dict[str, str]) -> None:
    result = run(tmp_path, "--organization", "o", **more)
    assert isinstance(result.exception, CommandError)
    assert "INDELIBLE_WEB_SESSION_SECRET" in result.exception.hint
