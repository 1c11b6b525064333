"""Events as rows of CSV (RFC 4180) that no spreadsheet takes for formulas. Pure.

Each cell is quoted. A spreadsheet takes a cell for a formula by its first character; and where it
splits at other signs than commas, or is fooled by a quote, what stands behind such a sign is first
in a cell of its own (OWASP, "CSV Injection"). So whatever a formula can begin with gets an
apostrophe before it, at the beginning of a cell and behind each sign that may separate cells.
Cells of JSON stay the same value instead: a character of a text is escaped as JSON has it, and a
blank stands before a negative number.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec
from msgspec import Raw, Struct

from webapi.event_values import read_values

BOM: Final = b"\xef\xbb\xbf"
"""How Excel knows UTF-8."""
COLUMNS: Final = (
    "id", "timestamp", "action", "result",
    "actor.type", "actor.id", "actor.email", "actor.name", "actor.onBehalfOf",
    "targetUser.id", "targetUser.email", "targetUser.name",
    "resource.type", "resource.id", "resource.name",
    "ipAddress", "userAgent", "context.previous", "context.new", "context", "correlationId",
    "organizationId", "source.id", "source.seq", "source.service", "source.host",
    "hash", "schemaVersion", "ingestedAt",
)  # fmt: skip
"""Never in another order; new ones go to the end."""

_DANGEROUS: Final = "[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]"
_BEHIND: Final = '[",;|\t\r\n]'
_formula: Final = re.compile(f"({_BEHIND})(?={_DANGEROUS})")
_json_text: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_in_json_text: Final = re.compile(f"(?<={_BEHIND}){_DANGEROUS}")
_control: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What a terminal would obey, and what ends a text in C."""

_ABSENT: Final = Raw(b"")


class _Person(Struct, frozen=True, gc=False):
    type: object = None
    id: object = None
    email: object = None
    name: object = None
    onBehalfOf: object = None  # noqa: N815  # wire name


class _Resource(Struct, frozen=True, gc=False):
    type: object = None
    id: object = None
    name: object = None


class _Source(Struct, frozen=True, gc=False):
    id: object = None
    seq: object = None
    service: object = None
    host: object = None


class _Context(Struct, frozen=True, gc=False):
    previous: Raw = _ABSENT
    new: Raw = _ABSENT


_NOBODY: Final = _Person()
_NOTHING: Final = _Resource()
_NOWHERE: Final = _Source()


class _Event(Struct, frozen=True, gc=False):
    id: object = None
    timestamp: object = None
    action: object = None
    result: object = None
    actor: _Person = _NOBODY
    targetUser: _Person = _NOBODY  # noqa: N815  # wire name
    resource: _Resource = _NOTHING
    ipAddress: object = None  # noqa: N815  # wire name
    userAgent: object = None  # noqa: N815  # wire name
    context: Raw = _ABSENT
    correlationId: object = None  # noqa: N815  # wire name
    organizationId: object = None  # noqa: N815  # wire name
    source: _Source = _NOWHERE
    hash: object = None
    schemaVersion: object = None  # noqa: N815  # wire name
    ingestedAt: object = None  # noqa: N815  # wire name


_decode: Final = msgspec.json.Decoder(_Event).decode
_decode_context: Final = msgspec.json.Decoder(_Context).decode


def header() -> bytes:
    """Return the first row."""
    return _line(COLUMNS).encode()


def row(event: Raw) -> bytes:
    """Return the row of one stored event, whatever its shape; absent values are empty cells."""
    try:
        return _line(_cells(_decode(event))).encode("utf-8", "replace")
    except msgspec.ValidationError:
        # Of another application, not in our shape: an array where one object should stand.
        members = read_values(event)
        return _line([_text(_find(members, column)) for column in COLUMNS]).encode()


def _cells(event: _Event) -> list[str]:
    actor, target, resource, source = event.actor, event.targetUser, event.resource, event.source
    context = event.context
    change = _decode_context(context) if memoryview(context).nbytes > 0 else None
    texts = (
        event.id, event.timestamp, event.action, event.result,
        actor.type, actor.id, actor.email, actor.name, actor.onBehalfOf,
        target.id, target.email, target.name,
        resource.type, resource.id, resource.name,
        event.ipAddress, event.userAgent,
    )  # fmt: skip
    facts = (
        event.correlationId, event.organizationId,
        source.id, source.seq, source.service, source.host,
        event.hash, event.schemaVersion, event.ingestedAt,
    )  # fmt: skip
    return [
        *(one if isinstance(one, str) else _text(one) for one in texts),
        "" if change is None else _json(change.previous),
        "" if change is None else _json(change.new),
        _json(context),
        *(one if isinstance(one, str) else _text(one) for one in facts),
    ]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return _json(Raw(msgspec.json.encode(value)))


def _find(members: Mapping[str, object], path: str) -> object:
    found: object = members
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = cast("Mapping[str, object]", found).get(name)  # pyright: ignore[reportUnnecessaryCast]  # mypy needs it
    return found


def _json(value: Raw) -> str:
    """Return JSON as a cell that is still the same JSON."""
    text = str(memoryview(value), "utf-8")
    if _formula.search(text):
        text = _json_text.sub(_escape, text)
        text = text.replace(",-", ", -")
    return " " + text if text.startswith("-") else text


def _escape(text: re.Match[str]) -> str:
    return _in_json_text.sub(lambda one: f"\\u{ord(one[0]):04x}", text[0])


def _line(cells: Sequence[str]) -> str:
    line = '"' + '","'.join([cell.replace('"', '""') for cell in cells]) + '"'
    line = _formula.sub(r"\1'", line)
    if not line.isprintable():
        line = _control.sub(lambda one: f"\\x{ord(one[0]):02x}", line)
    return line + "\r\n"
