"""Exports as files of events: what their last line says of them, and what of a chain is in them.

An export is one organisation's share of each source, as a rule the newest first. So no order is
due in it, and `seq` that are missing say nothing.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from audit_events.chain import carried_hash, follows, genesis
from audit_events.envelope import Envelope, decode_envelope
from audit_events.errors import LineError
from audit_events.validation import Flaw
from indelible.zipped_export import ZIP_START
from webapi.csv_rows import BOM, COLUMNS

HELD_BYTES: Final = 32 << 20
"""Of the last line of each source; beyond it the one quiet longest is forgotten."""
TRAILER_START: Final = b'{"export":'
CSV_START: Final = ",".join(f'"{name}"' for name in COLUMNS[:3]).encode()
_CUT: Final = "export anew: this is not what was exported"


class Claim(Struct, frozen=True, rename="camel"):
    """What is checked of `webapi.export_file.ExportSummary`."""

    events: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    organization_id: str = ""
    filters: dict[str, list[str]] = {}
    as_of: str = ""


class Trailer(Struct, frozen=True):
    """The last line."""

    export: Claim


_decode: Final = msgspec.json.Decoder(Trailer).decode


def read_claim(line: bytes) -> Claim | None:
    """Return what the last line of an export says; None where it is another line."""
    if not line.startswith(TRAILER_START):
        return None
    try:
        return _decode(line).export
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def other_form(first_line: bytes) -> Flaw | None:
    """Say that a file is an export which does not consist of events; None where it is none."""
    if first_line.startswith(ZIP_START):
        hint = "name the zip as a file: its table of contents stands at its end"
        return Flaw("json", "", "is a zip archive that is piped, or packed once more", hint)
    if first_line.removeprefix(BOM).startswith(CSV_START):
        digest = "its `sha256sum` is in audit_log.exported, or was printed by `indelible export`"
        hint = f"export ndjson to check each event; {digest}"
        return Flaw("json", "", "is an export as a table (CSV), which holds no hash to check", hint)
    return None


class ExportTally:
    """The lines of an export so far. One may follow another, as one that was gone on with.

    Args:
        claim: what the last line says. Where it went on behind an event (`after`), it counts and
            digests what follows that one, which may stand in the same file.
    """

    def __init__(self, claim: Claim) -> None:
        self._after = next(iter(claim.filters.get("after", ())), "").encode()
        self._lines = 0
        self._digest = hashlib.sha256()
        self._is_known = True

    def take(self, line: bytes | None) -> None:
        """Take a line without its newline; None for one that is too long to be held."""
        self._lines += 1
        if line is None:
            self._is_known = False
        elif self._after and self._after in line and _id_of(line) == self._after:
            self._lines, self._digest, self._is_known = 0, hashlib.sha256(), True
        else:
            self._digest.update(line + b"\n")

    def conclude(self, claim: Claim) -> Iterator[Flaw]:
        """Compare the lines with what stands behind them, and begin anew."""
        lines, digest, is_known = self._lines, self._digest.hexdigest(), self._is_known
        self._lines, self._digest, self._is_known = 0, hashlib.sha256(), True
        if claim.events != lines:
            problem = f"says {claim.events} events, and {lines} lines stand before it"
            yield Flaw("gap", "export.events", problem, _CUT)
        if is_known and claim.sha256 != digest:
            problem = f"says {claim.sha256}, and the lines before it come to {digest}"
            yield Flaw("altered", "export.sha256", problem, _CUT)


def _id_of(line: bytes) -> bytes:
    try:
        return decode_envelope(line).id.encode()
    except LineError:
        return b""


class ExportedChains:
    """The links between events of one source that stand next to each other, in either order."""

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self._last: OrderedDict[str, tuple[Envelope, bytes]] = OrderedDict()
        self._size = 0
        self.sources = 0
        """How many were seen; one that was forgotten and comes again counts again."""
        self.links = 0
        """How many events were compared with the one before them, or with the beginning."""

    def check(self, line: bytes) -> tuple[Envelope | None, list[Flaw]]:
        """What this line is, and whether it and its neighbour fit; None where it is no event."""
        try:
            envelope = decode_envelope(line)
        except LineError:
            return None, []
        flaws: list[Flaw] = []
        source = envelope.source
        if source.seq == 0:
            flaws += self._follow(genesis(source.id), envelope, line)
        known = self._last.get(source.id)
        if known is not None and source.seq == known[0].source.seq + 1:
            flaws += self._follow(carried_hash(known[0].hash), envelope, line)
        elif known is not None and source.seq == known[0].source.seq - 1:
            flaws += self._follow(carried_hash(envelope.hash), *known)
        self._remember(envelope, line)
        return envelope, flaws

    def _follow(self, previous: bytes, envelope: Envelope, line: bytes) -> Iterator[Flaw]:
        self.links += 1
        if not follows(previous, line):
            source = envelope.source
            before = f"`seq` {source.seq - 1}" if source.seq else "its source.id"
            problem = f"`seq` {source.seq} of source {source.id} does not follow {before}"
            hint = "it, or what stood before it, is not what was hashed; docs/event-format.md"
            yield Flaw("altered", "hash", problem, hint)

    def _remember(self, envelope: Envelope, line: bytes) -> None:
        former = self._last.pop(envelope.source.id, None)
        if former is None:
            self.sources += 1
        else:
            self._size -= len(former[1])
        self._last[envelope.source.id] = envelope, line
        self._size += len(line)
        while self._size > self._held_bytes:
            _, (_, forgotten) = self._last.popitem(last=False)
            self._size -= len(forgotten)
