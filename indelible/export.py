"""`indelible export`: all events that match, into a file, as an operator who reads.

Straight from the cluster, as `indelible search`: it needs no API that runs and no token, and no
limit of the API holds it up. Events, order and file are those of the API (`webapi.export_file`).
"""

import errno
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress

from audit_events.instant import format_instant
from indelible.errors import CommandError
from indelible.export_part import (
    Asked,
    Written,
    asked_of,
    begin,
    finish,
    give_up,
    part_of,
    read_asked,
    read_part,
)
from indelible.organization_events import open_events
from indelible.quantity import counted
from indelible.question import (
    QuestionCommand,
    asked_pairs,
    asking,
    check_question,
    question_options,
    read_question,
)
from indelible.terminal import plain
from indelible.whole_help import examples
from webapi import csv_rows
from webapi.completeness import vouch
from webapi.completeness_reading import CompletenessReading
from webapi.export_file import (
    ExportCompleteness,
    ExportSummary,
    Tally,
    write_csv,
    write_lines,
    write_ndjson,
    write_zip,
)
from webapi.order import position_of
from webapi.query import Query, total_search
from webapi.reading import Reading
from webapi.storage import Storage
from webapi.storage_answer import Hit

FORMATS: Final = ("ndjson", "csv", "zip")
_MEND: Final = {
    errno.ENOSPC: "make room",
    errno.ENOENT: "make that directory, or name another",
}
"""What to do where the file cannot be written."""


class Done(Struct, frozen=True, kw_only=True, rename="camel"):
    """What `--json` prints."""

    path: str
    bytes: int
    seconds: float
    resumed: bool
    export: ExportSummary


Report = Callable[[int], None]


@click.command(
    "export",
    cls=QuestionCommand,
    epilog=examples(
        "export --since 2026-03-01 --until 2026-04-01 --output march.ndjson",
        "export --since 2026-03-01 --until 2026-04-01 --output march.ndjson --resume",
    ),
)
@question_options
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default="ndjson",
    show_default=True,
    help="Lines as they are stored, a table, or lines and a manifest in an archive.",
)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file."
)
@click.option("--order", type=click.Choice(("desc", "asc")), help="desc is newest first.")
@click.option("--resume", is_flag=True, help="Go on with an export that was cut off.")
@click.option("--json", "as_json", is_flag=True, help="Print what was exported as JSON.")
def command(
    *,
    text: str | None,
    action: Sequence[str],
    actor: Sequence[str],
    since: str | None,
    until: str | None,
    around: str | None,
    window: str | None,
    organization: str | None,
    kind: str,
    output: Path,
    order: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Write all events that match TEXT and the options to a file, newest first.

    TEXT is as of `indelible search`; without it and without options everything is exported. Until
    it is whole the file is FILE.part, and --resume goes on behind its last event.
    """
    begun = time.monotonic()
    pairs = asked_pairs(
        action, actor, q=text, since=since, until=until, around=around, window=window, order=order
    )
    if str(output) == "-":
        raise click.UsageError("--output: an export is a file, so name one; `-` is none")
    if resume and kind == "zip":
        raise click.UsageError("--resume: a zip cannot be gone on with; export ndjson")
    events = open_events(organization, partial(check_question, pairs))
    as_of = format_instant(datetime.now(UTC))
    asked = Asked(events.organization, tuple(pairs), kind, as_of)
    with asking():
        query = read_question(events.reading, events.organization, pairs, events.catalogue)
        with _progress(events.storage, query) as report:
            view = CompletenessReading(events.reading, events.index).glance(None)
            summary = export(
                events.reading,
                query,
                asked,
                output,
                vouch(view, query),
                resume=resume,
                report=report,
            )
    size = output.stat().st_size
    done = Done(
        path=str(output),
        bytes=size,
        seconds=round(time.monotonic() - begun, 3),
        resumed=resume,
        export=summary,
    )
    if as_json:
        click.echo(msgspec.json.encode(done))
    else:
        click.echo(
            f"{counted(summary.events, 'event')} of {plain(events.organization)} in {output}"
            f" ({decimal(size)}), as of {summary.as_of}\nsha256 {summary.sha256}"
        )
        if summary.completeness.verdict != "complete":
            click.echo(f"completeness: {summary.completeness.verdict} (see `indelible gaps`)")
        if not summary.events:
            events.tell_what_there_is()


def export(
    reading: Reading,
    query: Query,
    asked: Asked,
    path: Path,
    completeness: ExportCompleteness,
    *,
    resume: bool,
    report: Report,
) -> ExportSummary:
    """Write an export to its file, from the beginning or from where it was cut off.

    Raises:
        CommandError: the file is there, it cannot be gone on with, or it cannot be written.
        UnavailableError, InternalError: as `Storage.search`; a part with an event in it stays.
    """
    if path.exists():
        raise CommandError(f"{path} is there already", hint="name another file, or remove it")
    with _writing(path):
        asked, written = _open(path, asked, resume=resume)
        query = _behind(reading, query, written, path, asked.format)
        tally = Tally.resumed(written.events, written.first, written.last_id, written.digest)

        def summarize() -> ExportSummary:
            return summary_of(tally, asked, completeness)

        with (
            nullcontext() if resume else _leaving_nothing(path, tally),
            closing(reading.sweep(query)) as sweep,
            part_of(path).open("ab", buffering=0) as file,
        ):
            for piece in _pieces(sweep.hits(), tally, asked.format, written, summarize):
                _write(file, piece)
                report(tally.events)
            finish(path, file)
        return summarize()


@contextmanager
def _leaving_nothing(path: Path, tally: Tally) -> Generator[None]:
    """Take away what an export left that failed before its first event: the next one is as new."""
    try:
        yield
    except BaseException:
        if not tally.events:
            give_up(path)
        raise


def summary_of(tally: Tally, asked: Asked, completeness: ExportCompleteness) -> ExportSummary:
    """Return what was written so far."""
    filters: dict[str, list[str]] = {}
    for name, value in asked.pairs:
        filters.setdefault(name, []).append(value)
    return ExportSummary(
        events=tally.events,
        first=tally.first,
        last=tally.last,
        organization_id=asked.organization_id,
        filters=filters,
        as_of=asked.as_of,
        format=asked.format,
        sha256=tally.sha256,
        completeness=completeness,
    )


def _open(path: Path, asked: Asked, *, resume: bool) -> tuple[Asked, Written]:
    part = part_of(path)
    if not resume:
        if part.exists() or asked_of(path).exists():
            raise CommandError(
                f"{part} is an export that was cut off",
                hint=f"go on with it by --resume, or remove it and {asked_of(path)}",
            )
        begin(path, asked)
        return asked, read_part(part, asked.format)
    former = read_asked(path)
    if msgspec.structs.replace(former, as_of=asked.as_of) != asked:
        raise CommandError(
            f"{part} is of another question: {former.organization_id} {dict(former.pairs)}",
            hint="ask the same with --resume, or export to another file",
        )
    part.touch()  # one that was killed before it made its part wrote nothing
    written = read_part(part, asked.format)
    os.truncate(part, written.size)
    return former, written


def _behind(reading: Reading, query: Query, written: Written, path: Path, kind: str) -> Query:
    """Go on behind the last event of a part, which has to be what is stored."""
    if written.last is None or written.last_id is None:
        return query
    found = reading.event(query.organization_id, written.last_id).hits.hits
    if not found or encoded(found[0], kind) != written.last:
        raise CommandError(
            f"the last event in {part_of(path)} is not what is stored",
            hint=f"export anew, after removing it and {asked_of(path)}",
        )
    return replace(query, after=position_of(found[0]))


def encoded(hit: Hit, kind: str) -> bytes:
    """Return the line or the row of an event."""
    if kind == "csv":
        return csv_rows.row(hit.source)
    return b"".join(write_lines([hit], Tally()))


def _pieces(
    hits: Iterator[Hit],
    tally: Tally,
    kind: str,
    written: Written,
    summarize: Callable[[], ExportSummary],
) -> Iterator[bytes]:
    if kind == "csv":
        return write_csv(hits, tally, bom=False, header=not written.size)
    if kind == "zip":
        return write_zip(hits, tally, summarize)
    return write_ndjson(hits, tally, summarize)


def _write(file: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        # A disk that fills takes a part of it first.
        rest = rest[file.write(rest) :]


@contextmanager
def _writing(path: Path) -> Generator[None]:
    """Tell what a disk refuses as an operator reads it."""
    try:
        yield
    except OSError as error:
        mend = _MEND.get(error.errno or 0, "mend that")
        again = "go on with --resume" if part_of(path).exists() else "export again"
        raise CommandError(
            f"{part_of(path)} cannot be written: {error.strerror}", hint=f"{mend}, and {again}"
        ) from error


@contextmanager
def _progress(storage: Storage, query: Query) -> Generator[Report]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _events: None
        return
    total = storage.search(total_search(query)).hits.total.value
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("export", total=total)
        yield lambda events: bar.update(task, completed=events)
