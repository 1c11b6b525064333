"""The processes' own log: JSON lines on stderr, and nothing of it where results are printed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog

from indexer import log

ROOT = Path(__file__).parents[1]
SECRET = "s" * 48
INDELIBLE = ("-m", "indelible")


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """Whatever a test says of logging ends with it."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


def test_a_line_is_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    structlog.get_logger("here").warning("said", path="/a\nb", count=2)
    out, err = capsys.readouterr()
    assert out == ""
    line = msgspec.json.decode(err, type=dict[str, object])
    stamp = line.pop("timestamp")
    assert isinstance(stamp, str)
    assert stamp.endswith("Z")
    assert line == {"event": "said", "level": "warning", "path": "/a\nb", "count": 2}


def test_a_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    structlog.get_logger("here").error("failed", exc_info=ValueError("broken"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "broken" in str(msgspec.json.decode(line)["exception"])


def test_a_traceback_tells_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A key, a token and somebody's events are local variables somewhere."""
    log.configure()

    def fail(password: str) -> None:
        raise ValueError(len(password))

    with pytest.raises(ValueError, match="7") as caught:
        fail("hunter2")
    structlog.get_logger("here").error("failed", exc_info=caught.value)
    (line,) = capsys.readouterr().err.splitlines()
    assert "fail" in line
    assert "hunter2" not in line


def test_what_is_below_info_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    structlog.get_logger("here").debug("chatter")
    structlog.get_logger("here").info("worth it")
    assert [msgspec.json.decode(one)["event"] for one in capsys.readouterr().err.splitlines()] == [
        "worth it"
    ]


def test_an_embedding_process_keeps_its_own_way() -> None:
    structlog.configure(processors=[])
    log.configure()
    assert structlog.get_config()["processors"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((*INDELIBLE, "token", "--organization", "org_1"), id="token"),
        pytest.param((*INDELIBLE, "search", "--json", "--organization", "org_1"), id="search"),
        pytest.param((*INDELIBLE, "indices", "status", "--json"), id="indices status"),
        pytest.param((*INDELIBLE, "indices", "apply", "--json"), id="indices apply"),
        pytest.param((*INDELIBLE, "web"), id="web"),
        pytest.param((*INDELIBLE, "agent", "--once"), id="agent"),
        pytest.param(("-c", "import webapi.gunicorn_settings"), id="settings of gunicorn"),
    ],
)
def test_a_warning_of_the_settings_never_mixes_with_what_a_command_prints(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "INDELIBLE_HOME": str(tmp_path),
            "INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:9",
            "INDELIBLE_OPENSEARCH_USERNAME": "u",
            "INDELIBLE_OPENSEARCH_PASSWORD_FILE": str(secret),
            "INDELIBLE_WEB_JWT_SECRET_FILE": str(secret),
            # No port that could be bound: what is under test is said before it is tried.
            "INDELIBLE_WEB_HOST": "203.0.113.1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "secret_file_readable_by_others" in done.stderr
    assert "secret_file_readable_by_others" not in done.stdout
    assert SECRET not in done.stdout + done.stderr
    if "token" in arguments:
        assert done.stdout.count(".") == 2
        assert done.stdout.count("\n") == 1


def test_a_line_that_cannot_be_written_stops_nobody() -> None:
    """A full disk, a reader that is gone: the work goes on."""
    code = "from indexer import log; import structlog; log.configure();"
    code += "structlog.get_logger('here').error('x' * 99999); print('on')"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert done.stdout == b"on\n"
