"""The dead letter: lines that will never be in an index, each with its reason, durable.

One JSON object a line in `dead-letter.jsonl` (mode 0600: it holds whole events). A record counts
only when `append` has returned: then it and the file's name are on the disk. What a crash leaves
behind is at most a torn last line that nobody was told of; the next append starts a new line and
leaves it, as nothing is ever removed here. After a crash between the append and the checkpoint the
same line is dead-lettered again, with the same `path` and `offset`; of lines that are one record
(a run) the same bytes, which may then be cut into other records.

It has no bound, as at a bound something would be lost: it grows aloud (an alarm each time that
its size doubles) until its disk is full, and then the agent waits, aloud. Who wants it smaller
moves the file away whole, at any time: the next record begins a new one. What became of a record
later stands beside it (`indexer.dead_marks`).
"""

import base64
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog
from msgspec import Struct

from indexer.durable import append_durably
from indexer.errors import DeadLetterError
from indexer.path_text import path_text

FILE_NAME: Final = "dead-letter.jsonl"
ALARM_BYTES: Final = 1 << 20
"""The first size that is told of; then each double of it."""

_log = structlog.get_logger("indexer")


class Refusal(Struct, frozen=True, kw_only=True):
    """One line that is not stored, or a run of lines that are no events.

    A line too long to be held in memory has `length_bytes` and `sha256` (hexadecimal) instead of
    `line`. A run has all bytes of its file from the first of its lines to the last in `line`, and
    their number in `length_bytes`.
    """

    path: str
    """File that the line was read from."""
    offset: int
    """Of the line's first byte in that file."""
    reason: str
    """Of a run: why the first one is no event."""
    time: str
    """Canonical instant of the refusal."""
    status: int | None = None
    """HTTP status of the cluster, None when it was not asked."""
    line: bytes | None = None
    lines: int = 1
    """How many they are; empty ones between them do not count."""
    length_bytes: int | None = None
    sha256: str | None = None


class Grave(Protocol):
    """What takes the lines that are not stored: `DeadLetter`."""

    def append(self, records: Sequence[Refusal], /) -> None:
        """Return when they are durable."""
        ...


class RecordLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file; `line` is text, `lineBase64` what is no UTF-8.

    `lines` is more than 1 for a run, whose `line` has newlines.
    """

    path: str
    offset: int
    reason: str
    time: str
    status: int | None = None
    line: str | None = None
    lineBase64: str | None = None  # noqa: N815  # key of the file
    lines: int = 1
    bytes: int | None = None
    sha256: str | None = None


class DeadLetter:
    """The dead letter in `directory`, which is made when the first record comes.

    Threads and processes may append at the same time.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self.problem = ""
        """Why nothing could be written the last time."""
        self._lock = threading.Lock()

    def append(self, records: Sequence[Refusal]) -> None:
        """Write the records and wait for the disk.

        Raises:
            DeadLetterError: none of them counts as written; calling again is safe.
        """
        if not records:
            return
        text = b"".join(render(record) for record in records)
        with self._lock:
            size = self._append(text)
        if size >= ALARM_BYTES and size.bit_length() > (size - len(text)).bit_length():
            _log.error(
                "dead_letter_grows",
                path=str(self.path),
                bytes=size,
                hint="`indelible dead-letter list` says what is in it and why",
            )

    def _append(self, text: bytes) -> int:
        try:
            size = append_durably(self.path, text)
        except OSError as cause:
            error = DeadLetterError(self.path, cause)
            self.problem = str(error)
            raise error from cause
        if self.problem:
            _log.info("dead_letter_written_again", path=str(self.path), after=self.problem)
            self.problem = ""
        return size


def render(refusal: Refusal) -> bytes:
    """One line of the file, with its newline."""
    text, encoded = None, None
    if refusal.line is not None:
        try:
            text = refusal.line.decode("utf-8")
        except UnicodeDecodeError:
            encoded = base64.b64encode(refusal.line).decode("ascii")
    record = RecordLine(
        path=path_text(refusal.path),
        offset=refusal.offset,
        reason=refusal.reason,
        time=refusal.time,
        status=refusal.status,
        line=text,
        lineBase64=encoded,
        lines=refusal.lines,
        bytes=refusal.length_bytes,
        sha256=refusal.sha256,
    )
    return msgspec.json.encode(record) + b"\n"
