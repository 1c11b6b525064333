"""Where an event stands among those of its partition, as the index read it. Pure.

Read more leniently than `audit_events.envelope` does: whoever has the writer's password can store
other spellings, which are sealed with the rest.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from audit_events.envelope import UNREADABLE
from audit_events.instant import parse_instant
from indexer.journal import SERVICE

EPOCH: Final = parse_instant("1970-01-01")
LAST_NS: Final = 2**63 - 1
"""What `date_nanos` holds, in the year 2262; and SQLite."""
_MICROSECOND: Final = timedelta(microseconds=1)
_JOURNAL: Final = f'"{SERVICE}"'.encode()
_CANONICAL_CHARACTERS: Final = len("2026-03-15T09:30:00.123456Z")


class Place(Struct, frozen=True, gc=False):
    """Whose event it is, and what its order follows from; instants in nanoseconds.

    Args:
        organization_id: whose.
        ns: its `timestamp`.
        event_id: its `id`.
        ingested: its `ingestedAt`, 0 where it has none.
    """

    organization_id: str
    ns: int
    event_id: str
    ingested: int


class _Line(Struct, frozen=True, gc=False, rename="camel"):
    id: str
    timestamp: str
    organization_id: str
    ingested_at: object = None


class _Source(Struct, frozen=True, gc=False):
    service: str


class _Sourced(Struct, frozen=True, gc=False):
    source: _Source


_decode: Final = msgspec.json.Decoder(_Line).decode
_decode_source: Final = msgspec.json.Decoder(_Sourced).decode


def place_of(line: bytes) -> Place | None:
    """Return where an event stands; None of what is no event, which stands nowhere."""
    try:
        event = _decode(line)
        ns = _timestamp_ns(event.timestamp)
    except (*UNREADABLE, ValueError):
        return None
    return Place(event.organization_id, ns, event.id, instant_ns(event.ingested_at))


def is_of_journal(line: bytes) -> bool:
    """Whether the log itself recorded it, in its journal, which is no partition."""
    if _JOURNAL not in line:
        return False
    try:
        return _decode_source(line).source.service == SERVICE
    except UNREADABLE:
        return False


def unix_ns(instant: datetime) -> int:
    """Return nanoseconds since the epoch, at most as many as an index can hold."""
    return min((instant - EPOCH) // _MICROSECOND * 1000, LAST_NS)


def _timestamp_ns(text: str) -> int:
    """To the nanosecond: what a forger writes has more digits than ours."""
    ns = unix_ns(parse_instant(text))
    if len(text) == _CANONICAL_CHARACTERS:
        return ns
    _, _, fraction = text.partition(".")
    digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
    return min(ns + int(digits[6:9].ljust(3, "0")), LAST_NS)


def instant_ns(text: object) -> int:
    """Return what an instant is in nanoseconds, 0 of what is none."""
    try:
        return unix_ns(parse_instant(text)) if isinstance(text, str) else 0
    except ValueError:
        return 0
