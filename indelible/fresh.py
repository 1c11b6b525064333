"""`indelible up --fresh`: delete what earlier runs left in the home, after saying what."""

import shutil
import sys
from pathlib import Path
from typing import Final

import click

from agent.lock import hold
from indelible.configuration import Configuration
from indelible.display import Display
from indelible.errors import CommandError, ForeignHomeError, HomeInUseError
from indelible.home import MARKER, is_home
from indelible.quantity import counted

OURS: Final = ("events", "agent", "example", "heads", "logs", "web")
"""Directories of the home that are deleted; whatever else lies there is not ours to delete."""


def erase(configuration: Configuration, *, ask: bool, display: Display) -> None:
    """Delete the embedded node's data and everything that belongs to it.

    Raises:
        CommandError: it must not be deleted, or nobody can be asked; nothing was deleted.
        LockedError: an agent that no `up` started runs in the home.
        click.Abort: the operator said no.
    """
    check_erasable(configuration)
    if not any((configuration.home / name).exists() for name in (*OURS, "node")):
        return
    if ask and not sys.stdin.isatty():
        raise CommandError(
            f"--fresh deletes all events of {configuration.home}, and there is no terminal to ask",
            hint="say that you want it: --fresh --yes",
        )
    # Not even an agent that no `up` started may write while its files go.
    with hold(configuration.home / "agent"):
        _erase(configuration, ask=ask, display=display)


def _erase(configuration: Configuration, *, ask: bool, display: Display) -> None:
    import node  # noqa: PLC0415  # an extra

    status = node.status(configuration.node)
    if status.pid is not None:
        raise HomeInUseError(
            f"a node runs in {configuration.home} (process {status.pid})",
            hint="stop it first: indelible node stop",
        )
    found = [path for name in OURS if (path := configuration.home / name).is_dir()]
    display.say("--fresh deletes all events and settings of earlier runs:")
    display.say(f"  {status.place}: the node's data ({status.data_megabytes} MB)")
    for path in found:
        display.say(f"  {path}: {counted(count_files(path), 'file')}")
    if ask:
        click.confirm("Delete all of it?", abort=True, err=True)
    node.erase(configuration.node)
    for path in found:
        shutil.rmtree(path)


def check_erasable(configuration: Configuration) -> None:
    """Raise unless everything that --fresh deletes is ours, and here.

    Raises:
        CommandError: the data or the agent's state lies elsewhere.
        ForeignHomeError: the home does not say that it is one.
    """
    home = configuration.home
    if not configuration.embedded:
        raise CommandError(
            f"--fresh deletes the embedded node's data; this uses {configuration.connection.url}",
            hint="unset INDELIBLE_OPENSEARCH_URL, or leave --fresh out",
        )
    if not is_home(home):
        raise ForeignHomeError(
            f"--fresh deletes nothing in {home}: it has no file {MARKER}",
            hint="set INDELIBLE_HOME to a home of Indelible",
        )
    state = Path(configuration.agent.state_directory)
    if state != home / "agent":
        # Its checkpoint would outlive the events that it says were shipped.
        raise CommandError(
            f"--fresh deletes the data in {home}, but the agent's state is in {state}",
            hint="unset INDELIBLE_AGENT_STATE_DIRECTORY, or leave --fresh out",
        )
    links = [str(path) for name in OURS if (path := home / name).is_symlink()]
    if links:
        raise CommandError(
            f"--fresh deletes directories, not what a link leads to: {', '.join(links)}",
            hint="remove the link, and what it leads to, yourself",
        )


def count_files(directory: Path) -> int:
    """Count the files below a directory."""
    return sum(1 for path in directory.rglob("*") if path.is_file())
