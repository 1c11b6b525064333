"""`indelible agent checkpoints`: what the agent remembers of files and of sources."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from agent import checkpoint
from agent.checkpoint import Checkpoint, Slot, SourceState
from agent.discover import GZIP, MAGIC_BYTES, archive_kind
from agent.errors import CheckpointMissingError, CheckpointUnreadableError
from agent.findings import Finding
from agent.identity import Place
from agent.lock import holder
from audit_events.instant import format_instant
from indelible.configuration import load
from indelible.listing import open_console
from indelible.quantity import counted
from indelible.terminal import plain, write_json
from webapi.page.moment import duration

ROWS: Final = 50
"""Files, and sources, that are shown without `--all`."""


class GenerationReport(Struct, frozen=True, rename="camel"):
    """One of the two generations; `problem` says why it does not count, empty where it does."""

    path: str
    generation: int | None
    saved_at: str
    bytes: int
    problem: str


class FileReport(Struct, frozen=True, rename="camel"):
    """One file: bytes; `size` is None where it is not at its path any more.

    `offset` of an archive is one of what it unpacks to, `size` that of the file: so `lag_bytes` is
    None there, unless it was read to its end. `last_seen_at`: within the hour that begins then.
    """

    path: str
    offset: int
    size: int | None
    lag_bytes: int | None
    archive: bool
    rotated: bool
    gone: bool
    last_seen_at: str


class SourceReport(Struct, frozen=True, rename="camel"):
    """One emitting process: its last settled `seq`, and ranges that are missing or told missing."""

    id: str
    seq: int
    last_event_at: str
    missing: tuple[tuple[int, int], ...]
    told: tuple[tuple[int, int], ...]


class Report(Struct, frozen=True, rename="camel"):
    """All of it; `ok` is whether no generation is torn, `agent_pid` None where no agent runs."""

    ok: bool
    directory: str
    agent_pid: int | None
    generation: int
    age_seconds: float
    generations: tuple[GenerationReport, ...]
    files: tuple[FileReport, ...]
    sources: tuple[SourceReport, ...]
    findings: tuple[Finding, ...]


@click.command("checkpoints")
@click.option("--state-directory", help="Look there instead of in the configured one.")
@click.option("--all", "show_all", is_flag=True, help=f"Show more than {ROWS} files and sources.")
@click.option("--json", "as_json", is_flag=True, help="Print it as one line of JSON, always all.")
@click.pass_context
def command(
    ctx: click.Context, *, state_directory: str | None, show_all: bool, as_json: bool
) -> None:
    """Show how far each file and each source is settled.

    Files: `offset` is the next byte that is read after a restart, `size` what the file has now,
    `lag` what is between them; a file that lags most comes first. `archive`: its offset is one of
    what it unpacks to, so there is no lag before it is read to its end. `rotated`: it has lost the
    name that it was found by. `gone`: nothing at that path is this file; when it was last seen is
    known to the hour, as the checkpoint would change all the time otherwise. Sources: the processes
    that write, with the last `seq` that is stored; `missing` is looked for still, `told` was
    recorded as a gap.

    It only reads: the agent may run meanwhile, and then it is at most a moment behind.

    Exit code 0: the checkpoint is whole; 1: there is none, or one of its two generations is torn
    (the output says which, and why; the agent goes on with the other).
    """
    named = state_directory or ctx.find_object(str) or load().agent.state_directory
    directory = Path(named).expanduser().absolute()
    report = look(directory, time.time())
    if as_json:
        write_json(msgspec.json.encode(report))
    else:
        show(report, open_console(), None if show_all else ROWS)
    ctx.exit(0 if report.ok else 1)


def look(directory: Path, now: float) -> Report:
    """Read the checkpoint and the sizes of its files; `now` in Unix seconds.

    Raises:
        CheckpointUnreadableError: this user may not read it.
        CheckpointMissingError: no agent has saved one there.
    """
    try:
        slots = checkpoint.look(directory)
    except OSError as error:
        raise CheckpointUnreadableError(directory, error) from error
    if not slots:
        raise CheckpointMissingError(directory)
    newest = checkpoint.newest(slots)
    saved = max((slot.saved for slot in slots if slot.checkpoint is not None), default=now)
    return Report(
        ok=not any(slot.problem for slot in slots),
        directory=str(directory),
        agent_pid=holder(directory),
        generation=newest.generation,
        age_seconds=round(max(0.0, now - saved), 3),
        generations=tuple(_report_generation(slot) for slot in slots),
        files=_report_files(newest),
        sources=tuple(
            _report_source(name, state) for name, state in reversed(newest.sources.items())
        ),
        findings=newest.findings,
    )


def show(report: Report, console: Console, rows: int | None) -> None:
    """Print it for people; `rows` of each table, None for all."""
    agent = f"process {report.agent_pid} runs" if report.agent_pid else "no agent runs"
    age = duration(timedelta(seconds=report.age_seconds))
    console.print(f"generation {report.generation}, saved {age} ago; {agent}")
    for one in report.generations:
        if one.problem:
            line = Text(f"{one.path} does not count: {one.problem}", "bold red")
            console.print(line, soft_wrap=True)
    for finding in report.findings:
        what = f"{finding.kind} of {counted(finding.events, 'event')} in {plain(finding.path)}"
        waiting = f"not recorded yet: {what}"
        console.print(Text(waiting, "yellow"), soft_wrap=True)
    _show_files(report.files[:rows], console)
    _show_rest(len(report.files), rows, "files", console)
    _show_sources(report.sources[:rows], console)
    _show_rest(len(report.sources), rows, "sources", console)


def _report_generation(slot: Slot) -> GenerationReport:
    return GenerationReport(
        path=str(slot.path),
        generation=slot.checkpoint.generation if slot.checkpoint else None,
        saved_at=_instant(slot.saved),
        bytes=slot.bytes,
        problem=slot.problem,
    )


def _report_files(newest: Checkpoint) -> tuple[FileReport, ...]:
    reports = (_report_file(place) for place in newest.files)
    return tuple(sorted(reports, key=lambda one: (-(one.lag_bytes or 0), one.gone, one.path)))


def _report_file(place: Place) -> FileReport:
    size = _size_of(place)
    is_archive = size is not None and _is_archive(place)
    return FileReport(
        path=place.path,
        offset=place.offset,
        size=size,
        lag_bytes=_lag_bytes(place, size, is_archive=is_archive),
        archive=is_archive,
        rotated=place.rotated,
        gone=size is None,
        last_seen_at=_instant(place.seen),
    )


def _lag_bytes(place: Place, size: int | None, *, is_archive: bool) -> int | None:
    if size is None:
        return None
    if is_archive:
        return 0 if size == place.packed else None
    return max(0, size - place.offset)


def _is_archive(place: Place) -> bool:
    """Whether it is read as what it unpacks to; a file that may not be read is taken for plain."""
    if place.packed:
        return True
    try:
        with open(place.path, "rb") as file:  # noqa: PTH123  # thousands of them
            return archive_kind(file.read(MAGIC_BYTES)) == GZIP
    except (OSError, ValueError):
        return False


def _size_of(place: Place) -> int | None:
    try:
        status = os.stat(place.path)  # noqa: PTH116  # thousands of them
    except (OSError, ValueError):
        return None
    is_same = (status.st_dev, status.st_ino) == (place.device, place.inode)
    return status.st_size if is_same else None


def _report_source(name: str, state: SourceState) -> SourceReport:
    return SourceReport(name, state.seq, _instant(state.touched), state.missing, state.told)


def _show_files(files: Sequence[FileReport], console: Console) -> None:
    table = _table("file", "offset", "size", "lag", "", "last seen")
    for one in files:
        # Nobody writes to an archive: as good as rotated, and it need not be said.
        kind = "archive" if one.archive else "rotated" if one.rotated else ""
        marks = [kind] * bool(kind) + ["gone"] * one.gone
        seen = f"within the hour of {one.last_seen_at[:16]}Z" if one.gone else ""
        size = "-" if one.size is None else f"{one.size:,}"
        lag = "-" if one.lag_bytes is None else decimal(one.lag_bytes)
        row = (f"{one.offset:,}", size, lag, " ".join(marks), seen)
        table.add_row(Text(plain(one.path)), *row)
    console.print(table)


def _show_sources(sources: Sequence[SourceReport], console: Console) -> None:
    table = _table("source", "seq", "missing", "told", "last event")
    for one in sources:
        ranges = (_describe_ranges(one.missing), _describe_ranges(one.told))
        table.add_row(Text(one.id), f"{one.seq:,}", *ranges, one.last_event_at[:19] + "Z")
    console.print(table)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for name in others:
        is_number = name in {"offset", "size", "lag", "seq"}
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number)
    return table


def _show_rest(count: int, rows: int | None, name: str, console: Console) -> None:
    if rows is not None and count > rows:
        console.print(Text(f"{count - rows} {name} more: --all", "dim"))


def _describe_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _instant(unix_seconds: float) -> str:
    return format_instant(datetime.fromtimestamp(unix_seconds, UTC))
