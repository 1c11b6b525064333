"""`indelible up --fresh`: delete what earlier runs left in the home, after saying what."""

import shutil
import sys
from pathlib import Path
from typing import Final

import click

from indelible.configuration import Configuration
from indelible.display import Display
from indelible.errors import CommandError, HomeInUseError

OURS: Final = ("events", "agent", "example", "logs", "web")
"""Directories of the home that are deleted; whatever else lies there is not ours to delete."""


def erase(configuration: Configuration, *, ask: bool, display: Display) -> None:
    """Delete the embedded node's data and everything that belongs to it.

    Raises:
        CommandError: the data lies in a cluster of somebody else's.
        HomeInUseError: a node runs in this home that no `up` started.
        click.Abort: the operator said no.
    """
    if not configuration.embedded:
        raise CommandError(
            f"--fresh deletes the embedded node's data; this uses {configuration.connection.url}",
            hint="unset INDELIBLE_OPENSEARCH_URL, or leave --fresh out",
        )
    import node  # noqa: PLC0415  # an extra

    status = node.status(configuration.node)
    if status.pid is not None:
        raise HomeInUseError(
            f"a node runs in {configuration.home} (process {status.pid})",
            hint="stop it first: indelible node stop",
        )
    found = [path for name in OURS if (path := configuration.home / name).is_dir()]
    if status.state == "absent" and not found:
        return
    display.say("--fresh deletes all events and settings of earlier runs:")
    display.say(f"  {status.place}: the node's data ({status.data_megabytes} MB)")
    for path in found:
        display.say(f"  {path}: {count_files(path)} files")
    if ask and sys.stdin.isatty():
        click.confirm("Delete all of it?", abort=True, err=True)
    node.erase(configuration.node)
    for path in found:
        shutil.rmtree(path)


def count_files(directory: Path) -> int:
    """Count the files below a directory."""
    return sum(1 for path in directory.rglob("*") if path.is_file())
