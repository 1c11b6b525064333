"""`indelible indices plan`: each partition as it is, and what becomes of it."""

from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from audit_events.instant import format_instant
from indelible.configuration import Configuration, load
from indelible.listing import new_table, open_console, print_table
from indexer.client import connect
from indexer.outlook import Outlook, look_ahead
from indexer.plan import Observed, Plan
from indexer.settings import IndexSettings

COLOURS = {
    "open": "green",
    "sealed": "green",
    "restored": "green",
    "kept": "green",
    "held": "cyan",
    "due": "yellow",
    "gone": "yellow",
}
"""Of states; the others are red."""

WIDTH_OF_ALL: Final = 120
"""A terminal of at least so many columns shows size, first and last too."""


class Row(Struct, frozen=True, kw_only=True, rename="camel"):
    """One partition; instants are canonical, None where there is none."""

    name: str
    state: str
    events: int | None
    size_bytes: int | None
    """Of one copy."""
    segments: int | None
    blocked: bool
    first: str | None
    last: str | None
    seal_at: str | None
    delete_at: str | None
    restored_until: str | None
    archived: bool
    held_by: tuple[str, ...]
    next_step: str | None
    why: str


class ModeReport(Struct, frozen=True, rename="camel"):
    """Who seals and deletes here."""

    name: str
    plugin: bool
    immutable: bool | None
    why: str


class Report(Struct, frozen=True, rename="camel"):
    """All of it."""

    mode: ModeReport
    partitions: tuple[Row, ...]


@click.command("plan")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def plan_command(*, as_json: bool) -> None:
    """Show each partition: what it holds, when it will be sealed and deleted, and why."""
    configuration = load()
    if words := warn(configuration.index):
        click.echo(words, err=True)
    report = make_report(_ask(configuration))
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    console = open_console()
    print_table(console, tabulate(report, console.width))
    console.print(report.mode.why)


def warn(index: IndexSettings) -> str:
    """What is allowed and hardly meant, as lines; empty where all makes sense."""
    if index.retention_days >= index.seal_days:
        return ""
    return (
        f"warning: index.retention_days ({index.retention_days}) is below index.seal_days"
        f" ({index.seal_days}): a partition is deleted only when it is sealed, so it stays"
        f" {index.seal_days} days\n"
        "next: lower INDELIBLE_INDEX_SEAL_DAYS, or raise INDELIBLE_INDEX_RETENTION_DAYS"
    )


def make_report(outlook: Outlook) -> Report:
    """What is printed, in the order of names."""
    mode = outlook.mode
    return Report(
        ModeReport(mode.name, mode.plugin, mode.immutable, mode.why),
        tuple(_row(observed, plan) for observed, plan in outlook.partitions),
    )


def tabulate(report: Report, width: int) -> Table:
    """The partitions as a table; days in UTC."""
    more = ("size", "first", "last") if width >= WIDTH_OF_ALL else ()
    table = new_table(
        *("partition", "state", "events", *more, "sealed", "deleted", "why"),
        caption=None if report.partitions else "no partition yet",
    )
    for row in report.partitions:
        size = "?" if row.size_bytes is None else decimal(row.size_bytes)
        table.add_row(
            row.name,
            Text(row.state, style=COLOURS.get(row.state, "red")),
            "?" if row.events is None else f"{row.events:,}",
            *((size, _day(row.first), _day(row.last)) if more else ()),
            _day(row.seal_at),
            _day(row.delete_at),
            Text(row.why),
        )
    return table


def _ask(configuration: Configuration) -> Outlook:
    connection = configuration.connection
    # A host without a reader's user can tell all but the timestamps.
    is_reader = (
        connection.username or connection.reader_username or not _is_lifecycle(configuration)
    )
    with (
        connect(connection, role="lifecycle") as client,
        connect(connection, role="reader") as reader,
    ):
        return look_ahead(
            client,
            reader if is_reader else None,
            configuration.index,
            configuration.lifecycle,
            datetime.now(UTC),
        )


def _is_lifecycle(configuration: Configuration) -> bool:
    return configuration.connection.lifecycle_username is not None


def _row(observed: Observed, plan: Plan) -> Row:
    return Row(
        name=plan.name,
        state=plan.state,
        events=observed.events,
        size_bytes=observed.size_bytes,
        segments=observed.segments,
        blocked=observed.blocked,
        first=_instant(observed.first),
        last=_instant(observed.last),
        seal_at=_instant(plan.seal_at),
        delete_at=_instant(plan.delete_at),
        restored_until=_instant(observed.restored_until),
        archived=observed.archived,
        held_by=plan.held_by,
        next_step=None if plan.next_step is None else plan.next_step.value,
        why=plan.why,
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _day(instant: str | None) -> str:
    return "" if instant is None else instant.partition("T")[0]
