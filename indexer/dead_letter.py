"""The dead letter: lines that will never be in an index, each with its reason, durable.

One JSON object a line in `dead-letter.jsonl` (mode 0600: it holds whole events). A record counts
only when `append` has returned: then it and the file's name are on the disk. What a crash leaves
behind is at most a torn last line that nobody was told of; the next append starts a new line and
leaves it, as nothing is ever removed here. After a crash between the append and the checkpoint the
same line is dead-lettered again, with the same `path` and `offset`.
"""

import base64
import contextlib
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indexer.errors import DeadLetterError

FILE_NAME: Final = "dead-letter.jsonl"


class Refusal(Struct, frozen=True, kw_only=True):
    """One line that is not stored.

    A line too long to be held in memory has `length_bytes` and `sha256` (hexadecimal) instead of
    `line`.
    """

    path: str
    """File that the line was read from."""
    offset: int
    """Of the line's first byte in that file."""
    reason: str
    time: str
    """Canonical instant of the refusal."""
    status: int | None = None
    """HTTP status of the cluster, None when it was not asked."""
    line: bytes | None = None
    length_bytes: int | None = None
    sha256: str | None = None


class _Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    offset: int
    reason: str
    time: str
    status: int | None = None
    line: str | None = None
    lineBase64: str | None = None  # noqa: N815  # key of the file
    bytes: int | None = None
    sha256: str | None = None


class DeadLetter:
    """The dead letter in `directory`, which is made when the first record comes.

    Threads and processes may append at the same time.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self._lock = threading.Lock()

    def append(self, records: Sequence[Refusal]) -> None:
        """Write the records and wait for the disk.

        Raises:
            DeadLetterError: none of them counts as written; calling again is safe.
        """
        if not records:
            return
        text = b"".join(render(record) for record in records)
        try:
            with self._lock:
                _append_durably(self.path, text)
        except OSError as error:
            raise DeadLetterError(self.path, error) from error


def render(refusal: Refusal) -> bytes:
    """One line of the file, with its newline."""
    text, encoded = None, None
    if refusal.line is not None:
        try:
            text = refusal.line.decode("utf-8")
        except UnicodeDecodeError:
            encoded = base64.b64encode(refusal.line).decode("ascii")
    record = _Record(
        # A file's name need not be UTF-8 either.
        path=os.fsencode(refusal.path).decode("utf-8", "backslashreplace"),
        offset=refusal.offset,
        reason=refusal.reason,
        time=refusal.time,
        status=refusal.status,
        line=text,
        lineBase64=encoded,
        bytes=refusal.length_bytes,
        sha256=refusal.sha256,
    )
    return msgspec.json.encode(record) + b"\n"


def _append_durably(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = b"\n" + text
        _write_whole(descriptor, text, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if size == 0:
        _sync_directory(path.parent)


def _write_whole(descriptor: int, text: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(text):
            written += os.write(descriptor, text[written:])
    except OSError:
        # A full disk takes a part; without it the next attempt does not repeat whole records.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
