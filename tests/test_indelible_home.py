"""A home says that it is one: nobody else's directory is written to, and --fresh empties none."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from agent.errors import LockedError
from agent.lock import hold
from indelible import fresh
from indelible.configuration import load
from indelible.display import Display
from indelible.errors import CommandError, ForeignHomeError
from indelible.home import MARKER, claim, is_home
from tests.node_home import free_ports
from tests.up_home import Terminal

CHECKOUT: Final = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "agent/__init__.py": "",
    "events/create.py": "",
    "node/lifecycle.py": "",
    "web/page.py": "",
    "README.md": "# Somebody's work\n",
}


def write_files(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read_files(directory: Path) -> dict[str, str]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_text() for path in paths}


def environ_of(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": "/nonexistent", "INDELIBLE_HOME": str(home), **more}


def up(*options: str) -> list[str]:
    web, example = free_ports(2)
    ports = ("--port", str(web), "--example-port", str(example))
    return [sys.executable, "-P", "-m", "indelible", "up", *ports, *options]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--fresh"], ["--fresh", "--yes"]])
def test_up_leaves_a_source_checkout_as_it_is(options: list[str], tmp_path: Path) -> None:
    write_files(tmp_path, CHECKOUT)
    done = subprocess.run(
        up(*options), env=environ_of(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"error: {tmp_path} is not a home of Indelible" in done.stderr
    assert "(.git, README.md, agent, events, node, …)" in done.stderr
    assert "next: set INDELIBLE_HOME to a new directory" in done.stderr
    assert read_files(tmp_path) == CHECKOUT


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="empty"),
        pytest.param({"node/lock": "", "node/authority/ca.pem": ""}, id="indelible node start"),
        pytest.param({"node/server-0a1b/lib/x.jar": ""}, id="node start, interrupted"),
        pytest.param({"node/.server-x1/server-0a1b/lib/x.jar": ""}, id="node start, killed"),
        pytest.param({"agent/agent.lock": "1", "agent/status.json": ""}, id="indelible agent"),
        pytest.param({"events/shop.log": "", "events/shop.log.1": ""}, id="an application"),
        pytest.param({"0123456789abcdef/nodes/node-1/node.json": ""}, id="root's default home"),
    ],
)
def test_what_our_own_commands_made_becomes_a_home(files: dict[str, str], tmp_path: Path) -> None:
    write_files(tmp_path, files)
    claim(tmp_path)
    assert is_home(tmp_path)
    assert {name: read_files(tmp_path)[name] for name in files} == files


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"notes.txt": ""}, id="a file"),
        pytest.param({"agent/__init__.py": ""}, id="a folder called agent"),
        pytest.param({"node/lock": "", "node/index.js": ""}, id="a folder called node"),
        pytest.param({"events/shop.log": "", "events/x.py": ""}, id="a folder called events"),
        pytest.param({"web/jwt_secret": ""}, id="a folder called web"),
        pytest.param({"node/lock": "", "src/x.py": ""}, id="ours, and somebody's"),
        pytest.param({"0123456789abcdef/x": ""}, id="a folder called like a digest"),
    ],
)
def test_what_is_not_ours_is_left_alone(files: dict[str, str], tmp_path: Path) -> None:
    write_files(tmp_path, files)
    with pytest.raises(ForeignHomeError, match="is not a home of Indelible"):
        claim(tmp_path)
    assert read_files(tmp_path) == files


def test_a_link_in_the_place_of_the_marker_or_of_a_folder_proves_nothing(tmp_path: Path) -> None:
    real = tmp_path / "real"
    claim(real)
    claim(real)
    home = tmp_path / "home"
    home.mkdir()
    (home / MARKER).symlink_to(real / MARKER)
    assert not is_home(home)
    (home / MARKER).unlink()
    (home / "node").symlink_to(real)
    with pytest.raises(ForeignHomeError, match="node"):
        claim(home)


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForeignHomeError, match="Not a directory") as caught:
        claim(tmp_path / "file" / "home")
    assert "INDELIBLE_HOME" in caught.value.hint


OLD: Final = {"events/shop.log": "{}\n", "logs/web.log": "", "notes.txt": "somebody's own"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with events of an earlier run, and a file that is no business of ours."""
    claim(tmp_path)
    write_files(tmp_path, OLD)
    return tmp_path


def kept(home: Path) -> bool:
    return read_files(home).items() >= OLD.items()


def erase(home: Path, *, ask: bool = False, environ: Mapping[str, str] | None = None) -> None:
    fresh.erase(load(environ_of(home, **environ or {})), ask=ask, display=Display())


def test_fresh_deletes_what_is_ours(home: Path) -> None:
    erase(home)
    assert set(read_files(home)) - {"node/lock"} == {MARKER, "notes.txt"}


def test_fresh_asks_nothing_of_a_home_without_data(tmp_path: Path) -> None:
    claim(tmp_path)
    erase(tmp_path, ask=True)
    assert set(read_files(tmp_path)) == {MARKER}


def without_marker(home: Path) -> None:
    (home / MARKER).unlink()


def with_a_link(home: Path) -> None:
    (home / "example").symlink_to(home / "events")


@pytest.mark.parametrize(
    ("prepare", "environ", "expected"),
    [
        pytest.param(without_marker, {}, f"it has no file {MARKER}", id="no marker"),
        pytest.param(with_a_link, {}, "not what a link leads to", id="a link"),
        pytest.param(
            is_home, {"INDELIBLE_OPENSEARCH_URL": "https://s.example"}, "s.example", id="a cluster"
        ),
        pytest.param(
            is_home, {"INDELIBLE_AGENT_STATE_DIRECTORY": "/s"}, "state is in /s", id="agent's state"
        ),
    ],
)
def test_fresh_refuses_and_deletes_nothing(
    prepare: Callable[[Path], object], environ: dict[str, str], expected: str, home: Path
) -> None:
    prepare(home)
    with pytest.raises(CommandError, match=expected) as caught:
        erase(home, environ=environ)
    assert caught.value.hint
    assert kept(home)


@pytest.mark.slow
def test_fresh_leaves_a_home_alone_in_which_an_agent_runs(home: Path) -> None:
    with hold(home / "agent"), pytest.raises(LockedError, match=str(os.getpid())):
        erase(home)
    assert kept(home)


@pytest.mark.slow
def test_fresh_without_a_terminal_wants_yes(home: Path) -> None:
    done = subprocess.run(
        up("--fresh"),
        env=environ_of(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no terminal to ask" in done.stderr
    assert "next: say that you want it: --fresh --yes" in done.stderr
    assert kept(home)


ERASE: Final = """
import sys
from indelible.cli import main
from indelible.run import Run
Run.run = lambda self: sys.exit(7)
sys.argv[1:] = {options!r}
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code"),
    [
        pytest.param(b"n\n", 130, id="no"),
        pytest.param(b"\n", 130, id="nothing said is no"),
        pytest.param(b"\x03", 130, id="Ctrl-C"),
        pytest.param(b"y\n", 7, id="yes, and it goes on"),
    ],
)
def test_fresh_asks_at_a_terminal(typed: bytes, code: int, home: Path) -> None:
    command = [sys.executable, "-c", ERASE.format(options=up("--fresh")[4:])]
    with closing(Terminal(command, environ_of(home))) as terminal:
        terminal.read_until(b"Delete all of it? [y/N]: ")
        assert f"{home}/events: 1 file\r\n".encode() in terminal.said
        assert kept(home)
        assert typed_until_it_ends(terminal, typed) == code
    assert kept(home) == (code != 7)


def typed_until_it_ends(terminal: Terminal, typed: bytes) -> int:
    """Again and again: a Ctrl-C just before the program reads waits for the next key."""
    for _ in range(30):
        terminal.write(typed)
        with suppress(subprocess.TimeoutExpired):
            return terminal.process.wait(3)
    raise AssertionError(terminal.said.decode())
