"""The lines of a file of any size, a bounded piece of it in memory at a time."""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast
from zipfile import BadZipFile

from audit_events.event import MAX_LINE_BYTES
from indelible.zipped_export import ZIP_START, ZippedExport

STDIN: Final = "-"
LINES_A_LOOK: Final = 1000
GZIP_MAGIC: Final = b"\x1f\x8b"
DAMAGED: Final = (OSError, EOFError, zlib.error, BadZipFile)
"""What reading raises of a disk, and of an archive that is cut off or damaged."""


class Line(NamedTuple):
    """One line without its newline; of one beyond the limit only its length is known."""

    number: int
    text: bytes
    length: int
    is_ended: bool
    """Whether a newline follows."""

    @property
    def is_too_long(self) -> bool:
        """Whether it is longer than an event may be."""
        return self.length >= MAX_LINE_BYTES


class EventLines:
    """The lines of one file, of a gzip archive, of an export as a zip, or of stdin (`-`).

    Args:
        path: as the user gave it.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        is_stdin = path == STDIN
        self._raw = cast("BinaryIO", sys.stdin.buffer) if is_stdin else Path(path).open("rb")  # noqa: SIM115  # `read` closes it
        self.size = 0 if is_stdin else Path(path).stat().st_size
        """Bytes of the file, 0 where nobody knows."""
        self._is_seekable = self._raw.seekable()
        self.look: Callable[[int], object] = int
        """Called now and then with how many bytes of the file were read."""

    def read(self) -> Iterator[Line]:
        """Each line in turn; the file is closed at the end.

        Raises:
            OSError, EOFError, zlib.error, BadZipFile: it cannot be read on; every line before was
                given.
        """
        with self._own() as raw:
            # What is piped in may be packed too.
            buffered = io.BufferedReader(cast("io.RawIOBase", raw))
            try:
                with self._sources(buffered) as sources:
                    yield from self._read(sources)
            finally:
                # Or it would close what is not its own.
                buffered.detach()

    def _read(self, sources: Sequence[io.BufferedIOBase]) -> Iterator[Line]:
        number = 0
        for source in sources:
            while line := _read_line(source, number + 1):
                number += 1
                yield line
                if number % LINES_A_LOOK == 0:
                    self.look(self._position())

    @contextmanager
    def _sources(
        self, buffered: "io.BufferedReader[io.RawIOBase]"
    ) -> Generator[Sequence[io.BufferedIOBase]]:
        start = buffered.peek(len(ZIP_START))
        if start.startswith(ZIP_START) and self._is_seekable:
            zipped = ZippedExport(buffered)
            last = io.BytesIO(zipped.last() + b"\n")
            with zipped.events() as events:
                yield events, last
        else:
            is_packed = start.startswith(GZIP_MAGIC)
            yield [gzip.GzipFile(fileobj=buffered) if is_packed else buffered]

    def last(self) -> bytes:
        """The last line before any is read, without its newline; empty where nobody can tell yet.

        Of a pipe that is so, and of a line beyond the limit. An archive is unpacked for it.
        """
        if not self._is_seekable:
            return b""
        begin = self._raw.tell()
        try:
            start = self._raw.read(len(ZIP_START))
            self._raw.seek(begin)
            if start == ZIP_START:
                return ZippedExport(self._raw).last()
            is_packed = start.startswith(GZIP_MAGIC)
            tail = _unpacked_tail(self._raw) if is_packed else _tail(self._raw)
        except DAMAGED:
            # Whoever reads it hears of it.
            return b""
        finally:
            self._raw.seek(begin)
        return tail.removesuffix(b"\n").rpartition(b"\n")[2]

    def _position(self) -> int:
        return self._raw.tell() if self._is_seekable else 0

    def _own(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self._raw) if self.path == STDIN else closing(self._raw)


def _tail(raw: BinaryIO) -> bytes:
    begin = raw.tell()
    end = raw.seek(0, io.SEEK_END)
    raw.seek(max(begin, end - MAX_LINE_BYTES))
    return raw.read(MAX_LINE_BYTES)


def _unpacked_tail(raw: BinaryIO) -> bytes:
    tail = b""
    with gzip.GzipFile(fileobj=raw) as source:
        while piece := source.read(MAX_LINE_BYTES):
            tail = (tail + piece)[-MAX_LINE_BYTES:]
    return tail


def _read_line(source: io.BufferedIOBase, number: int) -> Line | None:
    piece = source.readline(MAX_LINE_BYTES)
    if not piece:
        return None
    text, length = piece.removesuffix(b"\n"), len(piece)
    while not piece.endswith(b"\n") and length >= MAX_LINE_BYTES:
        piece = source.readline(MAX_LINE_BYTES)
        if not piece:
            break
        length, text = length + len(piece), b""
    is_ended = piece.endswith(b"\n")
    return Line(number, text, length - is_ended, is_ended)
