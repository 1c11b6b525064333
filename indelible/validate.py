"""`indelible validate`: check files of events against the format, whoever wrote them."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)

from indelible.completeness import Completeness
from indelible.completeness_table import describe_account
from indelible.configuration import load_catalogue
from indelible.event_lines import EventLines
from indelible.organization_heads import read_document
from indelible.quantity import counted, tallied
from indelible.terminal import plain, plain_json
from indelible.validation import Problem, Summary, Validation
from indelible.verdict import EXIT_WRONG, saying_what_keeps_it
from indelible.whole_help import examples
from indexer.errors import HeadError
from indexer.signing_key import read_public

PROGRESS_BYTES: Final = 8 << 20
"""Smaller ones are done before anybody could look at a bar."""
_TEXT_CHARACTERS: Final = 300


@click.command(
    "validate",
    epilog=examples(
        "validate audit.log.2.gz audit.log.1 audit.log",
        "validate march.ndjson",
        "validate march.ndjson april.zip --heads heads.json --key operator.jwk",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--complete",
    "is_whole",
    is_flag=True,
    help="The files hold every source from its first event: one that begins later is an error.",
)
@click.option(
    "--heads",
    "heads_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Heads of your organisation: which sealed partitions the files hold all events of.",
)
@click.option(
    "--key",
    "key_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The operator's public key (JWK or PEM), with which heads are checked; several are.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Most problems to tell one by one; all are counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    files: Sequence[str],
    is_whole: bool,
    heads_paths: Sequence[Path],
    key_paths: Sequence[Path],
    limit: int,
    as_json: bool,
) -> None:
    """Check each line of FILE... (`-` is stdin; gzip too) against the event format.

    Shape, canonical form, size, the chain of each source, repeated ids, and actions that neither
    Indelible nor the catalogue that INDELIBLE_CATALOGUE_PATH names knows. Name rotated files oldest
    first, so that chains go on from one to the next. Memory does not grow with the files. An export
    (NDJSON, by its last line; a zip, by its manifest) is checked for what it can show: its count
    and digest, each line's form, repeated ids, and the chain where neighbours stand next to each
    other.

    With --heads and --key exports are held against signed heads: for each sealed partition, whether
    these are all events of the organisation, unaltered, whoever made the exports. What counts is
    the word `proven`: that nothing is proven by exports that do not say that they hold a partition
    (filters, a part of its time) is no error. `indelible head --help` says what a head is, and
    where the key is from.

    Exit codes: 0 every line is an event, no chain is broken, and no partition that the exports hold
    by what they say differs from its head (there may be warnings); 1 not so; 2 nobody can say: a
    file cannot be opened, arguments are wrong, or stdout does not take it.
    """
    completeness = _read_heads(heads_paths, key_paths)
    opened = [_open(path) for path in files]
    validation = Validation(load_catalogue(), is_whole=is_whole, completeness=completeness)
    told: list[Problem] = []
    summary = validation.summary
    with saying_what_keeps_it(ctx):
        for problem in _go_through(validation, opened):
            if len(told) < limit:
                told.append(problem)
                if not as_json:
                    click.echo(describe(problem))
        account = completeness.account if completeness else None
        if as_json:
            document = {"valid": not summary.errors, "summary": summary, "problems": told}
            heads = {"heads": account} if account else {}
            click.echo(plain_json(msgspec.to_builtins(document | heads)))
        else:
            click.echo(conclude(summary, len(told), describe_account(account) if account else ()))
    ctx.exit(EXIT_WRONG if summary.errors else 0)


def _read_heads(heads_paths: Sequence[Path], key_paths: Sequence[Path]) -> Completeness | None:
    """Read what exports are held against; None where nothing was named."""
    if not heads_paths and not key_paths:
        return None
    if not key_paths:
        raise click.UsageError("--heads needs --key, the public key that the operator published")
    if not heads_paths:
        raise click.UsageError("--key needs --heads, which are checked with it")
    try:
        documents = [read_document(path) for path in heads_paths]
        return Completeness(documents, [read_public(path) for path in key_paths])
    except HeadError as error:
        raise click.UsageError(plain(str(error))) from None


def _open(path: str) -> EventLines:
    try:
        return EventLines(path)
    except OSError as error:
        raise click.UsageError(f"{plain(path)} cannot be opened: {error.strerror}") from None


def _go_through(validation: Validation, opened: Sequence[EventLines]) -> Iterator[Problem]:
    console = Console(stderr=True)
    total = sum(lines.size for lines in opened)
    if not console.is_terminal or total < PROGRESS_BYTES:
        for lines in opened:
            yield from validation.check(lines)
        yield from validation.finish()
        return
    yield from _show_progress(validation, opened, console, total)


def _show_progress(
    validation: Validation, opened: Sequence[EventLines], console: Console, total: int
) -> Iterator[Problem]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    # What is told in between stands above the bar, where both are on one terminal.
    is_shared = sys.stdout.isatty()
    with Progress(
        *columns,
        DownloadColumn(),
        console=console,
        transient=True,
        redirect_stdout=is_shared,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("", total=total)
        done = 0
        for lines in opened:
            progress.update(task, description=plain(lines.path))
            lines.look = partial(_advance, progress, task, done)
            yield from validation.check(lines)
            done += lines.size
        yield from validation.finish()


def _advance(progress: Progress, task: TaskID, before: int, at: int) -> None:
    progress.update(task, completed=before + at)


def describe(problem: Problem) -> str:
    """One problem for people, in two lines at most."""
    grade = "warning" if problem.is_warning else "error"
    path = f"{problem.path}: " if problem.path else ""
    text = f"{problem.file}:{problem.line}: {grade}: {path}{problem.problem}"
    lines = [plain(text[: _TEXT_CHARACTERS + len(problem.file)])]
    if problem.next:
        lines.append(f"  next: {plain(problem.next)}")
    return "\n".join(lines)


def conclude(summary: Summary, told: int, heads: Sequence[str] = ()) -> str:
    """What it came to, for people; `heads` says what became of heads, a line each."""
    rest = summary.errors + summary.warnings - told
    lines = [f"and {rest:,} more, counted below"] if rest else []
    span = f", {summary.oldest} to {summary.newest}" if summary.events else ""
    closed = f" ({summary.closed_sources:,} closed)" if summary.closed_sources else ""
    lines.append(
        f"{counted(summary.files, 'file')}, {counted(summary.lines, 'line')},"
        f" {counted(summary.events, 'event')} of {counted(summary.sources, 'source')}{closed}{span}"
    )
    if summary.exports:
        lines.append(
            f"{counted(summary.exports, 'export')}: checked count and sha256, the"
            f" form of each event, repeated ids, and {counted(summary.exported_links, 'link')} of"
            " chains; not the order, nor what is missing of a source"
        )
    if summary.overlapping:
        lines.append(f"{summary.overlapping:,} of these events repeat one of another export")
    lines += heads
    verdict = "invalid" if summary.errors else "valid"
    lines.append(f"{verdict}: {tallied(summary.errors, summary.warnings, summary.kinds)}")
    return "\n".join(lines)
