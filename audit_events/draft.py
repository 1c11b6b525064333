"""From the arguments of a log call to an event that only lacks its place in the chain.

Pure: whatever is wrong is found here, before the log is locked and before anything is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple, TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from audit_events.canonical import encode_prepared, find_surrogate, prepare
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.errors import CanonicalError, EventError
from audit_events.event import (
    MAX_NAME_CHARACTERS,
    MAX_USER_AGENT_CHARACTERS,
    SCHEMA_VERSION,
    SYSTEM_ORGANIZATION,
    Actor,
    ActorType,
    Resource,
    Result,
    TargetUser,
)
from audit_events.recorded_action import recorded_action
from audit_events.terms import MAX_TERM_BYTES, SMALL_LINE_BYTES, count_term_bytes

FIELDS: Final = {
    "organization_id": "organizationId",
    "actor": "actor",
    "target_user": "targetUser",
    "resource": "resource",
    "ip_address": "ipAddress",
    "user_agent": "userAgent",
    "context": "context",
    "result": "result",
    "correlation_id": "correlationId",
}
"""What a log call may say, and the key that it becomes."""

MAX_LEAF_BYTES: Final = 32_766
"""Lucene's longest term; a `flat_object` indexes each value of the context as `path=value`."""
_RESULTS: Final = get_args(Result)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRules:
    """What the events of one log may say; built once, when the log is opened.

    Args:
        system: allow `organization_id="_system"`, for events of the log itself.
        catalogue: the actions that are known.
        strict: refuse an action that is not in the catalogue, or lacks what it says there.
        redaction: what is never recorded of a context; None takes it as it is.
    """

    system: bool = False
    catalogue: Catalogue = CATALOGUE
    strict: bool = False
    redaction: object = None


DEFAULT_RULES: Final = DraftRules()


class Draft(NamedTuple):
    """An event in canonical pieces, cut where hash, identity, source and time will stand.

    The keys of an event sort as: action, actor, context, correlationId | hash, id | ipAddress,
    organizationId, resource, result, schemaVersion | source | targetUser | timestamp | userAgent.
    Each piece is the inside of an object, without braces; `target` and `agent` may be empty.
    """

    head: bytes
    middle: bytes
    target: bytes
    agent: bytes


def draft_event(
    action: object, fields: Mapping[str, object], rules: DraftRules = DEFAULT_RULES
) -> Draft:
    """Check one event's arguments and encode them, once.

    Args:
        action: `noun.verb_past`.
        fields: the names in `FIELDS`; None counts as absent.
        rules: of the log that it is for.

    Raises:
        EventError: naming the argument (and the path inside it) that is missing or wrong.
    """
    present = {name: value for name, value in fields.items() if value is not None}
    if not FIELDS.keys() >= present.keys():
        raise _unknown_field(present)
    context = present.get("context")
    try:
        head = encode_prepared(
            _Head(
                action=recorded_action(action, present, rules.catalogue, strict=rules.strict),
                actor=_check_struct("actor", Actor, _require(present, "actor")),
                context=None if context is None else _check_context(context, rules),
                correlation_id=_check_optional_name(present, "correlation_id"),
            )
        )
        if len(head) > MAX_LEAF_BYTES:
            _refuse_long_leaf(context, "context")
        if len(head) > SMALL_LINE_BYTES:
            _refuse_many_terms(context)
        return Draft(
            head[1:-1],
            encode_prepared(_check_middle(present, system=rules.system))[1:-1],
            _encode_target(present.get("target_user")),
            _encode_agent(present.get("user_agent")),
        )
    except UnicodeEncodeError:
        raise _name_surrogate(present) from None


class _Head(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    action: str
    actor: Actor
    context: object = None
    correlation_id: str | None = None


class _Middle(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    organization_id: str
    result: str
    schema_version: int
    ip_address: str | None = None
    resource: Resource | None = None


def _check_middle(present: Mapping[str, object], *, system: bool) -> _Middle:
    address, resource = present.get("ip_address"), present.get("resource")
    return _Middle(
        organization_id=_check_organization(_require(present, "organization_id"), system=system),
        result=_check_result(present.get("result", "success")),
        schema_version=SCHEMA_VERSION,
        ip_address=None if address is None else _check_address(address),
        resource=None if resource is None else _check_struct("resource", Resource, resource),
    )


def _encode_target(value: object) -> bytes:
    if value is None:
        return b""
    return b'"targetUser":' + encode_prepared(_check_struct("target_user", TargetUser, value))


def _encode_agent(value: object) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise _wrong_type("user_agent", value, "a string")
    # Whoever is being recorded chooses this text: too long must not make the action fail.
    return b'"userAgent":' + encode_prepared(value[:MAX_USER_AGENT_CHARACTERS])


def _name_surrogate(present: Mapping[str, object]) -> CanonicalError:
    for name, value in present.items():
        plain = msgspec.to_builtins(value) if isinstance(value, Struct) else value
        path = find_surrogate({name: plain})
        if path is not None:
            return CanonicalError(path, "holds half of a surrogate pair")
    return CanonicalError("event", "holds half of a surrogate pair")


def _require(present: Mapping[str, object], name: str) -> object:
    if name in present:
        return present[name]
    hint = f"pass {name}=, or bind it once a request with structlog.contextvars.bind_contextvars"
    raise EventError(name, "is missing", hint)


def _unknown_field(present: Mapping[str, object]) -> EventError:
    name = next(name for name in present if name not in FIELDS)
    near = get_close_matches(name, FIELDS, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else "what is particular to an action goes into context"
    )
    return EventError(name, "is not a field of an event", hint)


def _check_organization(value: object, *, system: bool) -> str:
    organization = _check_name("organization_id", value)
    if organization.startswith("_") and not (system and organization == SYSTEM_ORGANIZATION):
        raise EventError("organization_id", "begins with `_`, which is reserved for the log itself")
    return organization


def _check_name(name: str, value: object) -> str:
    text = str(value) if type(value).__name__ == "UUID" else value
    if not isinstance(text, str):
        raise _wrong_type(name, value, "a string")
    if not 0 < len(text) <= MAX_NAME_CHARACTERS:
        raise EventError(
            name, f"has {len(text)} characters", f"between 1 and {MAX_NAME_CHARACTERS}"
        )
    return text


def _check_result(value: object) -> str:
    if value not in _RESULTS:
        raise EventError("result", "is not a known result", f"one of {', '.join(_RESULTS)}")
    return str(value)


def _check_context(value: object, _rules: DraftRules) -> object:
    if not isinstance(value, Mapping):
        raise _wrong_type("context", value, "a mapping")
    return prepare(cast("object", value), "context")


def _refuse_long_leaf(value: object, path: str) -> None:
    """Refuse a value of the context that the index would refuse, and the whole event with it."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            _refuse_long_leaf(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[object]", value):
            _refuse_long_leaf(item, path)
    elif len(f"{path}={value}".encode()) > MAX_LEAF_BYTES:
        hint = f"at most {MAX_LEAF_BYTES} bytes with its path: cut it, or split it"
        raise EventError(path[:200], "is a value too long to be indexed", hint)


def _refuse_many_terms(context: object) -> None:
    """Refuse what would fill the memory of the index, and which the shipper would not send."""
    size = count_term_bytes(context)
    if size > MAX_TERM_BYTES:
        hint = "each value is indexed with its whole path: shorten the keys, or record less"
        raise EventError("context", f"comes to {size} bytes in the index", hint)


def _check_optional_name(present: Mapping[str, object], name: str) -> str | None:
    return _check_name(name, present[name]) if name in present else None


def _check_address(value: object) -> str:
    try:
        return _normalize_address(str(value))
    except ValueError:
        raise EventError("ip_address", "is not an IPv4 or IPv6 address") from None


@lru_cache(maxsize=4096)
def _normalize_address(text: str) -> str:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        # The zone of a link-local address means something on that host alone; no index takes it.
        return str(address).partition("%")[0]
    return str(address)


_WIRE_NAMES: Final = {"on_behalf_of": "onBehalfOf"}


_PLAIN: Final = frozenset({dict})
_Part = TypeVar("_Part", Actor, TargetUser, Resource)


def _check_struct(name: str, shape: type[_Part], value: object) -> _Part:
    """Check an actor, target or resource given as mapping or struct."""
    if type(value) in _PLAIN:
        try:
            return msgspec.convert(value, shape)
        except msgspec.ValidationError:
            pass  # snake_case keys and UUIDs are allowed too; and what is wrong is named below
    if not isinstance(value, Mapping | shape):
        raise _wrong_type(name, value, f"a mapping or {shape.__name__}")
    try:
        return msgspec.convert(_to_wire(cast("Mapping[object, object] | Struct", value)), shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        field = name + path.rstrip("`")
        hint = f"one of {', '.join(get_args(ActorType))}" if field == "actor.type" else ""
        raise EventError(field, _uncapitalize(problem), hint) from None


def _to_wire(value: Mapping[object, object] | Struct) -> dict[str, object]:
    members: Mapping[object, object] = (
        value if isinstance(value, Mapping) else msgspec.to_builtins(value)
    )
    return {
        _WIRE_NAMES.get(str(key), str(key)): _spell_id(item)
        for key, item in members.items()
        if item is not None
    }


def _spell_id(value: object) -> object:
    """Let ids be given as UUIDs; everything else is checked as it is."""
    return str(value) if type(value).__name__ == "UUID" else value


def _uncapitalize(text: str) -> str:
    return text[:1].lower() + text[1:]


def _wrong_type(name: str, value: object, expected: str) -> EventError:
    return EventError(name, f"is of type {type(value).__name__}", f"expected {expected}")
