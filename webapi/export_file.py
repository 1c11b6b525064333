"""The files that an export can be: each format turns events into pieces of bytes. Pure.

A file says what is in it only where it is whole: NDJSON by its last line, a zip by its manifest.
Nothing that was cut off ends so.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Final, Literal, Protocol, cast
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec
from isal import isal_zlib
from msgspec import Struct
from typing_extensions import Buffer, override

from webapi import csv_rows
from webapi.answered import Moment, Verdict
from webapi.storage_answer import Hit

Format = Literal["ndjson", "csv", "zip"]
FORMATS: Final[tuple[Format, ...]] = ("ndjson", "csv", "zip")
MEDIA_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
    "zip": "application/zip",
}
EVENTS_NAME: Final = "events.ndjson"
MANIFEST_NAME: Final = "manifest.json"
PIECE_EVENTS: Final = 250
GZIP_LEVEL: Final = 1
ZIP_LEVEL: Final = 1
_GZIP: Final = 31
"""`wbits` of zlib for the container of RFC 1952."""
_unsafe: Final = re.compile(r"[^A-Za-z0-9._]+")
MAX_NAME_CHARACTERS: Final = 60


class ExportCompleteness(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was known of the time that an export is of, as `/completeness` answers it.

    Args:
        verdict: whether anything of that time is known to be missing.
        complete_until: what happened before it has arrived, or is known to be missing; null: nobody
            can say.
        losses: how many findings tell of something that is missing or altered.
    """

    verdict: Verdict
    complete_until: Moment | None
    losses: int


class ExportSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an export holds; it is written only behind the last event.

    Args:
        events: how many.
        first: id of the first one, in the order of the file.
        last: id of the last one.
        organization_id: whose they are.
        filters: what was asked for, by parameter.
        as_of: all that could be found at this moment is in it.
        format: of the file.
        sha256: hexadecimal, of all bytes of the events: the lines before the last one of NDJSON,
            `events.ndjson` of a zip, all of a CSV.
        completeness: what was known, when the export began, of the time from `since` to `until`.
    """

    events: int
    first: str | None
    last: str | None
    organization_id: str
    filters: dict[str, list[str]]
    as_of: Moment
    format: str
    sha256: str
    completeness: ExportCompleteness


class ExportTrailer(Struct, frozen=True):
    """The last line of NDJSON: the only one with the member `export`, and without an `id`."""

    export: ExportSummary


class Tally:
    """What was written so far."""

    def __init__(self) -> None:
        self.events = 0
        self.first: str | None = None
        self.last: str | None = None
        self._digest = hashlib.sha256()

    @classmethod
    def resumed(
        cls, events: int, first: str | None, last: str | None, digest: "hashlib._Hash"
    ) -> "Tally":
        """Go on with what was written before."""
        tally = cls()
        tally.events, tally.first, tally.last, tally._digest = events, first, last, digest
        return tally

    def add(self, hits: Sequence[Hit], data: bytes) -> bytes:
        """Count some events and the bytes that stand for them; return those."""
        if self.first is None:
            self.first = hits[0].sort[2]
        self.last = hits[-1].sort[2]
        self.events += len(hits)
        self._digest.update(data)
        return data

    def add_bytes(self, data: bytes) -> bytes:
        """Count bytes that are no event."""
        self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hexadecimal."""
        return self._digest.hexdigest()


def write_lines(hits: Iterable[Hit], tally: Tally) -> Iterator[bytes]:
    """Yield the events as they are stored, one a line."""
    for some in _pieces(hits):
        data = b"\n".join([*(hit.source for hit in some), b""])
        if data.count(b"\n") != len(some):
            # Written by somebody else, with line ends between the members.
            data = b"\n".join([*(msgspec.json.format(hit.source, indent=-1) for hit in some), b""])
        yield tally.add(some, data)


def write_ndjson(
    hits: Iterable[Hit], tally: Tally, summarize: Callable[[], ExportSummary]
) -> Iterator[bytes]:
    """Yield the lines, and last the one that says that these are all."""
    yield from write_lines(hits, tally)
    yield msgspec.json.encode(ExportTrailer(summarize())) + b"\n"


def write_csv(
    hits: Iterable[Hit], tally: Tally, *, bom: bool, header: bool = True
) -> Iterator[bytes]:
    """Yield the rows, behind the one with the names of the columns."""
    if header:
        yield tally.add_bytes(csv_rows.BOM * bom + csv_rows.header())
    for some in _pieces(hits):
        yield tally.add(some, b"".join([csv_rows.row(hit.source) for hit in some]))


def write_zip(
    hits: Iterable[Hit], tally: Tally, summarize: Callable[[], ExportSummary]
) -> Iterator[bytes]:
    """Yield an archive of the lines and a manifest."""
    pipe = _Pipe()
    with ZipFile(cast("IO[bytes]", pipe), "w", ZIP_DEFLATED, compresslevel=ZIP_LEVEL) as archive:
        with archive.open(EVENTS_NAME, "w", force_zip64=True) as member:
            for piece in write_lines(hits, tally):
                member.write(piece)
                yield pipe.take()
        archive.writestr(MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(summarize())))
    yield pipe.take()


def compress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same as gzip (RFC 1952)."""
    packer = cast("_Packer", isal_zlib.compressobj(level=GZIP_LEVEL, wbits=_GZIP))  # pyright: ignore[reportUnknownMemberType]  # its stubs leave a type out
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def hold_last(pieces: Iterable[bytes], before_last: Callable[[], None]) -> Iterator[bytes]:
    """Yield the same pieces, without empty ones; the last one only after a call.

    What the call raises keeps the last piece back, so that the file is not whole.
    """
    held = b""
    for piece in pieces:
        if piece:
            if held:
                yield held
            held = piece
    before_last()
    yield held


def file_name(
    organization_id: str, as_of: str, kind: str, *, gzip: bool = False, what: str = "audit-log"
) -> str:
    """Return a name of letters, digits, dots and dashes alone.

    It has the whole of `as_of`, to the microsecond: two exports of one second do not collide.
    """
    whose = _unsafe.sub("-", organization_id)[:MAX_NAME_CHARACTERS].strip("-.")
    moment = as_of.replace("-", "").replace(":", "")
    return f"{what}-{whose or 'organization'}-{moment}.{kind}" + ".gz" * gzip


def _pieces(hits: Iterable[Hit]) -> Iterator[list[Hit]]:
    rest = iter(hits)
    while some := list(islice(rest, PIECE_EVENTS)):
        yield some


class _Packer(Protocol):
    """What is used of the standard library's `zlib.compressobj`, which python-isal mirrors."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Pipe(io.RawIOBase):
    """A file that can only be written to, and taken from."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
