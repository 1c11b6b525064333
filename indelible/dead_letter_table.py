"""Dead letters as people and programs read them."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table
from rich.text import Text

from audit_events.envelope import Envelope
from indelible.terminal import plain
from indexer.dead_marks import Mark
from indexer.dead_records import ADVICE, Record
from indexer.replay import Result

MAX_REASON_CHARACTERS: Final = 90
MAX_NAME_CHARACTERS: Final = 60


def summarize(record: Record, mark: Mark | None) -> dict[str, object]:
    """What programs read of a record, without its line."""
    fields = record.fields
    return {
        "number": record.number,
        "key": record.key,
        "time": fields.time,
        "kind": record.kind,
        "status": fields.status,
        "reason": fields.reason,
        "path": fields.path,
        "offset": fields.offset,
        "lines": fields.lines,
        "eventId": record.event.id,
        "action": record.event.action,
        "outcome": mark.outcome if mark else "open",
    }


def tabulate(records: Sequence[tuple[Record, Mark | None]]) -> Table:
    """The records as a table, in their order."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("number", justify="right")
    for column in ("time", "kind", "reason", "where", "event"):
        table.add_column(column, overflow="fold")
    for record, mark in records:
        fields, event = record.fields, record.event
        kind = f"{record.kind} ({fields.status})" if fields.status else record.kind
        kind += f"\n{fields.lines:,} lines" if fields.lines > 1 else ""
        outcome = f"\n{mark.outcome}" if mark else ""
        table.add_row(
            str(record.number),
            Text(plain(fields.time[:19]) + "Z"),
            Text(kind + outcome),
            Text(_cut(fields.reason, MAX_REASON_CHARACTERS)),
            Text(f"{plain(fields.path)}:{fields.offset}"),
            Text("\n".join(_cut(one, MAX_NAME_CHARACTERS) for one in (event.id, event.action))),
        )
    return table


def describe_counts(counts: Counter[str], shown: int, others: int, path: Path) -> str:
    """How many there are of each kind; `others` were looked at, and not asked for."""
    total = sum(counts.values())
    if not total and others:
        return (
            f"none of {others:,} in {plain(str(path))} is meant: look at --reason, --since, --path"
        )
    if not total:
        return f"nothing open in {plain(str(path))}"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    of = f"the newest {shown:,} of {total:,}" if shown < total else f"{total:,}"
    return f"{of} in {plain(str(path))}: {kinds}"


def explain(record: Record, mark: Mark | None) -> str:
    """All of a record, its line as it reads best, and what to do next."""
    fields = record.fields
    said = {
        "record": f"{record.number}, key {record.key}",
        "where": f"{fields.path}, offset {fields.offset}",
        "time": fields.time,
        "reason": fields.reason,
        "event id": record.event.id or None,
        "status": fields.status,
        "lines": f"{fields.lines:,}, side by side; the reason is the first one's"
        if fields.lines > 1
        else None,
        "length": fields.bytes,
        "sha256": fields.sha256,
        "outcome": f"{mark.outcome} {mark.time} {mark.note}".strip() if mark else "open",
    }
    lines = [f"{name:8} {plain(str(value))}" for name, value in said.items() if value is not None]
    lines += ["", *_show_line(record.line), "", f"next     {ADVICE[record.kind]}"]
    if record.kind == "conflict" and record.envelope is not None:
        lines.append(f"stored   {_find_stored(record.envelope)}")
    return "\n".join([*lines, ""])


def describe_known(record: Record, mark: Mark, note: str) -> str:
    """That something became of a record before; `note` is what was given with it now."""
    text = f"record {record.number}: already {mark.outcome} at {plain(mark.time)}"
    return text + ("; the note was not changed" if note else "")


def describe_result(result: Result, *, dry_run: bool) -> str:
    """What a replay came to, in words."""
    if result == Result():
        return "nothing open was named"
    if dry_run:
        return f"{result.stored:,} would be sent, {result.no_events:,} are no events"
    parts = [f"{result.stored:,} stored"]
    if result.replaced:
        parts.append(f"{result.replaced:,} refused for another reason, under new numbers")
    if result.unchanged:
        parts.append(f"{result.unchanged:,} refused as before")
    if result.no_events:
        parts.append(f"{result.no_events:,} are no events and cannot be sent")
    return ", ".join(parts)


def _find_stored(event: Envelope) -> str:
    """The command that shows the event that is stored under the same id."""
    organization = shlex.quote(plain(event.organizationId))
    return f"indelible search --organization {organization} --json {event.id}"


def _show_line(line: bytes | None) -> list[str]:
    if line is None:
        return ["(the line is not here)"]
    try:
        text = msgspec.json.format(line, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = line.decode("utf-8", "backslashreplace")
    return [plain(one) for one in text.split("\n")]


def _cut(text: str, characters: int) -> str:
    shown = plain(text)
    return shown if len(shown) <= characters else shown[: characters - 1] + "…"
