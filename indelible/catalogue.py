"""`indelible catalogue`: the actions that are known here, and whether a file of them is right."""

import sys
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import CatalogueEntry
from audit_events.catalogue_file import read_catalogue
from audit_events.errors import CatalogueError
from indelible.configuration import load_catalogue
from indelible.errors import CommandError
from indelible.listing import open_console
from indelible.terminal import plain
from indelible.whole_help import WholeHelpGroup, examples

EXIT_WRONG: Final = 1

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("catalogue", cls=WholeHelpGroup)
def command() -> None:
    """List, explain and check the actions that are known.

    Those of Indelible, and of the file or directory that INDELIBLE_CATALOGUE_PATH names.
    """


@command.command("list")
@click.option("--category", help="Only of this category.")
@as_json_option
def list_actions(*, category: str | None, as_json: bool) -> None:
    """Show every action with colour, severity, title and what its events need."""
    catalogue = load_catalogue()
    if category is not None and category not in catalogue.categories:
        known = ", ".join(catalogue.categories)
        raise click.UsageError(f"--category: there is no {category!r}; there are {known}")
    entries = [entry for entry in catalogue.entries.values() if category in (None, entry.category)]
    if as_json:
        _write_json(entries)
    else:
        open_console().print(tabulate(entries))


@command.command("show", epilog=examples("catalogue show member.role_changed"))
@click.argument("action")
@as_json_option
def show(*, action: str, as_json: bool) -> None:
    """Explain ACTION: what it means, what its events need, and which ids it had before."""
    catalogue = load_catalogue()
    entry = catalogue.find(action)
    if entry is None:
        near = ", ".join(catalogue.nearest(action))
        raise CommandError(
            f"{plain(action)} is not in the catalogue",
            hint=f"did you mean {near}?" if near else "`indelible catalogue list` has all",
        )
    if as_json:
        _write_json(entry)
        return
    click.echo("\n".join(explain(entry)))


@command.command("check", epilog=examples("catalogue check actions.toml"))
@click.argument("file", type=click.Path(path_type=Path))
@as_json_option
def check(*, file: Path, as_json: bool) -> int:
    """Check FILE, or every *.toml of a directory, as an application's start would.

    The exit code is 1 where something is wrong.
    """
    problems: tuple[str, ...] = ()
    catalogue: Catalogue = CATALOGUE
    try:
        catalogue = read_catalogue(file)
    except CatalogueError as error:
        problems = error.problems
    added = [action for action in catalogue if action not in CATALOGUE]
    stricter = [action for action in CATALOGUE if catalogue[action] != CATALOGUE[action]]
    if as_json:
        report = {"ok": not problems, "problems": problems, "added": added, "stricter": stricter}
        _write_json(report)
    elif problems:
        click.echo("\n".join(f"error: {problem}" for problem in problems), err=True)
        click.echo(f"next: {CatalogueError.hint}", err=True)
    else:
        click.echo(f"{file}: {len(added)} actions of its own, {len(stricter)} of ours stricter")
    return EXIT_WRONG if problems else 0


def tabulate(entries: list[CatalogueEntry]) -> Table:
    """Return the table of some entries, their ids in their colours."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("action", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("title", overflow="fold")
    table.add_column("needs", overflow="fold")
    category = ""
    for entry in entries:
        if entry.category != category:
            category = entry.category
            table.add_row(Text(category, "bold"))
        action = Text(entry.action, entry.colour)
        table.add_row(action, entry.severity, entry.title, " ".join(entry.needs))
    return table


def explain(entry: CatalogueEntry) -> list[str]:
    """Return what is to be said of an entry, a line each."""
    lines = [
        f"{entry.action}: {entry.title}",
        entry.description,
        f"category  {entry.category}",
        f"colour    {entry.colour}",
        f"severity  {entry.severity}",
        f"needs     {', '.join(entry.needs) or 'nothing'}",
    ]
    if entry.critical:
        lines.append("critical  synced to the disk before the call returns")
    if entry.aliases:
        lines.append(f"formerly  {', '.join(entry.aliases)}")
    return lines


def _write_json(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.flush()
