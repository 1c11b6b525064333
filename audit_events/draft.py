"""From the arguments of a log call to an event that only lacks its place in the chain.

Pure: whatever is wrong is found here, before the log is locked and before anything is written;
but for half of a surrogate pair and a line that is too long, which show when it is encoded.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import Raw, Struct

from audit_events.canonical import find_surrogate
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.errors import CanonicalError, EventError, ParameterError
from audit_events.event import (
    MAX_LINE_BYTES,
    RESERVED_PREFIX,
    SCHEMA_VERSION,
    SYSTEM_ORGANIZATION,
    Actor,
    Resource,
    Result,
    TargetUser,
)
from audit_events.given import FIELDS as FIELDS  # noqa: PLC0414  # what a draft is made of
from audit_events.given import Given, check_each, wrong_type
from audit_events.plain import PlainContexts
from audit_events.recorded_action import recorded_action
from audit_events.redaction import DEFAULT_REDACTION, NO_REDACTION, Redaction
from audit_events.terms import SMALL_LINE_BYTES
from audit_events.walk import Walk, encode_prepared, spell_text

_FRAME_BYTES: Final = 256
"""What a line has beside its draft, service and host; at most 242, with the longest `seq`."""


class DraftRules:
    """What the events of one log may say; built once, when the log is opened.

    Args:
        system: allow `organization_id="_system"`, for events of the log itself.
        catalogue: the actions that are known.
        strict: refuse an action that is not in the catalogue, or lacks what it says there.
        redaction: what is never recorded of a context; None: nothing is redacted.
        source_bytes: how long service and host are, written out.

    Attributes:
        plain: contexts that need no walk.
        walk: prepares the others.

    Raises:
        ParameterError: `redaction` is something else.
    """

    __slots__ = (
        "catalogue", "max_text_bytes", "plain", "source_bytes", "strict", "system", "walk"
    )  # fmt: skip

    def __init__(
        self,
        *,
        system: bool = False,
        catalogue: Catalogue = CATALOGUE,
        strict: bool = False,
        redaction: Redaction | None = DEFAULT_REDACTION,
        source_bytes: int = 256,
    ) -> None:
        checked = _check_redaction(redaction)
        self.system = system
        self.catalogue = catalogue
        self.strict = strict
        self.source_bytes = source_bytes
        self.plain = PlainContexts(checked)
        self.walk = Walk(checked, cuts=True)
        self.max_text_bytes = checked.max_text_bytes


def _check_redaction(given: object) -> Redaction:
    if given is None:
        return NO_REDACTION
    if not isinstance(given, Redaction):
        problem = f"is of type {type(given).__name__}"
        raise ParameterError("redaction", problem, "an audit_events.Redaction, or None")
    return given


DEFAULT_RULES: Final = DraftRules()


class Place(Struct, kw_only=True, gc=False):
    """Who wrote an event, and as which of its own; the fields in the order of RFC 8785."""

    host: str
    id: str
    seq: int
    service: str


class Draft(Struct, gc=False, rename="camel", omit_defaults=True):
    """An event without its hash, its fields in the order of RFC 8785: one pass encodes it.

    Who appends it sets `id`, `source` and `timestamp`. What is as by default does not stand there;
    empty texts and a version of 0 are no event's.
    """

    action: str
    actor: Actor
    context: Any = None
    correlation_id: str | None = None
    id: str = ""
    ip_address: str | None = None
    organization_id: str = ""
    resource: Resource | None = None
    result: Result | Literal[""] = ""
    schema_version: int = 0
    source: Place | None = None
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
            raise self.name_surrogate() from None

    def cut_by(self, excess_bytes: int) -> bool:
        """Cut the context by so many bytes; False if it has none to give."""
        if self.context is None:
            return False
        return self.cut(room_bytes=len(encode_prepared(self.context)) - excess_bytes)

    def cut(self, *, room_bytes: int, max_text_bytes: int = MAX_LINE_BYTES) -> bool:
        """Cut the context so that it takes at most so many bytes; tell if that helped."""
        from audit_events.truncation import fit_context  # noqa: PLC0415  # most events need none

        context = encode_prepared(self.context)
        fitted = fit_context(context, max_text_bytes=max_text_bytes, room_bytes=room_bytes)
        if fitted is None:
            return False
        cut = encode_prepared(fitted)
        self.context = Raw(cut)
        return len(cut) < len(context)

    def name_surrogate(self) -> CanonicalError:
        """Return the error that names the text which holds half of a surrogate pair."""
        for name in FIELDS:
            value = getattr(self, name)
            if isinstance(value, Struct):
                value = msgspec.to_builtins(value, enc_hook=spell_text)
            path = find_surrogate({name: value})
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
    try:
        given = msgspec.convert(fields, Given)
    except msgspec.ValidationError:
        given = None
    if given is None:  # not above: msgspec's error, of another field, would lead the traceback
        given = check_each(fields)
    organization, address, context = given.organization_id, given.ip_address, given.context
    if organization[0] == RESERVED_PREFIX:
        _check_reserved(organization, rules)
    if context is not None and not rules.plain.knows(context):
        context = _prepare_context(context, rules)
    if address is not None:
        try:
            address = _normalize_address(address if type(address) is str else str(address))
        except ValueError:
            raise EventError("ip_address", "is not an IPv4 or IPv6 address") from None
    draft = Draft(  # by place: 14 names would cost 0.2 µs
        recorded_action(action, given, rules.catalogue, strict=rules.strict),
        given.actor,
        context,
        given.correlation_id,
        "",
        address,
        organization,
        given.resource,
        given.result or "success",
        SCHEMA_VERSION,
        None,
        given.target_user,
        "",
        given.user_agent,
    )
    if type(context) is Raw and len(bytes(context)) > _smallest_to_cut(rules):
        _fit_context(draft, rules)
    return draft


def _smallest_to_cut(rules: DraftRules) -> int:
    return min(SMALL_LINE_BYTES, rules.max_text_bytes)


def _fit_context(draft: Draft, rules: DraftRules) -> None:
    """Cut a context that is too large in any way for the line or the index."""
    context = bytes(draft.context)
    draft.context = None
    rest = len(draft.encode()) + _FRAME_BYTES + rules.source_bytes
    draft.context = Raw(context)
    draft.cut(room_bytes=MAX_LINE_BYTES - rest, max_text_bytes=rules.max_text_bytes)


def _check_reserved(organization: str, rules: DraftRules) -> None:
    if not (rules.system and organization == SYSTEM_ORGANIZATION):
        raise EventError("organization_id", "begins with `_`, which is reserved for the log itself")


def _prepare_context(context: object, rules: DraftRules) -> Raw:
    if not isinstance(context, Mapping):
        raise wrong_type("context", context, "a mapping")
    mapping = cast("Mapping[str, object]", context)
    try:  # what is cut or sorted is encoded while it is walked
        prepared = rules.walk.prepare(mapping, "context")
        rules.plain.learn(mapping)
        return Raw(encode_prepared(prepared))
    except UnicodeEncodeError:
        path = find_surrogate({"context": mapping}) or "context"
        raise CanonicalError(path, "holds half of a surrogate pair") from None


@lru_cache(maxsize=4096)
def _normalize_address(text: str) -> str:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        # The zone of a link-local address means something on that host alone; no index takes it.
        return str(address).partition("%")[0]
    return str(address)
