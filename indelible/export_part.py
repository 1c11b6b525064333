"""An export that is not whole yet: `FILE.part` beside what was asked, `FILE.part.json`.

Both are there from the beginning until the file has its own name. Whatever is killed in between,
or runs out of disk, what the part holds up to its last whole event is good: it is read again from
its first byte when it is resumed, so the digest at the end is of all of it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from audit_events.event import UUID_PATTERN, EventId
from indelible.errors import CommandError
from indexer.durable import sync

CSV_END: Final = b'"\r\n'
_QUOTE: Final = b'"'
_is_id: Final = re.compile(UUID_PATTERN, re.ASCII).fullmatch


class Asked(Struct, frozen=True, rename="camel"):
    """What an export is of; one that is resumed has to ask the same."""

    organization_id: str
    pairs: tuple[tuple[str, str], ...]
    format: str
    as_of: str


class Written(Struct):
    """What a part holds up to its last whole event.

    Args:
        size: bytes, so many.
        events: so many.
        first: the id of the first event, None without one.
        last: the line or row of the last one, None without one.
        last_id: its id.
        digest: SHA-256 of those bytes, to go on with.
    """

    size: int
    events: int
    first: str | None
    last: bytes | None
    last_id: str | None
    digest: "hashlib._Hash"


class _Line(Struct):
    id: EventId


def part_of(path: Path) -> Path:
    """Return where an export is until it is whole."""
    return path.with_name(path.name + ".part")


def asked_of(path: Path) -> Path:
    """Return where it stands what an export is of."""
    return path.with_name(path.name + ".part.json")


def read_asked(path: Path) -> Asked:
    """Return what an unfinished export is of.

    Raises:
        CommandError: there is none, or nothing tells.
    """
    if not part_of(path).exists() and not asked_of(path).exists():
        raise CommandError(
            f"there is no unfinished export {path}", hint="export it without --resume"
        )
    try:
        return msgspec.json.decode(asked_of(path).read_bytes(), type=Asked)
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise CommandError(
            f"{asked_of(path)} does not tell what is in {part_of(path)}",
            hint="export anew, under another name or after removing both",
        ) from error


def begin(path: Path, asked: Asked) -> None:
    """Make both files, the part an empty one; none of them may be there."""
    text = msgspec.json.encode(asked) + b"\n"
    with asked_of(path).open("xb") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            part_of(path).open("xb").close()
        except BaseException:
            asked_of(path).unlink()
            raise


def give_up(path: Path) -> None:
    """Remove both files, where there is nothing to go on with."""
    part_of(path).unlink(missing_ok=True)
    asked_of(path).unlink(missing_ok=True)


def finish(path: Path, file: FileIO) -> None:
    """Give the part its own name, once it is on disk."""
    os.fsync(file.fileno())
    part_of(path).rename(path)
    sync(path.parent)
    with suppress(FileNotFoundError):
        asked_of(path).unlink()


def read_part(part: Path, kind: str) -> Written:
    """Read what a part holds, from its beginning; what follows the last whole event is left out."""
    written = Written(0, 0, None, None, None, hashlib.sha256())
    with part.open("rb") as file:
        for record, event_id in _rows(file) if kind == "csv" else _lines(file):
            written.size += len(record)
            written.digest.update(record)
            if event_id is None:
                continue
            written.events += 1
            written.first = written.first or event_id
            written.last, written.last_id = record, event_id
    return written


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, str | None]]:
    for line in file:
        if not line.endswith(b"\n"):
            return
        try:
            event_id = msgspec.json.decode(line, type=_Line).id
        except msgspec.MsgspecError:
            # The last line, which is no event, of one that was stopped before it had its name;
            # what a disk made of a line that was cut; or what somebody stored that is no event,
            # behind which no export can be gone on with.
            return
        yield line, event_id


def _rows(file: BinaryIO) -> Iterator[tuple[bytes, str | None]]:
    """Yield rows; a line ends one where all quotes before it are closed (RFC 4180, section 2)."""
    row, is_header = b"", True
    for line in file:
        row += line
        if row.count(_QUOTE) % 2 or not row.endswith(CSV_END):
            continue
        event_id = None if is_header else row.split(_QUOTE, 2)[1].decode("utf-8", "replace")
        if event_id is not None and _is_id(event_id) is None:
            return
        yield row, event_id
        row, is_header = b"", False
