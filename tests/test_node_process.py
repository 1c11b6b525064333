"""A process is found by its command line, ended politely, and by force when it does not listen."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import process
from node.layout import step_down_user
from tests.node_home import open_up
from tests.waiting import wait_until

PATIENT = "while :; do sleep 0.05; done"
STUBBORN = f"trap '' TERM; : > {{mark}}; {PATIENT}"


@pytest.fixture
def argument() -> Iterator[str]:
    name = f"-Dnode.test={secrets.token_hex(8)}"
    yield name
    process.terminate(name, patience_seconds=0)


def _spawn(script: str, argument: str, directory: Path) -> int:
    with (directory / "console").open("wb") as console:
        return process.spawn(
            ["/bin/sh", "-c", script, argument],
            argument,
            directory=Path("/"),
            console=console,
            user=step_down_user(),
        )


def _forget(argument: str) -> None:
    """Make this process a stranger to its child, as the next start would be."""
    process._children.pop(argument).returncode = 0


def test_a_child_is_found_and_ended(tmp_path: Path, argument: str) -> None:
    pid = _spawn(PATIENT, argument, tmp_path)
    assert process.find(argument) == pid
    assert process.terminate(argument, patience_seconds=10)
    assert process.find(argument) is None
    assert not process.terminate(argument, patience_seconds=10)


def test_a_process_that_outlived_its_starter_is_found(tmp_path: Path, argument: str) -> None:
    pid = _spawn(PATIENT, argument, tmp_path)
    _forget(argument)
    assert process.find(argument) == pid
    assert process.terminate(argument, patience_seconds=10)
    os.waitpid(pid, 0)


def test_one_that_does_not_listen_is_ended_by_force(tmp_path: Path, argument: str) -> None:
    open_up(tmp_path)
    tmp_path.chmod(0o777)
    mark = tmp_path / "ready"
    _spawn(STUBBORN.format(mark=mark), argument, tmp_path)
    wait_until(mark.exists, "it does not listen any more")
    assert process.terminate(argument, patience_seconds=0.2)
    assert process.find(argument) is None


def test_part_of_an_argument_is_not_the_argument(tmp_path: Path, argument: str) -> None:
    _spawn(PATIENT, argument, tmp_path)
    _forget(argument)
    found = process.find(argument[:-1])
    pid = process.find(argument)
    assert found is None
    assert pid is not None
    process.terminate(argument, patience_seconds=10)
    os.waitpid(pid, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_stranger_cannot_pass_for_the_node(argument: str) -> None:
    """Anybody can give a process any arguments; root must not adopt or kill it for that."""
    with subprocess.Popen(["/bin/sh", "-c", PATIENT, argument], user=54_321) as stranger:
        try:
            assert process.find(argument) is None
            assert not process.terminate(argument, patience_seconds=1)
            assert stranger.poll() is None
        finally:
            stranger.kill()
