"""What the agent is doing, in `status.json` of its state directory, for `indelible status`.

Renamed into place so that a reader never sees half of it; not fsynced, it says nothing that a
crash must keep.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from agent.tail import Tail
from indexer.path_text import path_text

STATUS_NAME: Final = "status.json"
FILES_LIMIT: Final = 200
"""Files that are listed, those that lag most first; the totals count all of them."""
REPEAT_SECONDS: Final = 5.0
"""How often a file is written that says nothing new; who reads it waits for six times as long
before it takes the agent for dead."""


State = Literal["running", "stopping", "stopped"]


class FileStatus(Struct, frozen=True, rename="camel"):
    """One file: bytes, and the timestamp of the last event that is settled (empty: none yet)."""

    path: str
    size: int
    settled: int
    lag_bytes: int
    settled_until: str
    rotated: bool
    oldest_unshipped: str = ""
    """Timestamp of its oldest unshipped line, empty when nothing waits or it is not known."""


class Totals(Struct, rename="camel"):
    """Counts since the agent started."""

    created: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    retries: int = 0
    batches: int = 0
    lines: int = 0
    bytes: int = 0
    settled_bytes: int = 0
    """Read, and stored or in the dead letter."""
    empty_lines: int = 0
    malformed_lines: int = 0
    over_long_lines: int = 0
    truncations: int = 0
    gaps: int = 0
    missing_events: int = 0
    closed_events: int = 0
    """Of what was told as a gap, what arrived after all."""
    chain_breaks: int = 0
    silent_sources: int = 0
    """Sources that fell silent without saying that they end."""
    stored_missing: int = 0
    """Events that were stored, were looked for again, and are not there any more."""
    watch_overflows: int = 0
    reloads: int = 0
    dead_letters_by_reason: dict[str, int] = {}
    """By one of `indexer.figures.DEAD_REASONS`."""
    requests: dict[str, int] = {}
    """By how they ended, one of `indexer.figures.ANSWERS`."""


class SilentSource(Struct, frozen=True, rename="camel"):
    """A source that neither speaks nor said that it ends; since when, by the agent's clock."""

    id: str
    service: str
    host: str
    path: str
    since: str


class SourcesStatus(Struct, frozen=True, rename="camel"):
    """How the sources with a heartbeat are; `silent` is bounded, the one silent longest first."""

    alive: int = 0
    closed: int = 0
    """Said within the last day that they end."""
    silent_count: int = 0
    silent: tuple[SilentSource, ...] = ()


class Waiting(Struct, frozen=True, rename="camel"):
    """Why batches are not settled: `halted`, `blocked` or `retry`, and the cluster's word."""

    outcome: str
    error_type: str
    since: str


class Status(Struct, frozen=True, rename="camel"):
    """All of it; instants are canonical, and empty where it never happened or nothing waits."""

    pid: int
    state: State
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
    checkpoint_saved_at: str = ""
    waiting: Waiting | None = None
    last_answer: str = ""
    """How the last request ended; empty before the first."""
    last_success_at: str = ""
    config_problems: tuple[str, ...] = ()
    """What was wrong with the configuration when it was read again last; the old one goes on."""
    sources: SourcesStatus = SourcesStatus()
    trail_problem: str = ""
    """Why gaps and broken chains cannot be recorded as events at the moment; they are kept."""
    dead_letter_problem: str = ""
    """Why refused lines cannot be put into the dead letter; what waits for that is not settled."""


class StatusFile:
    """Keeps the status file as it should be: at once what is new, else that the agent is there.

    Args:
        directory: of the state.
    """

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / STATUS_NAME)
        self._written: Status | None = None
        self._due = 0.0

    def keep(self, status: Status, now: float) -> None:
        """Replace the file if it says something else, or is older than `REPEAT_SECONDS`.

        Args:
            status: how it is.
            now: monotonic.

        Raises:
            OSError: it is as it was.
        """
        before = self._written
        if before is not None and now < self._due:
            same = msgspec.structs.replace(before, updated_at=status.updated_at)
            if same == status:
                return
        # What fails is tried again by the next call.
        self._written = None
        _write(self._path, msgspec.json.encode(status))
        self._written, self._due = status, now + REPEAT_SECONDS


def _write(path: str, content: bytes) -> None:
    new = f"{path}.new"
    # Buffered: without, a disk that has room for a part takes that, and says nothing.
    with open(new, "wb") as file:  # noqa: PTH123  # Path costs as much as the system
        file.write(content)
    os.replace(new, path)  # noqa: PTH105  # as above


def read(directory: Path) -> Status | None:
    """What the agent wrote last, None if it never did or nobody can tell."""
    try:
        return msgspec.json.decode((directory / STATUS_NAME).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def list_files(tails: Collection[Tail], since: Mapping[Tail, str]) -> tuple[FileStatus, ...]:
    """The files that lag most, then the others.

    Args:
        tails: all of them.
        since: the timestamp of the oldest unshipped line of those that lag.
    """
    # The one whose line waits longest first; an empty timestamp sorts behind all others.
    order = sorted(tails, key=lambda tail: (since.get(tail) or "~", tail.settled - tail.size))
    return tuple(
        FileStatus(
            path=path_text(tail.path),
            size=tail.size,
            settled=tail.settled,
            lag_bytes=max(0, tail.size - tail.settled),
            settled_until=tail.settled_since,
            rotated=tail.rotated,
            oldest_unshipped=since.get(tail, ""),
        )
        for tail in order[:FILES_LIMIT]
    )


def describe(status: Status) -> str:
    """One line for people; of what is no number only what is wrong."""
    parts: list[str] = [status.state] if status.state != "running" else []
    parts.append(f"{status.file_count} files")
    parts.append(f"{status.lag_bytes:,} bytes behind" if status.lag_bytes else "nothing waits")
    if status.waiting is not None:
        parts.append(f"{status.waiting.outcome} since {status.waiting.since[:19]}Z")
    if status.checkpoint_problem:
        parts.append(f"checkpoint: {status.checkpoint_problem}")
    if status.trail_problem:
        parts.append(f"findings not recorded: {status.trail_problem}")
    if status.dead_letter_problem:
        parts.append(status.dead_letter_problem)
    if status.unreadable:
        parts.append(f"{len(status.unreadable)} unreadable")
    if status.config_problems:
        parts.append("configuration refused")
    return ", ".join(parts)
