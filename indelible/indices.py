"""`indelible indices`: install template and policies, and compare the cluster with the files."""

from collections.abc import Mapping
from typing import Final

import click
import msgspec
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from indelible.configuration import load
from indelible.indices_plan import plan_command
from indelible.listing import new_table, open_console, print_table
from indelible.whole_help import WholeHelpGroup
from indexer.client import connect
from indexer.copies import count_data_nodes, judge_copies
from indexer.ism import compare_policies, install_policies, record_policies
from indexer.mode import find_mode
from indexer.outranking import find_outranking
from indexer.partitions import Partition, list_partitions
from indexer.policy import read_all
from indexer.templates import Change, Difference, Drift, compare, install, show
from indexer.version import check_version

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("created", "would create"),
    "update": ("updated", "would update"),
    "delete": ("deleted", "would delete"),
    "attach": ("attached", "would attach"),
    "restart": ("restarted", "would restart"),
}
"""What was done, and what would be."""
NOUNS: Final = {"template": "index template", "policy": "lifecycle policy", "index": "index"}


@click.group("indices", cls=WholeHelpGroup)
def command() -> None:
    """Install template and policies, compare the cluster with them, show what comes next."""


command.add_command(plan_command)


@command.command("apply")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def apply_templates(*, dry_run: bool, as_json: bool) -> None:
    """Install index template and lifecycle policies; does nothing where they are right.

    A template acts on partitions that are made from now on; `indices status` says which live ones
    differ. Policies are for clusters with the ISM plugin, and are attached to every partition.
    """
    configuration = load()
    index, lifecycle = configuration.index, configuration.lifecycle
    read_all(index, lifecycle)
    with connect(configuration.connection, role="lifecycle") as client:
        check_version(client)
        for drift in find_outranking(client, index):
            click.echo(f"warning: {explain(drift)}", err=True)
        changes = install(client, index, dry_run=dry_run)
        if not as_json:
            tell(changes, dry_run=dry_run)
        mode = find_mode(client, index, lifecycle)
        policies = install_policies(client, index, lifecycle, mode, dry_run=dry_run)
        if mode.plugin and not dry_run:
            record_policies(client, index, mode)
    if as_json:
        report = {"dryRun": dry_run, "mode": mode, "changes": [*changes, *policies]}
        click.echo(msgspec.json.encode(report).decode())
        return
    tell(policies, dry_run=dry_run)
    if not changes and not policies:
        click.echo("nothing to change: everything is installed as it should be")
    click.echo(mode.why)


def tell(changes: list[Change], *, dry_run: bool) -> None:
    """Print each change; indices that a policy is attached to, all in one line."""
    for change in changes:
        if change.kind != "index":
            click.echo(describe(change, dry_run=dry_run))
    groups: dict[tuple[str, tuple[Difference, ...]], list[str]] = {}
    for change in changes:
        if change.kind == "index":
            groups.setdefault((change.action, change.differences), []).append(change.name)
    for (action, (difference,)), names in groups.items():
        verb = WORDS[action][dry_run]
        before = f" (was {difference.found})" if difference.found is not None else ""
        click.echo(f"{verb} policy {difference.wanted}{before}: {', '.join(names)}")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(*, as_json: bool) -> None:
    """Show each partition, and where templates and partitions differ from the files."""
    configuration = load()
    index, lifecycle = configuration.index, configuration.lifecycle
    with connect(configuration.connection, role="lifecycle") as client:
        drifts = compare(client, index) + find_outranking(client, index)
        mode = find_mode(client, index, lifecycle)
        drifts += compare_policies(client, index, lifecycle, mode)
        partitions = list_partitions(client, index, drifts)
        troubles = judge_copies(partitions, count_data_nodes(client))
    if as_json:
        report = {"partitions": partitions, "drift": drifts, "troubles": troubles}
        click.echo(msgspec.json.encode(report).decode())
        return
    console = open_console()
    print_table(console, tabulate(partitions))
    for trouble in troubles:
        console.print(trouble.describe())
    for drift in drifts:
        console.print(explain(drift))


def describe(change: Change, *, dry_run: bool) -> str:
    """One change in words, with its differences."""
    verb = WORDS[change.action][dry_run]
    return show(f"{verb} {NOUNS[change.kind]} {change.name}", change.differences)


def explain(drift: Drift) -> str:
    """One drift in words, with what to do about it."""
    if drift.kind == "partition":
        title = f"partition {drift.name} differs from its template"
    elif drift.kind == "outranking":
        title = (
            f"index template {drift.name} comes before ours, so no new partition is write-once:"
            " give it narrower patterns, or a lower priority"
        )
    else:
        title = f"{NOUNS[drift.kind]} {drift.name} differs: run `indelible indices apply`"
    return show(title, drift.differences)


def tabulate(partitions: list[Partition]) -> Table:
    """The partitions as a table."""
    caption = None if partitions else "no partition yet"
    table = new_table("partition", "events", "size", "health", "drift", caption=caption)
    for one in partitions:
        health = one.health if one.open else "closed"
        table.add_row(
            one.name,
            "?" if one.events is None else f"{one.events:,}",
            "?" if one.size_bytes is None else decimal(one.size_bytes),
            Text(health, {"green": "green", "yellow": "yellow"}.get(health, "red")),
            str(one.drift) if one.drift else "none",
        )
    return table
