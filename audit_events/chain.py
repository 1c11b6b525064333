"""The hash chain of one source: an event altered, removed or slipped in shows.

    hash(n) = SHA-256( hash(n-1) || canonical form of event n without `hash` and `ingestedAt` )
    hash(-1) = SHA-256( the source's id, as UTF-8 )

Hashes are 32 raw bytes here, and base64url without padding (RFC 4648, section 5) on the wire.
Pure functions; `docs/event-format.md` has a worked example for other languages.
"""

from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Literal

import msgspec

from audit_events.canonical import canonical, read_back
from audit_events.envelope import UNREADABLE, decode_envelope
from audit_events.errors import AuditEventError, LineError
from audit_events.event import HASH_CHARACTERS

HASH_KEY: Final = b',"hash":"'
_HASH_MEMBER_BYTES: Final = len(HASH_KEY) + HASH_CHARACTERS + 1
_NEAR_BYTES: Final = 32
_TO_URL_ALPHABET: Final = bytes.maketrans(b"+/", b"-_")
TO_CLOSED_URL_ALPHABET: Final = bytes.maketrans(b"+/=", b'-_"')
"""What `b2a_base64` writes of a digest, as it stands in a line: 32 bytes are 43 characters and one
`=`, whose place the closing quote takes (0.3 µs less an event than to cut and to append)."""
_INGESTED_KEY: Final = b',"ingestedAt":"'


class ChainBreak(msgspec.Struct, frozen=True):
    """Where a source's chain does not hold.

    `gap`: events from `expected_seq` up to before `seq` are missing. `altered`: event `seq` is not
    what was hashed, or what came before it is not. `order`: a `seq` that was already passed.
    """

    source_id: str
    seq: int
    kind: Literal["gap", "altered", "order"]
    expected_seq: int


def genesis(source_id: str) -> bytes:
    """Return the hash that stands before a source's event 0."""
    return sha256(source_id.encode()).digest()


def link(previous: bytes, unhashed: bytes) -> bytes:
    """Return the hash of an event from the previous one's and its own canonical bytes."""
    return sha256(previous + unhashed).digest()


def encode_hash(digest: bytes) -> str:
    """Spell a digest for the wire: base64url without padding, 43 characters."""
    spelled = b2a_base64(digest, newline=False).translate(_TO_URL_ALPHABET)
    return spelled[:HASH_CHARACTERS].decode("ascii")


def decode_hash(text: str) -> bytes:
    """Inverse of `encode_hash`; ValueError for what it cannot have written."""
    digest = urlsafe_b64decode(text + "=")
    if encode_hash(digest) != text:
        raise ValueError("not a canonical base64url SHA-256")
    return digest


def split_hash(line: bytes) -> tuple[bytes, str]:
    """Split a line into the bytes that its hash covers and the hash.

    A line in canonical form, with `ingestedAt` appended or not, is cut where it stands: after the
    event's own `hash` no key of the format is called `hash` again, and an unescaped quote cannot
    stand inside a string, so the last occurrence is the right one. Whoever forges a line is not
    bound to the format: it counts only if it is the `hash` that the event carries, else one inside
    of `resource` would vouch for a line that carries another; and nothing stands behind
    `ingestedAt`. Other spellings of the same event are brought to canonical form first.

    Raises:
        LineError: the line is not a JSON object with a `hash`.
    """
    start = line.rfind(HASH_KEY)
    end = start + len(HASH_KEY) + HASH_CHARACTERS + 1
    body = without_ingested(line)
    if start > 0 and body[end - 1 : end + 6] == b'","id":':
        text = body[start + len(HASH_KEY) : end - 1]
        if text == _carried(line):
            return body[:start] + body[end:], text.decode()
    return _split_parsed(line)


def without_ingested(line: bytes) -> bytes:
    """Return the line as its emitter wrote it: without `ingestedAt`, where an agent appended it."""
    covered, key, rest = line.rpartition(_INGESTED_KEY)
    return covered + b"}" if key and _is_last_member(rest) else line


def _is_last_member(rest: bytes) -> bool:
    """Whether a text that has begun ends the object that it is in."""
    return rest.endswith(b'"}') and b'"' not in rest[:-2]


class _Hashed(msgspec.Struct, frozen=True, gc=False):
    """What an event carries, wherever it stands and however its key is spelled."""

    hash: str


_decode_hashed: Final = msgspec.json.Decoder(_Hashed).decode


def _carried(line: bytes) -> bytes | None:
    try:
        return _decode_hashed(line).hash.encode()
    except UNREADABLE:
        return None


def _split_parsed(line: bytes) -> tuple[bytes, str]:
    try:
        event = msgspec.convert(read_back(line), dict[str, object])
    except ValueError as error:
        raise LineError(f"not an event: {error}") from None
    text = event.pop("hash", None)
    event.pop("ingestedAt", None)
    if not isinstance(text, str):
        raise LineError("not an event: no `hash`")
    return canonical(event), text


_SPLITS: Final = (split_hash, _split_parsed)
"""In this order: the second for another spelling, and for keys of a newer version after `hash`."""


def verify_line(previous: bytes, line: bytes) -> bytes | None:
    """Return the hash of this line if it follows `previous`, or None if it does not.

    What has no canonical form (a number without end, nested without end) was hashed by nobody.
    """
    for split in _SPLITS:
        try:
            unhashed, text = split(line)
        except AuditEventError:
            continue
        digest = link(previous, unhashed)
        if encode_hash(digest) == text:
            return digest
    return None


def follows(previous: bytes, line: bytes) -> bool:
    """Tell whether a line follows the hash `previous`; one that is no event does not."""
    return verify_line(previous, line) is not None


def is_same_event(line: bytes, other: bytes) -> bool:
    """Tell whether two lines are one event, whenever they were ingested.

    All of it counts: that the `hash` is the same is what a forger sees to first.
    """
    start = len(line) - 1
    behind = other[start + len(_INGESTED_KEY) :]
    if other[: start + len(_INGESTED_KEY)] == line[:start] + _INGESTED_KEY:
        return _is_last_member(behind)
    for split in _SPLITS:
        try:
            if split(line) == split(other):
                return True
        except AuditEventError:
            continue
    return False


def verify_run(previous: bytes, lines: Sequence[bytes], hashes: Sequence[str]) -> bytes | None:
    """Return the hash of the last of these lines if each follows the one before it.

    None if one may not; `verify_line` tells of each, other spellings included. All are compared at
    once, which takes half the time of one by one.

    Args:
        previous: the hash before the first line.
        lines: events of one source, in order, as they were written.
        hashes: that they carry.
    """
    digest, near = previous, 0
    digests: list[bytes] = []
    for line in lines:
        # It stands nearly where it stood in the line before. A wrong place cannot verify.
        start = line.find(HASH_KEY, near)
        if start < 0:
            start = line.rfind(HASH_KEY)
        near = start - _NEAR_BYTES
        digest = sha256(digest + line[:start] + line[start + _HASH_MEMBER_BYTES :]).digest()
        digests.append(digest)
    # A digest and a zero byte make 44 characters, the last of which is an `A`.
    digests.append(b"")
    spelled = b2a_base64(b"\0".join(digests), newline=False).translate(_TO_URL_ALPHABET)
    return digest if spelled == "A".join([*hashes, ""]).encode() else None


def verify_chain(lines: Iterable[bytes]) -> list[ChainBreak]:
    """Check every source found in `lines`, each source's lines in order from `seq` 0.

    Sources may be mixed. Cost: one SHA-256 an event and one state a source. After a break the
    check goes on from the hash that the line itself carries, so that each break is told once.

    Raises:
        LineError: a line is not an event at all.
    """
    heads: dict[str, tuple[int, bytes]] = {}
    breaks: list[ChainBreak] = []
    for line in lines:
        envelope = decode_envelope(line)
        source_id, seq = envelope.source.id, envelope.source.seq
        expected_seq, previous = heads.get(source_id) or (0, genesis(source_id))
        if seq < expected_seq:
            breaks.append(ChainBreak(source_id, seq, "order", expected_seq))
            continue
        digest = None
        if seq > expected_seq:
            breaks.append(ChainBreak(source_id, seq, "gap", expected_seq))
        else:
            digest = verify_line(previous, line)
            if digest is None:
                breaks.append(ChainBreak(source_id, seq, "altered", expected_seq))
        heads[source_id] = (seq + 1, digest or carried_hash(envelope.hash))
    return breaks


def carried_hash(text: str) -> bytes:
    """Return the digest that an event carries, to go on from; empty where it is none."""
    try:
        return decode_hash(text)
    except ValueError:
        return b""
