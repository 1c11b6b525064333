"""`indelible verify`: whether all that is stored is what was written, and what was sealed."""

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from audit_events.instant import format_instant
from indelible.configuration import load
from indelible.errors import CommandError
from indelible.head_files import read_kept, read_keys
from indelible.moment import Moment
from indelible.quantity import counted, tallied
from indelible.terminal import plain, plain_json
from indelible.verdict import EXIT_WRONG, saying_what_keeps_it
from indelible.whole_help import examples
from indexer.client import connect
from indexer.errors import HeadError
from indexer.head_verification import Evidence
from indexer.settings import LifecycleSettings
from indexer.store_findings import Finding, Summary
from indexer.store_verification import Report, StoreVerification
from webapi.errors import ParameterError
from webapi.values import read_instant

SETTLED: Final = timedelta(minutes=10)
"""So long an event may be on its way before it is missed."""


FILE: Final = click.Path(path_type=Path)


@click.command(
    "verify",
    epilog=examples(
        "verify", "verify --since 7d", "verify --heads kept/heads --key head.jwk", "verify --json"
    ),
)
@click.option(
    "--since",
    type=Moment(),
    help="First instant, included: RFC 3339, a date (UTC), or how long ago, such as 7d.",
)
@click.option("--until", type=Moment(), help="Last instant, not included.  [default: 10m]")
@click.option("--index", "names", multiple=True, help="Only this one; may be given several times.")
@click.option("--heads", type=FILE, help="Signed heads that were kept elsewhere, one a line.")
@click.option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    help="Key that heads are checked with, public (PEM, JWK) or private; several after a change."
    "  [default: lifecycle.signing_key_file]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Most findings to tell one by one; all are counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    since: str | None,
    until: str | None,
    names: Sequence[str],
    heads: Path | None,
    keys: Sequence[Path],
    limit: int,
    as_json: bool,
) -> None:
    """Read all that is stored, of every organisation, and check that it is whole and unchanged.

    Every index: open, sealed and late ones and the journal. The chain of each source tells what was
    altered, is missing between two events, was slipped in or stands there twice; the journal, what
    each sealed partition was when it was sealed; signed heads, that the journal was not written
    anew. Reads as the reader, changes and records nothing.

    Exit codes: 0 all of it holds (there may be warnings); 1 not so; 2 nobody can say: the cluster
    does not answer in whole, settings or arguments are wrong, or stdout does not take it.
    """
    start = _read("--since", since)
    end = _read("--until", until) or datetime.now(UTC) - SETTLED
    if start is not None and start >= end:
        raise click.UsageError("--since must be before --until")
    told: list[Finding] = []
    summary = Summary()
    with saying_what_keeps_it(ctx):
        with _opened(start, end, names, heads, keys) as (verification, unchecked):
            summary = verification.summary
            for finding in _with_room(verification.run()):
                if len(told) < limit:
                    told.append(finding)
                    if not as_json:
                        click.echo(describe(finding))
        if as_json:
            document = {
                "holds": not summary.errors,
                "since": None if start is None else format_instant(start),
                "until": format_instant(end),
                "summary": summary,
                "headsUnchecked": unchecked or None,
                "findings": told,
            }
            click.echo(plain_json(msgspec.to_builtins(document)))
        else:
            click.echo(conclude(summary, len(told), end, unchecked))
    ctx.exit(EXIT_WRONG if summary.errors else 0)


def _read(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else read_instant(text)
    except ParameterError as error:
        raise click.UsageError(f"{option}: {error.reason}") from None


@contextmanager
def _opened(
    since: datetime | None,
    until: datetime,
    names: Sequence[str],
    heads: Path | None,
    keys: Sequence[Path],
) -> Generator[tuple[StoreVerification, str]]:
    """What verifies, and why it checks no heads."""
    configuration = load()
    evidence, unchecked = gather_evidence(heads, keys, configuration.lifecycle)
    with connect(configuration.connection, role="reader") as reader, _progress() as report:
        verification = StoreVerification(
            reader,
            configuration.index,
            since=since,
            until=until,
            names=names or None,
            evidence=evidence,
            report=report,
        )
        yield verification, unchecked


def gather_evidence(
    heads: Path | None, paths: Sequence[Path], lifecycle: LifecycleSettings
) -> tuple[Evidence | None, str]:
    """What heads are checked with; None where they are not, and why.

    Raises:
        HeadError, CommandError: a file that was named cannot be used.
    """
    try:
        keys = read_keys(paths, lifecycle)
    except HeadError as error:
        if paths or heads is not None:
            raise
        # Who has the reader's password alone may not read the key that signs.
        return None, str(error)
    if heads is not None and not keys:
        raise click.UsageError("--heads needs the key that they are checked with: --key")
    if not keys:
        return None, "no key is given (--key)"
    return Evidence(keys, read_kept(heads, keys) if heads is not None else None), ""


def _with_room(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Say what lacks room where it is not stdout."""
    try:
        yield from findings
    except OSError as error:
        hint = "set TMPDIR to a directory with room for the events of the largest partition"
        raise CommandError(f"events cannot be sorted: {error.strerror}", hint=hint) from error


def describe(finding: Finding) -> str:
    """One finding for people."""
    grade = "warning" if finding.is_warning else "error"
    event = f" ({finding.index}, event {finding.event_id})" if finding.event_id else ""
    # Each alone: no line of what others stored is taken for one of ours.
    return f"{grade}: {plain(finding.problem + event)}\n  next: {plain(finding.next)}"


def conclude(summary: Summary, told: int, until: datetime, unchecked: str) -> str:
    """What it came to, for people; `unchecked` is why no heads were looked at."""
    before = f"before {until.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    looked_at = summary.events or summary.sealed or summary.heads
    if not (looked_at or summary.errors or summary.warnings):
        return (
            f"nothing to check: no event is stored from {before}, in that time and those indices\n"
            "next: `--until 1s` takes what is younger, too; some of it may still be on its way"
        )
    rest = summary.errors + summary.warnings - told
    lines = [f"and {rest:,} more, counted below"] if rest else []
    sources = counted(summary.sources, "source")
    late = (
        f" ({summary.late_beginnings:,} from a later event on)" if summary.late_beginnings else ""
    )
    lines.append(
        f"{counted(summary.events, 'event')} {before}, of {sources}{late} in"
        f" {'1 index' if summary.indices == 1 else f'{summary.indices:,} indices'},"
        f" {summary.sealed:,} of them sealed"
    )
    if summary.forgotten_sources:
        lines.append(f"{counted(summary.forgotten_sources, 'source')} too many to remember")
    lines.append(
        f"signed heads were not checked: {unchecked}"
        if unchecked
        else f"{counted(summary.heads, 'signed head')}, {summary.kept_heads:,} kept elsewhere"
    )
    verdict = "does not hold" if summary.errors else "holds"
    lines.append(f"{verdict}: {tallied(summary.errors, summary.warnings, summary.kinds)}")
    return "\n".join(lines)


@contextmanager
def _progress() -> Generator[Report]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # What is told in between stands above the bar, where both are on one terminal.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("", total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, description=plain(name), completed=done, total=total)

        yield report
