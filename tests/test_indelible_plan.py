"""What `up` decides before it acts, and what it says: programs, environment, texts, signals."""

import io
import os
import shlex
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from indelible.configuration import load
from indelible.display import Display
from indelible.plan import STOP_ORDER, Options, environ_of, programs
from indelible.ready import (
    Ready,
    Sample,
    as_json,
    as_text,
    sample_curls,
    search_line,
    short_curls,
)
from indelible.up import have_secret
from tests.up_home import Terminal

OPTIONS = Options(example=True, fresh=False, yes=False, example_port=8351, as_json=False)
TOKEN = "aaa.bbb.ccc"  # noqa: S105  # nobody's
URL = "http://127.0.0.1:8250/sign-in/once?ticket=aaa.bbb.ccc"
READY = Ready(
    seconds=12.3,
    home="/h",
    opensearch_url="https://127.0.0.1:9250",
    opensearch_ca_file=None,
    web_url="http://127.0.0.1:8250",
    audit_log_url="http://127.0.0.1:8250/api/organization/rbac/members/audit-log",
    example_url="http://127.0.0.1:8251",
    organization_id="org_northwind",
    token=TOKEN,
    sign_in_url=URL,
    curls=sample_curls("http://127.0.0.1:8250", TOKEN),
    search="indelible search x",
)


def test_every_program_has_its_place_in_the_order_of_ends(tmp_path: Path) -> None:
    configuration = load({"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_AGENT_SHUTDOWN_SECONDS": "7"})
    plan = programs(configuration, OPTIONS)
    assert set(plan) == set(STOP_ORDER)
    assert plan["agent"].stop_seconds > 7
    assert "8351" in plan["example"].arguments
    assert plan["traffic"].arguments[-1] == "http://127.0.0.1:8351"


def test_children_follow_the_operators_files_and_our_own(tmp_path: Path) -> None:
    own = f"{tmp_path}/events/*.log"
    home = {"INDELIBLE_HOME": str(tmp_path)}
    assert environ_of(load(home))["INDELIBLE_AGENT_PATHS"] == own
    named = load({**home, "INDELIBLE_AGENT_PATHS": "/var/log/shop/*.log"})
    assert environ_of(named)["INDELIBLE_AGENT_PATHS"] == f"/var/log/shop/*.log,{own}"


def test_what_children_are_told_are_settings_that_exist(tmp_path: Path) -> None:
    environ = environ_of(load({"INDELIBLE_HOME": str(tmp_path)}))
    assert load(environ).web.audit_path == f"{tmp_path}/events/web.log"


@pytest.mark.parametrize(
    ("name", "value", "secure"),
    [
        pytest.param("HOST", "127.0.0.1", "false", id="on this host"),
        pytest.param("HOST", "0.0.0.0", "true", id="for others, who need https"),  # noqa: S104
        pytest.param("PUBLIC_URL", "https://a.example", "true", id="behind a proxy with https"),
    ],
)
def test_cookies_go_without_https_on_this_host_alone(
    tmp_path: Path, name: str, value: str, secure: str
) -> None:
    configuration = load({"INDELIBLE_HOME": str(tmp_path), f"INDELIBLE_WEB_{name}": value})
    assert environ_of(configuration)["INDELIBLE_WEB_COOKIE_SECURE"] == secure


def test_the_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "web" / "jwt_secret"
    have_secret(path)
    first = path.read_text()
    have_secret(path)
    assert path.read_text() == first
    assert len(first.strip()) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["jwt_secret"]


def test_a_curl_survives_the_shell() -> None:
    for line, query in zip(
        READY.curls, ("limit=5", "action=member.role_changed&limit=5"), strict=True
    ):
        words = shlex.split(line)
        assert words[0] == "curl"
        assert f"Authorization: Bearer {TOKEN}" in words
        assert words[-1] == f"{READY.audit_log_url}?{query}"


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        pytest.param(None, "indelible search 'role changed' --organization o", id="default home"),
        pytest.param(
            Path("/my home"),
            "INDELIBLE_HOME='/my home' indelible search 'role changed' --organization o",
            id="another home",
        ),
    ],
)
def test_the_search_to_paste(home: Path | None, expected: str) -> None:
    line = search_line("indelible", home, "o", "2026-11-23T12:00:00.000000Z")
    assert line == f"{expected} --around 2026-11-23T12:00:00.000000Z --window 10m"


def test_the_text_has_every_line_to_paste_whole() -> None:
    lines = as_text(READY, Sample("Ann", "o", "Acme", TOKEN, URL, 8)).splitlines()
    assert len(READY.curls) == 2
    for pasted in (f"TOKEN={TOKEN}", *short_curls(READY.curls, TOKEN), READY.search, URL):
        assert f"  {pasted}" in lines
    assert "after 12 s" in lines[1]


def test_without_the_example_the_text_says_how_to_get_a_token() -> None:
    bare = msgspec.structs.replace(READY, example_url=None, token=None, sign_in_url=None, curls=())
    text = as_text(bare, None)
    assert "indelible token" in text
    assert "indelible sign-in" in text
    assert TOKEN not in text


def test_the_json_is_one_line() -> None:
    assert "\n" not in as_json(READY)
    assert msgspec.json.decode(as_json(READY))["auditLogUrl"] == READY.audit_log_url


@dataclass(frozen=True)
class Step:
    """A progress of the node."""

    stage: str
    done: int
    total: int


def test_without_a_terminal_progress_is_a_few_lines() -> None:
    file = io.StringIO()
    display = Display(Console(file=file))
    for megabytes in range(101):
        display.show_node(Step("download", megabytes * 1_000_000, 100_000_000))
    for seconds in range(20):
        display.show_node(Step("start", seconds, 180))
    lines = file.getvalue().splitlines()
    assert lines[0] == "Downloading OpenSearch: 0 of 100 MB"
    assert lines[-1] == "Starting OpenSearch"
    assert 10 <= len(lines) <= 14


def test_a_start_that_takes_long_is_told_again() -> None:
    file = io.StringIO()
    display = Display(Console(file=file))
    for seconds in range(50):
        display.show_node(Step("start", seconds, 600))
    assert file.getvalue().splitlines() == [
        "Starting OpenSearch",
        "Starting OpenSearch, 20 s by now",
        "Starting OpenSearch, 40 s by now",
    ]


def test_a_reader_of_the_messages_that_went_away_is_no_reason_to_fail() -> None:
    script = (
        "import sys\n"
        "from indelible.display import Display\n"
        "display = Display()\n"
        "for _ in range(3):\n"
        "    display.say('x' * 100_000)\n"
        "print('goes on')"
    )
    command = f"{sys.executable} -c {shlex.quote(script)} 2>&1 >&3 | true"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{{ {command}; }} 3>&1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert done.stdout == "goes on\n"


SIGNALLED = """
import os, signal, time
import indelible.stopping as of
of.REPEAT_SECONDS = 60
stopping = of.Stopping()
stopping.install()
stopping.check()
try:
    os.kill(os.getpid(), signal.{first})
    print("still here")
    stopping.wait(80)
except of.StopAsked:
    print("asked")
os.kill(os.getpid(), signal.SIGTERM)
print("a repeat at once is none")
of.REPEAT_SECONDS = 0
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
except of.StopAtOnce:
    print("at once")
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_first_signal_asks_and_a_second_insists(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert done.stdout.splitlines() == [
        "still here",
        "asked",
        "a repeat at once is none",
        "at once",
    ]


HUNG_UP = """
from indelible.stopping import StopAsked, Stopping
stopping = Stopping()
stopping.install()
stopping.check()
print("waits", flush=True)
try:
    stopping.wait(80)
except StopAsked:
    print("told to nobody", flush=True)
    raise SystemExit(7)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "code"),
    [
        pytest.param("", 7, id="noticed without a signal"),
        pytest.param("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)", 0, id="nohup"),
    ],
)
def test_a_terminal_that_goes_away_asks_to_stop(before: str, code: int) -> None:
    script = f"{before}\n{HUNG_UP.replace('80', '1') if before else HUNG_UP}"
    environ = {"PATH": os.defpath}
    with closing(Terminal([sys.executable, "-c", script], environ, leads=False)) as terminal:
        terminal.read_until(b"waits")
        terminal.hang_up()
        assert terminal.process.wait(90) == code
