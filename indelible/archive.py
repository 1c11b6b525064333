"""`indelible archive`: what is kept of partitions elsewhere, brought back and checked."""

import contextlib
import itertools
from collections.abc import Collection, Generator
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from audit_events.instant import format_instant
from indelible.access import admin_connection, find_user
from indelible.configuration import Configuration, load
from indelible.errors import CommandError
from indelible.listing import new_table, open_console, print_table
from indelible.quantity import counted
from indelible.whole_help import WholeHelpGroup, examples
from indexer.archive import Archived, find_repository, list_archived
from indexer.client import connect
from indexer.digest import Report
from indexer.errors import IndexerError
from indexer.journal import Journal
from indexer.live_index import find_index
from indexer.observe import Records
from indexer.records import read_records, read_sealed_uuids
from indexer.restoration import Clients, Restored, restore
from indexer.verification import (
    Verification,
    clean_up,
    find_missing,
    record_verified,
    verify,
)

WIDTH_OF_ALL: Final = 150
"""A terminal of at least so many columns shows the names of the snapshots too."""


class Row(Struct, frozen=True, rename="camel"):
    """One snapshot as `list` shows it."""

    partition: str
    snapshot: str
    state: str
    taken_at: str
    events: int
    first: str | None
    last: str | None
    sha256: str
    restored_until: str | None
    """Until when the partition stays, where it was brought back."""


@click.group("archive", cls=WholeHelpGroup)
def command() -> None:
    """List the snapshots of partitions, bring one back, and check that they are what they were."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_snapshots(*, as_json: bool) -> None:
    """Show each snapshot, what it holds, and whether its partition is back."""
    configuration = load()
    with _connected(configuration) as (clients, repository):
        journal = Journal(clients.lifecycle, configuration.index)
        back = _find_back(clients, read_records(journal))
        snapshots = _of_prefix(list_archived(clients.lifecycle, repository), configuration)
    rows = [_row(one, back.get(one.content.index)) for one in snapshots]
    if as_json:
        report = {"repository": repository, "snapshots": rows}
        click.echo(msgspec.json.encode(report).decode())
    else:
        console = open_console()
        print_table(console, tabulate(rows, repository, console.width))


@command.command("restore", epilog=examples("archive restore audit-events-2025.03"))
@click.argument("partitions", nargs=-1, required=True)
@click.option("--snapshot", help="Not the newest good one, but this; `list --json` names them.")
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as JSON.")
def restore_partitions(*, partitions: tuple[str, ...], snapshot: str | None, as_json: bool) -> None:
    """Bring partitions back under their own names, write-once, for `lifecycle.restored_days`.

    Done again it does what is missing. Every event is compared with what was sealed, and that it is
    back is recorded, for the organisations too.
    """
    configuration = load()
    results: list[Restored] = []
    with _connected(configuration) as (clients, repository):
        journal = Journal(clients.lifecycle, configuration.index)
        snapshots = _of_prefix(list_archived(clients.lifecycle, repository), configuration)
        chosen = [
            _choose_ours(snapshots, name, snapshot, repository, journal) for name in partitions
        ]
        for one in chosen:
            with _progress(f"Restoring {one.content.index}") as report:
                back = restore(
                    clients,
                    one,
                    journal,
                    configuration.index,
                    configuration.lifecycle,
                    now=datetime.now(UTC),
                    by=find_user(),
                    report=report,
                )
            results.append(back)
            if not as_json:
                click.echo(describe_restored(back))
    if as_json:
        click.echo(msgspec.json.encode({"restored": results}).decode())


@command.command(
    "verify",
    epilog=examples("archive verify --all", "archive verify --quick audit-events-2025.03"),
)
@click.argument("partitions", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="Every good snapshot, and those that are gone."
)
@click.option(
    "--quick", is_flag=True, help="Ask the repository, compare the records, and read no event."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def verify_snapshots(
    ctx: click.Context, *, partitions: tuple[str, ...], everything: bool, quick: bool, as_json: bool
) -> None:
    """Read snapshots back and compare them with the journal; exit code 1 if one is not as it was.

    Each is restored under another name, which nobody searches, read, and removed again. That it was
    done, and what was found, is recorded as `audit_log.integrity_verified`.
    """
    if bool(partitions) == everything:
        raise click.UsageError("name partitions, or give --all")
    configuration = load()
    results: list[Verification] = []
    with _connected(configuration) as (clients, repository):
        journal = Journal(clients.lifecycle, configuration.index)
        snapshots = _of_prefix(list_archived(clients.lifecycle, repository), configuration)
        chosen = (
            [one for one in snapshots if one.good]
            if everything
            else [
                choose(snapshots, name, None, repository, read_sealed_uuids(journal, name))
                for name in partitions
            ]
        )
        clean_up(clients.lifecycle, configuration.index)
        missing = find_missing(journal, repository, snapshots) if everything else []
        checked = (_check(clients, one, journal, configuration, quick=quick) for one in chosen)
        for found in itertools.chain(missing, checked):
            results.append(found)
            if not as_json:
                click.echo(describe_verified(found, quick=quick))
        ok = not any(one.problems for one in results)
        if as_json:
            report_ = {"ok": ok, "quick": quick, "verified": results}
            click.echo(msgspec.json.encode(report_).decode())
        elif not results:
            click.echo(f"no snapshot in {repository} yet")
        if results:
            _record(journal, repository, results, everything=everything, quick=quick)
    ctx.exit(0 if ok else 1)


def _record(
    journal: Journal,
    repository: str,
    results: list[Verification],
    *,
    everything: bool,
    quick: bool,
) -> None:
    """Have it in the journal: who was not there sees by that alone that it was checked."""
    by = find_user()
    try:
        record_verified(journal, repository, results, by=by, everything=everything, quick=quick)
    except IndexerError as error:
        raise CommandError(
            f"what was found is not recorded: {error}", hint=f"{error.hint}; then verify again"
        ) from error


def _check(
    clients: Clients,
    archived: Archived,
    journal: Journal,
    configuration: Configuration,
    *,
    quick: bool,
) -> Verification:
    with _progress(f"Verifying {archived.content.index}") as report:
        return verify(clients, archived, journal, configuration.index, quick=quick, report=report)


def _choose_ours(
    snapshots: list[Archived],
    partition: str,
    snapshot: str | None,
    repository: str,
    journal: Journal,
) -> Archived:
    """The snapshot to restore: another cluster's only where it is named, or all is lost here."""
    sealed = read_sealed_uuids(journal, partition)
    found = choose(snapshots, partition, snapshot, repository, sealed)
    if snapshot is None and sealed and found.content.index_uuid not in sealed:
        raise CommandError(
            f"no good snapshot in {repository} is of the {partition} that was sealed here: the"
            f" newest, {found.snapshot}, is of another cluster",
            hint="look for ours with `indelible archive list --json`; --snapshot takes that one",
        )
    return found


def choose(
    snapshots: list[Archived],
    partition: str,
    snapshot: str | None,
    repository: str,
    sealed: Collection[str] = (),
) -> Archived:
    """The snapshot that is meant: the newest good one of a partition, unless it is named.

    Those of an index that was `sealed` here, by its uuid, come before those of others.

    Raises:
        CommandError: there is none.
    """
    of_partition = [one for one in snapshots if one.content.index == partition]
    named = [one for one in of_partition if snapshot in {None, one.snapshot}]
    good = [one for one in named if one.good]
    ours = [one for one in good if one.content.index_uuid in sealed]
    if good:
        return (ours or good)[-1]
    which = f"{partition} called {snapshot}" if snapshot else partition
    raise CommandError(
        f"there is no good snapshot of {which} in {repository}",
        hint="`indelible archive list` names all of them",
    )


def describe_restored(one: Restored) -> str:
    """What came of it, in a few lines."""
    begin = f"{one.name} is back" if one.new else f"{one.name} was back already"
    events = counted(one.events, "event")
    lines = [f"{begin}: {events} as they were sealed, at least until {one.until[:10]}"]
    if one.in_place:
        lines.append(
            "it is searched in the archive, which has to stay where it is until then (this version"
            " of OpenSearch cannot copy a sorted index back)"
        )
    return "\n".join(lines)


def describe_verified(one: Verification, *, quick: bool) -> str:
    """What was found, a line for each problem."""
    if not one.problems:
        how = "the repository and the journal agree" if quick else "as they were sealed"
        return f"ok       {one.name}: {counted(one.events, 'event')}, {how}"
    return "\n".join(f"damaged  {one.name}: {problem}" for problem in one.problems)


def tabulate(rows: list[Row], repository: str, width: int) -> Table:
    """The snapshots as a table; days in UTC."""
    more = ("snapshot",) if width >= WIDTH_OF_ALL else ()
    table = new_table(
        *("partition", "taken", "events", "first", "last", "state", *more),
        caption=None if rows else f"no snapshot in {repository} yet",
    )
    for row in rows:
        good = row.state == "SUCCESS"
        state = "good" if good else row.state.lower()
        back = f", back until {row.restored_until[:10]}" if row.restored_until else ""
        table.add_row(
            row.partition,
            row.taken_at[:10],
            f"{row.events:,}",
            (row.first or "")[:10],
            (row.last or "")[:10],
            Text(state + back, style="green" if good else "red"),
            *((row.snapshot,) if more else ()),
        )
    return table


def _find_back(clients: Clients, records: Records) -> dict[str, datetime]:
    """What was brought back and is there: the journal may be that of a cluster that is lost."""
    back: dict[str, datetime] = {}
    for name, until in records.restored.items():
        present = find_index(clients.lifecycle, name)
        if present is not None and present.uuid == records.restored_as[name]:
            back[name] = until
    return back


def _row(one: Archived, restored_until: datetime | None) -> Row:
    content = one.content
    return Row(
        partition=content.index,
        snapshot=one.snapshot,
        state=one.state,
        taken_at=one.ended_at or one.started_at,
        events=content.events,
        first=content.first,
        last=content.last,
        sha256=content.sha256,
        restored_until=None if restored_until is None else format_instant(restored_until),
    )


def _of_prefix(snapshots: list[Archived], configuration: Configuration) -> list[Archived]:
    """Ours alone: several prefixes may share one repository."""
    prefix = f"{configuration.index.prefix}-"
    return [one for one in snapshots if one.content.index.startswith(prefix)]


@contextlib.contextmanager
def _connected(configuration: Configuration) -> Generator[tuple[Clients, str]]:
    connection = configuration.connection
    # A name that is immutable is written with the admin certificate, else as the lifecycle.
    writer = admin_connection(configuration) or connection
    with (
        connect(connection, role="lifecycle") as lifecycle,
        connect(connection, role="reader") as reader,
        connect(writer, role="lifecycle") as owner,
    ):
        repository = find_repository(lifecycle, configuration.lifecycle)
        yield Clients(lifecycle, reader, owner), repository


@contextlib.contextmanager
def _progress(title: str) -> Generator[Report]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
