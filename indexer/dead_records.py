"""Reading the dead letter: what is in it, of which kind, and what to do about it. No effects.

A record's number is its place in the file, from 1, which never changes: the file only grows. Its
key follows from its bytes, and outlives a move of the file.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from audit_events.envelope import Envelope, decode_envelope
from audit_events.errors import LineError
from indexer.dead_letter import RecordLine
from indexer.figures import dead_reason

KEY_CHARACTERS: Final = 16
NOT_AN_EVENT: Final = "not an event"
"""How the reason of a line begins that is none (`audit_events.envelope`)."""

ADVICE: Final = {
    "malformed": "The line is no event, so it cannot be replayed. Look for what writes into this"
    " file besides the audit log, mend it, and acknowledge the record.",
    "over_long": "Only its place is known: raise agent.max_line_bytes if events may be that long;"
    " the line may still be read in its file. Acknowledge the record.",
    "not_admitted": "Too old: raise index.retention_days, then replay. In the future: set the"
    " clock of the host that wrote it, and replay when its time has come, or at once with a larger"
    " index.future_hours. Nested too deep: it would end the cluster's process, so acknowledge it.",
    "refused": "The cluster cannot store this value in this field. Where the mapping is wrong,"
    " mend it (`indelible indices status`) and replay; where the event is, mend what wrote it,"
    " and acknowledge the record.",
    "conflict": "Another event is stored under this id. Compare both: ids are made twice, or"
    " somebody changed the line. Acknowledge the record when that is clear.",
    "too_large": "Raise http.max_content_length of the cluster, or the limit of the proxy before"
    " it, then replay.",
}
"""What an operator does next, by `Record.kind`."""


class Event(Struct, frozen=True):
    """What is shown of a line that may be an event, however wrong it is otherwise."""

    id: str = ""
    action: str = ""


class Record(Struct, frozen=True, dict=True):
    """One record: its number, its key, and what the file says."""

    number: int
    key: str
    fields: RecordLine

    @property
    def kind(self) -> str:
        """Why it is here, in one of `figures.DEAD_REASONS`."""
        fields = self.fields
        if fields.status is not None:
            return dead_reason(fields.status)
        if fields.line is None and fields.lineBase64 is None:
            return "over_long"
        return "malformed" if fields.reason.startswith(NOT_AN_EVENT) else "not_admitted"

    @cached_property
    def line(self) -> bytes | None:
        """The bytes of the line or the run; None when it was too long to be held, or is spoilt."""
        fields = self.fields
        if fields.line is not None:
            return fields.line.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(fields.lineBase64 or "", validate=True) or None
        except binascii.Error:
            return None

    @cached_property
    def envelope(self) -> Envelope | None:
        """What a shipper needs of the event, None when the line is none."""
        if self.fields.lines > 1:
            # Together they may be an event that somebody indented, which is none in a log.
            return None
        try:
            return None if self.line is None else decode_envelope(self.line)
        except LineError:
            return None

    @cached_property
    def event(self) -> Event:
        """Id and action as far as they can be read."""
        try:
            return _decode_event(self.line or b"")
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return Event()


class Filter(Struct, frozen=True, kw_only=True):
    """Which records are meant; what is empty does not restrict.

    `numbers` and `ids` (keys, ids of events) are alternatives; `reason` is a kind, or a part of
    the reason; `since` a canonical instant; `path` a part of the path.
    """

    numbers: frozenset[int] = frozenset()
    ids: tuple[str, ...] = ()
    reason: str = ""
    since: str = ""
    path: str = ""

    def takes(self, record: Record) -> bool:
        """Whether this record is meant."""
        fields = record.fields
        return (
            fields.time >= self.since
            and self.path in fields.path
            and (not self.reason or self._has_reason(record))
            and (not (self.numbers or self.ids) or self._names(record))
        )

    def _has_reason(self, record: Record) -> bool:
        return self.reason == record.kind or self.reason.lower() in record.fields.reason.lower()

    def _names(self, record: Record) -> bool:
        return record.number in self.numbers or any(
            one and one in (record.key, record.event.id) for one in self.ids
        )


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file's lines; what a crash tore is left out.

    Args:
        lines: with or without their newlines.
    """
    number = 0
    for line in lines:
        text = line.rstrip(b"\n")
        try:
            fields = _decode_record(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        number += 1
        yield Record(number, sha256(text).hexdigest()[:KEY_CHARACTERS], fields)


_decode_record = msgspec.json.Decoder(RecordLine).decode
_decode_event = msgspec.json.Decoder(Event).decode
