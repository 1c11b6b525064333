"""What the agent is doing, in `status.json` of its state directory, for `indelible status`.

Renamed into place so that a reader never sees half of it; not fsynced, it says nothing that a
crash must keep.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from agent.tail import Tail

STATUS_NAME: Final = "status.json"
FILES_LIMIT: Final = 200
"""Files that are listed, those that lag most first; the totals count all of them."""


class FileStatus(Struct, frozen=True, rename="camel"):
    """One file: bytes, and the timestamp of the last event that is settled (empty: none yet)."""

    path: str
    size: int
    settled: int
    lag_bytes: int
    settled_until: str
    rotated: bool


class Totals(Struct, rename="camel"):
    """Counts since the agent started."""

    created: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    retries: int = 0
    batches: int = 0
    lines: int = 0
    bytes: int = 0
    empty_lines: int = 0
    malformed_lines: int = 0
    over_long_lines: int = 0
    truncations: int = 0
    gaps: int = 0
    missing_events: int = 0
    chain_breaks: int = 0
    watch_overflows: int = 0


class Status(Struct, frozen=True, rename="camel"):
    """All of it; instants are canonical, `oldest_unshipped` is empty when nothing waits."""

    pid: int
    state: Literal["running", "stopping", "stopped"]
    started_at: str
    updated_at: str
    file_count: int
    lag_bytes: int
    oldest_unshipped: str
    in_flight: int
    totals: Totals
    files: tuple[FileStatus, ...]
    unreadable: dict[str, str]
    unwatched: dict[str, str]
    checkpoint_problem: str


def write(directory: Path, status: Status) -> None:
    """Replace the status file.

    Raises:
        OSError: it is as it was.
    """
    new = directory / f"{STATUS_NAME}.new"
    new.write_bytes(msgspec.json.encode(status))
    os.replace(new, directory / STATUS_NAME)  # noqa: PTH105  # Path.replace costs twice as much


def read(directory: Path) -> Status | None:
    """What the agent wrote last, None if it never did or nobody can tell."""
    try:
        return msgspec.json.decode((directory / STATUS_NAME).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def list_files(tails: Iterable[Tail]) -> tuple[FileStatus, ...]:
    """The files that lag most, then the others."""
    by_lag = sorted(tails, key=lambda tail: tail.settled - tail.size)
    return tuple(
        FileStatus(
            path=tail.path,
            size=tail.size,
            settled=tail.settled,
            lag_bytes=max(0, tail.size - tail.settled),
            settled_until=tail.settled_since,
            rotated=tail.rotated,
        )
        for tail in by_lag[:FILES_LIMIT]
    )


def oldest_unshipped(tails: Iterable[Tail]) -> str:
    """Timestamp of the oldest event that waits, as far as it is known.

    Of lines that were not read yet only what came before them in their file is known; the last
    event settled there stands for them.
    """
    waiting: list[str] = []
    for tail in tails:
        if tail.parts and tail.parts[0].since:
            waiting.append(tail.parts[0].since)
        elif tail.size > tail.settled and tail.settled_since:
            waiting.append(tail.settled_since)
    return min(waiting, default="")
