"""From the arguments of a log call to an event that only lacks its place in the chain.

Pure: whatever is wrong is found here, before the log is locked and before anything is written;
but for half of a surrogate pair and a line that is too long, which show when it is encoded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

import msgspec
from msgspec import Raw, Struct

from audit_events.canonical import encode_prepared, find_surrogate, prepare
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.errors import CanonicalError, EventError
from audit_events.event import (
    SCHEMA_VERSION,
    SYSTEM_ORGANIZATION,
    Actor,
    Resource,
    Result,
    TargetUser,
)
from audit_events.given import FIELDS as FIELDS  # noqa: PLC0414  # what a draft is made of
from audit_events.given import check_fields, wrong_type
from audit_events.plain import PlainContexts
from audit_events.recorded_action import recorded_action
from audit_events.terms import MAX_TERM_BYTES, SMALL_LINE_BYTES, count_term_bytes

MAX_LEAF_BYTES: Final = 32_766
"""Lucene's longest term; a `flat_object` indexes each value of the context as `path=value`."""


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
    plain: PlainContexts = field(default_factory=PlainContexts, repr=False, compare=False)
    """Contexts that need no walk."""


DEFAULT_RULES: Final = DraftRules()


class Draft(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """An event without its hash, its fields in the order of RFC 8785: one pass encodes it.

    Who appends it sets `id`, `source` and `timestamp`. What has no default always stands there.
    """

    action: str
    actor: Actor
    context: Any = None
    correlation_id: str | None = None
    id: str = ""
    ip_address: str | None = None
    organization_id: str
    resource: Resource | None = None
    result: Result
    schema_version: int
    source: Raw | None = None
    target_user: TargetUser | None = None
    timestamp: str = ""
    user_agent: str | None = None

    def encode(self) -> bytes:
        """Return the canonical form.

        Raises:
            CanonicalError: a text holds half of a surrogate pair; its path is named.
        """
        try:
            return encode_prepared(self)
        except UnicodeEncodeError:
            raise self._name_surrogate() from None

    def _name_surrogate(self) -> CanonicalError:
        for name in FIELDS:
            value = getattr(self, name)
            plain = msgspec.to_builtins(value) if isinstance(value, Struct) else value
            path = find_surrogate({name: plain})
            if path is not None:
                return CanonicalError(path, "holds half of a surrogate pair")
        return CanonicalError("event", "holds half of a surrogate pair")


def draft_event(
    action: object, fields: Mapping[str, object], rules: DraftRules = DEFAULT_RULES
) -> Draft:
    """Check one event's arguments.

    Args:
        action: `noun.verb_past`.
        fields: the names in `FIELDS`; None counts as absent.
        rules: of the log that it is for.

    Raises:
        EventError: naming the argument (and the path inside it) that is missing or wrong.
    """
    given = check_fields(fields)
    address = given.ip_address
    return Draft(
        action=recorded_action(action, fields, rules.catalogue, strict=rules.strict),
        actor=given.actor,
        context=None if given.context is None else _check_context(given.context, rules),
        correlation_id=given.correlation_id,
        ip_address=None if address is None else _check_address(address),
        organization_id=_check_organization(given.organization_id, rules),
        resource=given.resource,
        result=given.result or "success",
        schema_version=SCHEMA_VERSION,
        target_user=given.target_user,
        user_agent=given.user_agent,
    )


def _check_organization(organization: str, rules: DraftRules) -> str:
    if organization[0] == "_" and not (rules.system and organization == SYSTEM_ORGANIZATION):
        raise EventError("organization_id", "begins with `_`, which is reserved for the log itself")
    return organization


def _check_context(context: object, rules: DraftRules) -> object:
    if rules.plain.knows(context):
        return context
    if not isinstance(context, Mapping):
        raise wrong_type("context", context, "a mapping")
    mapping = cast("Mapping[str, object]", context)
    prepared = prepare(mapping, "context")
    rules.plain.learn(mapping)
    return _check_size(mapping, prepared)


def _check_size(context: Mapping[str, object], prepared: object) -> object:
    """Refuse what the index would refuse; return the context, encoded."""
    try:
        encoded = encode_prepared(prepared)
    except UnicodeEncodeError:
        path = find_surrogate({"context": context}) or "context"
        raise CanonicalError(path, "holds half of a surrogate pair") from None
    if len(encoded) > MAX_LEAF_BYTES - len("context="):
        _refuse_long_leaf(context, "context")
    if len(encoded) > SMALL_LINE_BYTES:
        _refuse_many_terms(context)
    return Raw(encoded)


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
