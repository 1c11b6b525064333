"""`indelible indices`: install the index templates, and compare them with the cluster."""

import click
import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from indelible.configuration import load
from indexer.client import connect
from indexer.partitions import Partition, list_partitions
from indexer.templates import Change, Drift, compare, install, show


@click.group("indices")
def command() -> None:
    """Install the index templates, and compare them with the cluster."""


@command.command("apply")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def apply_templates(*, dry_run: bool, as_json: bool) -> None:
    """Install the index templates; does nothing where they are right.

    A template acts on partitions that are made from now on; `indices status` says which live ones
    differ.
    """
    configuration = load()
    with connect(configuration.connection, role="lifecycle") as client:
        changes = install(client, configuration.index, dry_run=dry_run)
    if as_json:
        click.echo(msgspec.json.encode({"dryRun": dry_run, "changes": changes}).decode())
        return
    for change in changes:
        click.echo(describe(change, dry_run=dry_run))
    if not changes:
        click.echo("nothing to change: the index templates are installed as they should be")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(*, as_json: bool) -> None:
    """Show each partition, and where templates and partitions differ from the files."""
    configuration = load()
    with connect(configuration.connection, role="lifecycle") as client:
        drifts = compare(client, configuration.index)
        partitions = list_partitions(client, configuration.index, drifts)
    if as_json:
        report = {"partitions": partitions, "drift": drifts}
        click.echo(msgspec.json.encode(report).decode())
        return
    console = Console()
    console.print(tabulate(partitions))
    for drift in drifts:
        # Printed as it is: a path such as [index] is no markup of rich.
        console.print(explain(drift), markup=False, highlight=False)


def describe(change: Change, *, dry_run: bool) -> str:
    """One change in words, with its differences."""
    words = {
        "create": ("created", "would create"),
        "update": ("updated", "would update"),
        "delete": ("deleted", "would delete"),
    }
    done, planned = words[change.action]
    return show(f"{planned if dry_run else done} index template {change.name}", change.differences)


def explain(drift: Drift) -> str:
    """One drift in words, with what to do about it."""
    if drift.kind == "template":
        title = f"index template {drift.name} differs: run `indelible indices apply`"
    else:
        title = f"partition {drift.name} differs from its template"
    return show(title, drift.differences)


def tabulate(partitions: list[Partition]) -> Table:
    """The partitions as a table."""
    table = Table("partition", title=None, caption=None if partitions else "no partition yet")
    table.add_column("events", justify="right")
    table.add_column("size", justify="right")
    table.add_column("health")
    table.add_column("drift", justify="right")
    for one in partitions:
        health = one.health if one.open else "closed"
        colour = {"green": "green", "yellow": "yellow"}.get(health, "red")
        table.add_row(
            one.name,
            "?" if one.events is None else f"{one.events:,}",
            "?" if one.size_bytes is None else decimal(one.size_bytes),
            f"[{colour}]{health}[/{colour}]",
            str(one.drift) if one.drift else "none",
        )
    return table
