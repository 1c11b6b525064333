"""Which ids stand more than once, among any number of them and in a bounded memory.

Ids are kept sorted in runs of `RUN_IDS`; full runs go to one temporary file, 40 bytes an id, and
are merged at the end. Nothing is written for less than one run.
"""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import BinaryIO, Final, NamedTuple
from uuid import UUID

from indelible.errors import CommandError

RUN_IDS: Final = 200_000
"""Some 17 MB in memory."""
_ID_BYTES: Final = 16
_PLACE_END: Final = _ID_BYTES + 8
_DIGEST_BYTES: Final = 16
_RECORD_BYTES: Final = _PLACE_END + _DIGEST_BYTES
_READ_BYTES: Final = 2048 * _RECORD_BYTES


class Repeated(NamedTuple):
    """An id that came again: where it stood before, and where it stands again."""

    event_id: str
    first: int
    again: int
    is_same: bool
    """Whether the line is the same there, byte for byte."""


class RepeatedIds:
    """Takes ids with their places, and tells at the end which came again."""

    def __init__(self, run_ids: int = RUN_IDS) -> None:
        self._run_ids = run_ids
        self._run: list[bytes] = []
        self._file: BinaryIO | None = None
        self._ends: list[int] = []

    def add(self, event_id: str, place: int, line: bytes) -> None:
        """Take the id of an event, a UUID, where it stands, a number below 2^64, and its line.

        Raises:
            CommandError: there is no room for a temporary file.
        """
        digest = blake2b(line, digest_size=_DIGEST_BYTES).digest()
        self._run.append(bytes.fromhex(event_id.replace("-", "")) + place.to_bytes(8) + digest)
        if len(self._run) >= self._run_ids:
            self._put_away()

    def find(self) -> Iterator[Repeated]:
        """Each id that came again, beside where it stood right before."""
        self._run.sort()
        for before, again in pairwise(heapq.merge(*self._runs(), self._run)):
            if before[:_ID_BYTES] == again[:_ID_BYTES]:
                event_id = str(UUID(bytes=before[:_ID_BYTES]))
                is_same = before[_PLACE_END:] == again[_PLACE_END:]
                yield Repeated(event_id, _place(before), _place(again), is_same)

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._file is not None:
            self._file.close()

    def _put_away(self) -> None:
        self._run.sort()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
            self._file.write(b"".join(self._run))
            self._file.flush()
            self._ends.append(self._file.tell())
        except OSError as error:
            hint = "they take 40 bytes an event; make room, or set TMPDIR to where there is"
            problem = f"the ids of events cannot be put into a temporary file: {error.strerror}"
            raise CommandError(problem, hint=hint) from error
        self._run.clear()

    def _runs(self) -> Iterable[Iterator[bytes]]:
        return [self._read(start, end) for start, end in pairwise([0, *self._ends])]

    def _read(self, start: int, end: int) -> Iterator[bytes]:
        if self._file is None:
            return
        while start < end:
            self._file.seek(start)
            data = self._file.read(min(_READ_BYTES, end - start))
            start += len(data)
            for at in range(0, len(data), _RECORD_BYTES):
                yield data[at : at + _RECORD_BYTES]


def _place(record: bytes) -> int:
    return int.from_bytes(record[_ID_BYTES:_PLACE_END])
