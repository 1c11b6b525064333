"""Whether lines are events of this format: what `indelible validate` asks of each, and tells.

The schema's rules (docs/event.schema.json), and those that no schema can say: canonical form, the
chain of each source, how deep and how large a context may be. Nothing that records events imports
this. A test holds the shape against the schema in both directions.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple, cast

import msgspec

from audit_events.canonical import canonical, read_back
from audit_events.chain import carried_hash, follows, genesis, without_ingested
from audit_events.envelope import LARGEST_SEQ, UNREADABLE, Envelope, EnvelopeSource, decode_envelope
from audit_events.errors import CanonicalError, LineError
from audit_events.event import (
    MAX_USER_AGENT_CHARACTERS,
    RESERVED_PREFIX,
    SYSTEM_ORGANIZATION,
    Event,
)
from audit_events.instant import CANONICAL_INSTANT
from audit_events.open_gaps import Gap, OpenGaps
from audit_events.terms import MAX_LEAF_BYTES, MAX_TERM_BYTES, SMALL_LINE_BYTES, count_term_bytes
from audit_events.walk import MAX_DEPTH

Kind = Literal[
    "torn", "json", "shape", "canonical", "size",
    "gap", "altered", "order", "late", "beginning", "unknown_action",
]  # fmt: skip

SOURCES_LIMIT: Final = 100_000
"""Sources whose last event is remembered, some 40 MB; beyond it the one quiet longest is not."""


class Flaw(NamedTuple):
    """What is wrong with a line: where in the event, what, and what to do about it."""

    kind: Kind
    path: str
    problem: str
    hint: str
    is_warning: bool = False


class _StrictEvent(
    Event, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """A reader tolerates keys that a later version adds; who writes version 1 has none of them."""


_decode: Final = msgspec.json.Decoder(_StrictEvent).decode
_decode_any: Final = msgspec.json.Decoder().decode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_is_instant: Final = re.compile(CANONICAL_INSTANT).fullmatch
_names_field: Final = re.compile(r"field `(.*)`").search
_has_unusual: Final = re.compile(
    rb"(?:\":|[\[,])-?(?:[0-9]+[.eE]|[0-9]{16}|0[0-9])|[\xf0-\xf4]"
).search
"""Numbers, and keys beyond the basic plane, that msgspec may write otherwise than RFC 8785."""
_PERSONS: Final = ("actor", "targetUser", "resource")
_CONTEXT: Final = b'"context":'
_NO_CONTEXT: Final = _CONTEXT + b"null"
_TRUNCATED: Final = "Input data was truncated"
"""How msgspec says that JSON ends too early."""
_NEAR_BYTES: Final = 24

_HINTS: Final[Mapping[str, str]] = {
    "id": "a UUID in lower case; a UUIDv7 (RFC 9562) sorts by time",
    "timestamp": "UTC with six digits and `Z`, such as 2026-03-15T09:30:00.123456Z",
    "organizationId": "the tenant that the event belongs to",
    "action": "noun.verb_past in lower case, such as member.role_changed",
    "actor": "an object with `type`, and `id`, `email`, `name`, `onBehalfOf` where known",
    "actor.type": "one of user, system, api_key, service",
    "targetUser": "an object with `id`, `email`, `name` where known",
    "resource": "an object with `type` and `id`, and `name` where known",
    "context": "an object; what is particular to an action goes into it",
    "result": "one of success, failure, denied; leave it out for success",
    "source": "an object with `id`, `seq`, `service` and `host`",
    "source.id": "a fresh UUID for each process, in lower case",
    "source.seq": "an integer, from 0, one more for each event of the source",
    "hash": "SHA-256 in base64url without padding, 43 characters (docs/event-format.md)",
    "schemaVersion": "1",
}
_LEAVE_OUT: Final = "leave the key out where there is no value"
_RESERIALISE: Final = "write each line with an RFC 8785 (JCS) encoder, and hash those very bytes"


def check_line(line: bytes) -> list[Flaw]:
    """Everything that is wrong with one line (without its newline), its chain apart."""
    try:
        text = line.decode()
        document: object = _decode_any(line)
    except UnicodeDecodeError as error:
        if error.end == len(line) and error.reason == "unexpected end of data":
            return [_not_json(line, _TRUNCATED)]
        return [Flaw("json", "", f"is not UTF-8 at byte {error.start}", "write UTF-8")]
    except RecursionError:
        return [_too_deep("")]
    except msgspec.MsgspecError as error:
        return [_not_json(line, str(error))]
    flaws = _check_shape(line, document)
    if line.strip() != line or text.startswith("\ufeff"):
        hint = "end each line with a newline alone, no carriage return; no byte order mark"
        return [*flaws, Flaw("canonical", "", "has white space around the object", hint)]
    return [*flaws, *(_check_canonical(line) or _check_size(line, document))]


def _not_json(line: bytes, problem: str) -> Flaw:
    if line.startswith(b"{") and problem == _TRUNCATED:
        hint = "its writer was killed or the disk was full; the caller never heard of success"
        return Flaw("torn", "", f"ends in the middle, after {len(line)} bytes", hint)
    if line.startswith(b"\xef\xbb\xbf"):
        return Flaw("json", "", "begins with a byte order mark", "write UTF-8 without one")
    return Flaw("json", "", _lower(problem), "one JSON object on each line")


def _check_shape(line: bytes, document: object) -> list[Flaw]:
    try:
        event = _decode(line)
    except UNREADABLE as error:
        return [_shape_flaw(str(error))]
    members = cast("Mapping[str, object]", document)
    return [*_find_nulls(members), *_check_texts(event)]


def _shape_flaw(message: str) -> Flaw:
    problem, _, place = message.partition(" - at `$")
    path = place.rstrip("`").removeprefix(".")
    field = _names_field(problem)
    if field is None:
        return Flaw("shape", path, _lower(problem), _HINTS.get(path, ""))
    path = f"{path}.{field[1]}".removeprefix(".")
    if "unknown" in problem:
        hint = "what is particular to an action goes into context"
        return Flaw("shape", path, "is not a key of an event", hint)
    return Flaw("shape", path, "is missing", _HINTS.get(path, ""))


def _find_nulls(document: Mapping[str, object]) -> list[Flaw]:
    nulls = [key for key, value in document.items() if value is None]
    for key in _PERSONS:
        inner = document.get(key)
        if isinstance(inner, dict):
            members = cast("dict[str, object]", inner).items()
            nulls += [f"{key}.{name}" for name, value in members if value is None]
    return [Flaw("shape", path, "is null", _LEAVE_OUT) for path in nulls]


def _check_texts(event: Event) -> list[Flaw]:
    """What the structs leave to the emitter, as they also read what an index answers."""
    flaws: list[Flaw] = []
    organization = event.organization_id
    if organization.startswith(RESERVED_PREFIX) and organization != SYSTEM_ORGANIZATION:
        problem = "begins with `_`, which is reserved for the log itself"
        flaws.append(Flaw("shape", "organizationId", problem, _HINTS["organizationId"]))
    if event.ip_address is not None and not _is_address(event.ip_address):
        hint = "the client's address without a port and without a zone"
        flaws.append(Flaw("shape", "ipAddress", "is no IPv4 or IPv6 address", hint))
    if event.user_agent is not None and len(event.user_agent) > MAX_USER_AGENT_CHARACTERS:
        problem = f"has {len(event.user_agent)} characters"
        hint = f"cut it after {MAX_USER_AGENT_CHARACTERS}: whoever is recorded chooses it"
        flaws.append(Flaw("shape", "userAgent", problem, hint))
    if event.ingested_at is not None and not _is_instant(event.ingested_at):
        flaws.append(Flaw("shape", "ingestedAt", "is no instant", "the agent appends it"))
    if event.source.seq > LARGEST_SEQ:
        flaws.append(Flaw("shape", "source.seq", f"is beyond {LARGEST_SEQ}", _HINTS["source.seq"]))
    return flaws


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return "%" not in text and bool(ip_address(text))
    return False


def _check_canonical(line: bytes) -> list[Flaw]:
    """Whether the line is written as RFC 8785 writes it; `ingestedAt` may stand at its end."""
    line = without_ingested(line)
    is_shallow = line.count(b"{") + line.count(b"[") <= MAX_DEPTH
    try:
        if is_shallow and _has_unusual(line) is None and _encode_sorted(_decode_any(line)) == line:
            return []
        document = read_back(line)
        if not isinstance(document, dict):
            return []
        expected = _write_canonical(cast("dict[str, object]", document))
        return [] if expected == line else [_not_canonical(line, expected)]
    except CanonicalError as error:
        path = f"context.{error.field}".removesuffix(".value")
        return [Flaw("canonical", path, error.problem, error.hint)]
    except RecursionError:
        return [_too_deep("context")]
    except ValueError:
        return [Flaw("canonical", "", "cannot be written again as it is", _RESERIALISE)]


def _write_canonical(document: dict[str, object]) -> bytes:
    """The event in canonical form; how deep it is counts from the context on, as at the emitter."""
    inner = document.get("context")
    if not isinstance(inner, dict):
        return canonical(document)
    context = canonical(cast("dict[str, object]", inner))
    return canonical({**document, "context": None}).replace(_NO_CONTEXT, _CONTEXT + context, 1)


def _too_deep(path: str) -> Flaw:
    problem = f"is nested deeper than {MAX_DEPTH} levels"
    return Flaw("canonical", path, problem, "flatten it: an index cannot take it")


def _not_canonical(line: bytes, expected: bytes) -> Flaw:
    pairs = enumerate(zip(line, expected, strict=False))
    place = next((at for at, (one, other) in pairs if one != other), min(len(line), len(expected)))
    is_text = f"`{_excerpt(line, place)}` stands where `{_excerpt(expected, place)}` belongs"
    problem = f"is not in canonical form (RFC 8785): at byte {place} {is_text}"
    return Flaw("canonical", "", problem, _RESERIALISE)


def _excerpt(line: bytes, place: int) -> str:
    # Never from the middle of a character.
    while place and line[place : place + 1] and 0x80 <= line[place] < 0xC0:  # noqa: PLR2004  # UTF-8
        place -= 1
    return line[place : place + _NEAR_BYTES].decode(errors="ignore")


def _check_size(line: bytes, document: object) -> list[Flaw]:
    if len(line) <= SMALL_LINE_BYTES or not isinstance(document, dict):
        return []
    context = cast("dict[str, object]", document).get("context")
    if len(line) > MAX_LEAF_BYTES:
        path = _find_long_leaf(context, "context")
        if path:
            hint = f"at most {MAX_LEAF_BYTES} bytes with its path: cut it, or split it"
            return [Flaw("size", path[:200], "is a value too long to be indexed", hint)]
    size = count_term_bytes(context)
    if size > MAX_TERM_BYTES:
        hint = "each value is indexed with its whole path: shorten the keys, or record less"
        return [Flaw("size", "context", f"comes to {size} bytes in the index", hint)]
    return []


def _find_long_leaf(value: object, path: str) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        found = (_find_long_leaf(item, f"{path}.{key}") for key, item in members)
    elif isinstance(value, list):
        found = (_find_long_leaf(item, path) for item in cast("Sequence[object]", value))
    else:
        return path if len(f"{path}={value}".encode()) > MAX_LEAF_BYTES else ""
    return next(filter(None, found), "")


class Chains:
    """The chain of each source, over lines in the order in which they were written.

    After a break it goes on from the hash that the line itself carries, so each break is told once.

    Args:
        is_whole: events before the first line are missing, rather than in another file.
        gaps: takes what is missing, so that lines that stand late may fill it; what they did not
            fill, `missing` tells in the end. Without it, each gap is told where it is met.
    """

    def __init__(self, *, is_whole: bool = False, gaps: OpenGaps | None = None) -> None:
        self._is_whole = is_whole
        self._gaps = gaps
        self._heads: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self.sources = 0
        """How many were seen; one that was forgotten and speaks again counts again."""
        self.forgotten = 0
        """How many are no longer known, as there were too many."""

    def check(self, line: bytes, place: int = 0) -> tuple[Envelope | None, list[Flaw]]:
        """What this line is in its chain, and what is wrong with that; None where it is no event.

        Cost: one decoding and one SHA-256.

        Args:
            line: without its newline.
            place: where it stands, for what `missing` tells.
        """
        try:
            envelope = decode_envelope(line)
        except LineError:
            return None, []
        source_id, seq = envelope.source.id, envelope.source.seq
        known = self._heads.get(source_id)
        if known is not None and seq < known[0]:
            return envelope, [self._take_late(line, envelope, known[0], place)]
        flaws = self._follow(line, envelope, known, place)
        self._remember(source_id, seq + 1, carried_hash(envelope.hash))
        return envelope, flaws

    def missing(self) -> list[tuple[int, Flaw]]:
        """What no line filled, with the place of the line behind it."""
        rest = self._gaps.rest() if self._gaps else []
        return [(gap.place, self._tell(gap)) for gap in rest]

    def _take_late(self, line: bytes, envelope: Envelope, due: int, place: int) -> Flaw:
        source, fits = envelope.source, None
        if self._gaps:
            fits = self._gaps.fill(source.id, source.seq, envelope.hash, line, place)
        if fits is None:
            problem = f"{_name(source)} comes again or late: {due} was due"
            hint = (
                "a line was repeated, two processes share one source.id, or this is an export"
                " without its end: one that was cut off, or taken out of its zip"
            )
            return Flaw("order", "source.seq", problem, hint)
        if not fits:
            problem = f"{_name(source)} stands late, and does not fit where it is missing"
            return Flaw("altered", "hash", problem, "it, or a neighbour, is not what was hashed")
        problem = f"{_name(source)} stands late, and fits where it belongs"
        hint = "nothing is lost: somebody appended it later, or files are not named oldest first"
        return Flaw("late", "source.seq", problem, hint, is_warning=True)

    def _follow(
        self, line: bytes, envelope: Envelope, known: tuple[int, bytes] | None, place: int
    ) -> list[Flaw]:
        source_id, seq = envelope.source.id, envelope.source.seq
        expected, previous = known or (0, genesis(source_id))
        if seq == expected:
            return [] if follows(previous, line) else [_altered(envelope.source)]
        gap = Gap(source_id, expected, seq - 1, previous, line, place)
        # Not what is before the first line: an export, newest first and cut off, would fill it.
        if known and self._gaps and self._gaps.add(gap):
            return []
        return [self._tell(gap)]

    def _tell(self, gap: Gap) -> Flaw:
        behind = gap.last + 1
        if gap.first == 0 and not self._is_whole:
            problem = f"source {gap.source_id} begins with `seq` {behind}"
            hint = "name the files before this one too, oldest first, to check that nothing is lost"
            return Flaw("beginning", "source.seq", problem, hint, is_warning=True)
        missing = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
        problem = f"`seq` {missing} of source {gap.source_id} is missing before {behind}"
        hint = "look for the lines in other files and in the dead letter; an emitter never skips"
        return Flaw("gap", "source.seq", problem, hint)

    def _remember(self, source_id: str, due: int, digest: bytes) -> None:
        if source_id not in self._heads:
            self.sources += 1
        self._heads[source_id] = due, digest
        self._heads.move_to_end(source_id)
        if len(self._heads) > SOURCES_LIMIT:
            self._heads.popitem(last=False)
            self.forgotten += 1


def _altered(source: EnvelopeSource) -> Flaw:
    before = "SHA-256 of source.id" if source.seq == 0 else f"hash of `seq` {source.seq - 1}"
    problem = (
        f"{_name(source)} does not follow: this event, or what stood before it, is not what was"
        " hashed"
    )
    hint = f"hash = SHA-256({before}, then this line without `hash`); docs/event-format.md"
    return Flaw("altered", "hash", problem, hint)


def _name(source: EnvelopeSource) -> str:
    """An event as it is found again: a line of what came through a pipe is nowhere any more."""
    return f"`seq` {source.seq} of source {source.id}"


def _lower(text: str) -> str:
    # Not of "JSON is malformed".
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
