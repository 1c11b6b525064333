"""`indelible token`: a token that the API takes."""

import time
from datetime import timedelta
from pathlib import Path

import jwt
import msgspec
import pytest
from click.testing import CliRunner, Result

from indelible.errors import CommandError
from indelible.token import command, sign
from tests.webapi_api import SECRET, SETTINGS
from webapi.auth import authorize, verifier


def run(home: Path, *arguments: str, secret: str | None = SECRET) -> Result:
    environ = {"INDELIBLE_HOME": str(home), "INDELIBLE_WEB_JWT_SECRET": secret}
    return CliRunner().invoke(command, list(arguments), env=environ)


def test_the_token_is_one_that_may_read(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "org_a", "--email", "ana@company.com")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    reader = verifier(SETTINGS)(f"Bearer {result.stdout.strip()}")
    authorize(reader, SETTINGS)
    assert (reader.organization_id, reader.email) == ("org_a", "ana@company.com")


def test_it_says_what_it_is_told_and_expires(tmp_path: Path) -> None:
    result = run(
        tmp_path, "--organization", "o", "--role", "member", "--plan", "free", "--expires", "15m"
    )
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert (claims["role"], claims["plan"]) == ("member", "free")
    assert result.stderr == "warning: it will be refused: this needs the role owner or admin\n"
    assert claims["exp"] - time.time() == pytest.approx(900, abs=30)


@pytest.mark.parametrize("text", ["soon", "0s", "32d", "-5m"])
def test_a_lifetime_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    result = run(tmp_path, "--organization", "o", "--expires", text)
    assert result.exit_code == 2
    assert "--expires" in result.stderr


def test_without_a_shared_secret_it_says_where_tokens_come_from(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "o", secret=None)
    assert isinstance(result.exception, CommandError)
    assert "INDELIBLE_WEB_JWT_SECRET" in result.exception.hint


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_organization_gets_no_token(empty: str, tmp_path: Path) -> None:
    """As `--organization "$ORGANIZATION"` has it where the variable is not set."""
    result = run(tmp_path, "--organization", empty)
    assert result.exit_code == 1
    assert "the organisation is empty" in str(result.exception)


def test_no_token_carries_a_reserved_organisation(tmp_path: Path) -> None:
    result = run(tmp_path, "--organization", "_system")
    assert isinstance(result.exception, CommandError)
    assert "_system" in str(result.exception)


def test_issuer_and_audience_are_those_of_the_settings() -> None:
    settings = msgspec.structs.replace(SETTINGS, issuer="https://id", audience="audit")
    claims = {"organizationId": "o", "role": "owner", "plan": "enterprise", "sub": "u"}
    text = sign(claims, settings, timedelta(hours=1), now=time.time())
    assert verifier(settings)(f"Bearer {text}").organization_id == "o"
