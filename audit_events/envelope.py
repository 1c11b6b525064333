"""The few fields that a shipper needs of a line, checked so that they are safe to splice."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from audit_events.errors import LineError
from audit_events.event import ACTION_PATTERN, EventId, Hash, Instant, Name


class EnvelopeSource(Struct, frozen=True, gc=False):
    """Which process wrote the line, and its place in that process's sequence."""

    id: EventId
    seq: Annotated[int, Meta(ge=0)]


class Envelope(Struct, frozen=True, gc=False):
    """What routing, deduplication and the chain need; the rest of the line stays bytes."""

    id: EventId
    timestamp: Instant
    organizationId: Name  # noqa: N815  # wire name
    action: Annotated[str, Meta(pattern=ACTION_PATTERN)]
    hash: Hash
    source: EnvelopeSource


_decode: Final = msgspec.json.Decoder(Envelope).decode


def decode_envelope(line: bytes) -> Envelope:
    """Read one line (without its newline) as far as a shipper needs it.

    A pass over the whole line all the same: msgspec checks the JSON that it skips. What is not
    checked here (the type of `ipAddress`, say) the index's mapping checks.

    Raises:
        LineError: with the reason, fit for a dead letter.
    """
    try:
        envelope = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LineError(f"not an event: {error}") from None
    if not line.endswith(b"}"):
        raise LineError("not an event: white space after the object")
    return envelope
