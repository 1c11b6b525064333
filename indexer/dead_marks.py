"""What became of dead letters: marks in a file beside them, which only grows as well.

A record is *open* until it has a mark: `stored` (a replay brought it, or found it, in the cluster),
`replaced` (a replay was refused for another reason, which has a record of its own now), or
`acknowledged` (somebody read it, and nothing more is to be done). The record itself stays.

A mark is written when what it says is durable. So a crash leaves at worst a record open that is
stored: replayed again, it is found by its id (409), and nothing is stored twice.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from indexer.dead_letter import FILE_NAME
from indexer.dead_records import read_records
from indexer.durable import append_durably
from indexer.errors import DeadLetterError

MARKS_NAME: Final = "dead-letter-marks.jsonl"
CHUNK_BYTES: Final = 1 << 20
Outcome = Literal["stored", "replaced", "acknowledged"]


class Mark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the record with this key, and when (canonical instant).

    `letter` is the key of the first record of its file: marks outlive a file that is moved away,
    and must not count for the next one.
    """

    letter: str
    record: str
    outcome: Outcome
    time: str
    note: str = ""


class Count(Struct, frozen=True):
    """How much is in the dead letter."""

    records: int = 0
    open: int = 0
    bytes: int = 0


def read_marks(directory: Path) -> dict[str, Mark]:
    """The last mark of each record by its key; what a crash tore is left out.

    Raises:
        OSError: it is there and cannot be read.
    """
    marks: dict[str, Mark] = {}
    try:
        lines = (directory / MARKS_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return marks
    for line in lines:
        try:
            mark = _decode(line)
        except (msgspec.MsgspecError, UnicodeError):
            continue
        marks[mark.record] = mark
    return marks


def append_marks(directory: Path, marks: Iterable[Mark]) -> None:
    """Make marks durable.

    Raises:
        DeadLetterError: they do not count; the records stay open.
    """
    path = directory / MARKS_NAME
    text = b"".join(msgspec.json.encode(mark) + b"\n" for mark in marks)
    try:
        if text:
            append_durably(path, text)
    except OSError as error:
        raise DeadLetterError(path, error) from error


def letter_key(path: Path) -> str:
    """The key of the first record of a dead letter, empty without one."""
    try:
        with path.open("rb") as file:
            return next((record.key for record in read_records(file)), "")
    except FileNotFoundError:
        return ""


class Tally:
    """Counts records, each time only those that are new; for whoever asks again and again.

    Args:
        directory: of the dead letter.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._letter = _Growth(directory / FILE_NAME)
        self._records = 0
        self._marked: Counter[str] = Counter()
        self._marks_stamp = (0, 0)

    def count(self) -> Count:
        """As it is now.

        Raises:
            OSError: a file is there and cannot be read.
        """
        if self._letter.is_another():
            self._records = 0
        self._records += sum(text.count(b"}\n") for text in self._letter.read())
        stamp = _stamp(self._directory / MARKS_NAME)
        if stamp != self._marks_stamp:
            marks = read_marks(self._directory).values()
            self._marked, self._marks_stamp = Counter(mark.letter for mark in marks), stamp
        left = max(0, self._records - self._marked[self._letter.key])
        return Count(self._records, left, self._letter.size)


class _Growth:
    """The whole lines that came to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self.size = 0
        self.key = ""

    def is_another(self) -> bool:
        """Whether another file stands there now, which is read from its start."""
        inode, self.size = _stamp(self._path)
        key = letter_key(self._path) if inode else ""
        if (inode, key) == (self._inode, self.key) and self.size >= self._offset:
            return False
        self._inode, self.key, self._offset = inode, key, 0
        return True

    def read(self) -> Iterable[bytes]:
        """Pieces of text that end with a line."""
        if self.size <= self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(CHUNK_BYTES):
                end = chunk.rfind(b"\n") + 1
                if not end and len(chunk) < CHUNK_BYTES:
                    return
                # A line may be longer than a piece: then none of it ends here.
                end = end or len(chunk)
                self._offset += end
                file.seek(self._offset)
                yield chunk[:end]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # both values of one call
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


_decode = msgspec.json.Decoder(Mark).decode
