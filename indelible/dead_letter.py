"""`indelible dead-letter`: what could not be stored, and what becomes of it.

A record is named by its number in the file, by its key, or by the id of its event. Whatever stands
in a line or a path is shown so that no terminal obeys it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from audit_events.instant import format_instant, parse_instant
from indelible.configuration import Configuration, load
from indelible.dead_letter_table import (
    describe_counts,
    describe_known,
    describe_result,
    explain,
    summarize,
    tabulate,
)
from indelible.errors import CommandError
from indelible.listing import open_console
from indelible.terminal import plain_json
from indelible.whole_help import WholeHelpGroup, examples
from indexer.bulk import BulkWriter
from indexer.client import connect
from indexer.dead_letter import FILE_NAME
from indexer.dead_marks import Mark, letter_key, read_marks
from indexer.dead_records import ADVICE, KEY_CHARACTERS, Filter, Record, read_records
from indexer.replay import Replay, Result, acknowledge, hold

T = TypeVar("T", bound=Callable[..., object])


class Letter(Struct, frozen=True):
    """The dead letter of one agent, and the marks beside it."""

    directory: Path
    marks: dict[str, Mark]

    @property
    def path(self) -> Path:
        """The file of the records."""
        return self.directory / FILE_NAME

    def records(self, wanted: Filter, *, marked: bool = False) -> Iterator[Record]:
        """The records that are meant; with `marked` those too of which something became."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for record in read_records(file):
                if (marked or record.key not in self.marks) and wanted.takes(record):
                    yield record

    def mark(self, record: Record) -> Mark | None:
        """What became of a record, None while it is open."""
        return self.marks.get(record.key)


@click.group("dead-letter", cls=WholeHelpGroup)
def command() -> None:
    """List, show, replay and acknowledge lines that could not be stored."""


def _restrict(function: T) -> T:
    """Give a command the options that say which records are meant."""
    for option in (
        click.option("--state-directory", help="Of the agent; default: as configured."),
        click.option("--path", default="", help="Only of files with this in their path."),
        click.option("--since", default="", help="Only from this instant on (RFC 3339 or a date)."),
        click.option("--reason", default="", help=f"{', '.join(ADVICE)}, or a part of the reason."),
    ):
        function = option(function)
    return function


@command.command("list")
@_restrict
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest.")
@click.option("--all", "marked", is_flag=True, help="Also what was replayed or acknowledged.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record, NDJSON.")
def list_records(
    *,
    reason: str,
    since: str,
    path: str,
    state_directory: str | None,
    limit: int,
    marked: bool,
    as_json: bool,
) -> None:
    """List what is open, the newest last, and count it by reason."""
    letter = open_letter(load(), state_directory)
    counts: Counter[str] = Counter()
    newest: deque[Record] = deque(maxlen=limit)
    wanted, others = filter_of((), reason, since, path), 0
    for record in letter.records(Filter(), marked=marked):
        if not wanted.takes(record):
            others += 1
            continue
        counts[record.kind] += 1
        newest.append(record)
    if as_json:
        for record in newest:
            click.echo(plain_json(summarize(record, letter.mark(record))))
        return
    console = open_console()
    if newest:
        console.print(tabulate([(one, letter.mark(one)) for one in newest]))
    text = describe_counts(counts, len(newest), others, letter.path)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@command.command("show", epilog=examples("dead-letter show 17"))
@click.argument("which", nargs=-1, required=True)
@click.option("--state-directory", help="Of the agent; default: as configured.")
@click.option("--json", "as_json", is_flag=True, help="The record as JSON, with its line.")
def show_records(*, which: tuple[str, ...], state_directory: str | None, as_json: bool) -> None:
    """Show records (number, key or id of the event) whole, and what to do next."""
    letter = open_letter(load(), state_directory)
    found = find(letter, which)
    for record in found:
        if as_json:
            fields = msgspec.to_builtins(record.fields)
            click.echo(plain_json({**summarize(record, letter.mark(record)), **fields}))
        else:
            text = explain(record, letter.mark(record))
            open_console().print(text, markup=False, highlight=False, soft_wrap=True)


@command.command(
    "replay",
    epilog=examples("dead-letter replay --reason too_large --dry-run", "dead-letter replay 17 18"),
)
@click.argument("which", nargs=-1)
@_restrict
@click.option("--all", "everything", is_flag=True, help="All that is open.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.pass_context
def replay_records(
    ctx: click.Context,
    *,
    which: tuple[str, ...],
    reason: str,
    since: str,
    path: str,
    state_directory: str | None,
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send records again; exit code 1 if one of them could not be stored.

    What is stored counts as open no more. What is refused for another reason becomes a record of
    its own. Sent twice, nothing is stored twice. The agent may run meanwhile.
    """
    configuration = load()
    letter = open_letter(configuration, state_directory)
    wanted = selection(which, reason, since, path, everything=everything)
    find(letter, which)
    result = foresee(letter, wanted) if dry_run else replay(configuration, letter, wanted)
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        click.echo(describe_result(result, dry_run=dry_run))
    ctx.exit(0 if dry_run or result.is_complete() else 1)


@command.command(
    "acknowledge",
    epilog=examples('dead-letter acknowledge 18 --note "a debug line of the shop, mended"'),
)
@click.argument("which", nargs=-1)
@_restrict
@click.option("--all", "everything", is_flag=True, help="All that is open.")
@click.option("--note", default="", help="Kept with the mark: who read it, and what was found.")
def acknowledge_records(
    *,
    which: tuple[str, ...],
    reason: str,
    since: str,
    path: str,
    state_directory: str | None,
    everything: bool,
    note: str,
) -> None:
    """Say that records were read and nothing more is to be done; they stay in the file."""
    letter = open_letter(load(), state_directory)
    wanted = selection(which, reason, since, path, everything=everything)
    find(letter, which)
    marked = letter.records(wanted, marked=True) if which else ()
    known = [(record, mark) for record in marked if (mark := letter.mark(record))]
    count = acknowledge(letter.directory, letter_key(letter.path), letter.records(wanted), note)
    click.echo(f"{count:,} acknowledged")
    for record, mark in known:
        click.echo(describe_known(record, mark, note))


def open_letter(configuration: Configuration, state_directory: str | None) -> Letter:
    """Find the dead letter.

    Raises:
        CommandError: this user may not read it.
        BadParameter: the directory that is named is none.
    """
    directory = Path(state_directory or configuration.agent.state_directory).expanduser()
    try:
        if state_directory is not None and not directory.is_dir():
            raise click.BadParameter(f"{directory} is no directory", param_hint="--state-directory")
        if (path := directory / FILE_NAME).exists():
            path.open("rb").close()
        return Letter(directory, read_marks(directory))
    except OSError as error:
        raise CommandError(
            f"cannot read the dead letter in {directory}: {error.strerror}",
            hint="run this as the user of the agent, or as root",
        ) from error


def filter_of(which: tuple[str, ...], reason: str, since: str, path: str) -> Filter:
    """Read the options that restrict.

    Raises:
        BadParameter: `since` is no instant.
    """
    try:
        instant = format_instant(parse_instant(since)) if since else ""
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    return Filter(
        numbers=frozenset(int(one) for one in which if _is_number(one)),
        ids=tuple(one for one in which if not _is_number(one)),
        reason=reason,
        since=instant,
        path=path,
    )


def selection(
    which: tuple[str, ...], reason: str, since: str, path: str, *, everything: bool
) -> Filter:
    """What a command acts on; nothing by default.

    Raises:
        UsageError: nothing was named.
    """
    if not (which or reason or since or path or everything):
        raise click.UsageError(
            "name records (numbers, ids), give --reason, --since, --path or --all"
        )
    return filter_of(which, reason, since, path)


def find(letter: Letter, which: tuple[str, ...]) -> list[Record]:
    """The records with these names, marked or not.

    Raises:
        CommandError: there is none with one of them.
    """
    if not which:
        return []
    found = list(letter.records(filter_of(which, "", "", ""), marked=True))
    known = {name for one in found for name in (str(one.number), one.key, one.event.id)}
    absent = [one for one in which if (str(int(one)) if _is_number(one) else one) not in known]
    if absent:
        raise CommandError(
            f"no such record in {letter.path}: {', '.join(one or repr(one) for one in absent)}",
            hint="`indelible dead-letter list --all` names them",
        )
    return found


def replay(configuration: Configuration, letter: Letter, wanted: Filter) -> Result:
    """Send the records that are meant and open now, with a bar on a terminal."""
    last, total = 0, 0
    for record in letter.records(wanted):
        last, total = record.number, total + 1
    if not total:
        return Result()
    console = Console(stderr=True)
    with (
        hold(letter.directory),
        connect(configuration.connection, role="writer") as client,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("Replaying", total=total)
        work = Replay(
            letter.directory,
            letter_key(letter.path),
            configuration.index,
            lambda grave, stop: BulkWriter(
                client, configuration.index, grave, stop=stop, tells_refusals=False
            ),
        )
        # Another replay may have been here before this one held the lock. And what is added from
        # now on, by the agent or by this replay itself, is not meant.
        known = Letter(letter.directory, read_marks(letter.directory))
        meant = takewhile(lambda one: one.number <= last, known.records(wanted))
        work.send(meant, lambda count: bar.advance(task, count))
        return work.result


def foresee(letter: Letter, wanted: Filter) -> Result:
    """What a replay would send: `stored` is what can be."""
    result = Result()
    for record in letter.records(wanted):
        if record.envelope is None:
            result.no_events += 1
        else:
            result.stored += 1
    return result


def _is_number(name: str) -> bool:
    # One key in two thousand is of digits alone, and longer than any number.
    return name.isascii() and name.isdigit() and len(name) < KEY_CHARACTERS
