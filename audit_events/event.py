"""The event: what one line of an audit file says (schemaVersion 1, docs/event.schema.json).

The structs are both the check at emit and the typed form of what is read back. Keys are camelCase
on the wire, the same words in snake_case in Python. The fields of actor, target and resource stand
in the order of RFC 8785, in which they are encoded without being sorted each time.
"""

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from audit_events.instant import CANONICAL_INSTANT

SCHEMA_VERSION: Final = 1
MAX_LINE_BYTES: Final = 65_536
SYSTEM_ORGANIZATION: Final = "_system"
RESERVED_PREFIX: Final = "_"
"""What no organisation's id begins with but those of the log itself."""
SOURCE_HEARTBEAT: Final = "audit_log.source_heartbeat"
SOURCE_CLOSED: Final = "audit_log.source_closed"
HEARTBEAT_INTERVAL_KEY: Final = "intervalSeconds"
"""Of a heartbeat's context: how often its source says something while it lives, in seconds."""
MAX_ACTION_CHARACTERS: Final = 256
ACTION_PATTERN: Final = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"
UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
HASH_PATTERN: Final = r"^[A-Za-z0-9_-]{43}$"
MAX_USER_AGENT_CHARACTERS: Final = 2048
MAX_NAME_CHARACTERS: Final = 1024
UUID_CHARACTERS: Final = 36
INSTANT_CHARACTERS: Final = 27
HASH_CHARACTERS: Final = 43

EventId = Annotated[str, Meta(pattern=UUID_PATTERN, max_length=UUID_CHARACTERS)]
"""Python's `$` lets a line break pass; the length does not."""
Instant = Annotated[str, Meta(pattern=CANONICAL_INSTANT, max_length=INSTANT_CHARACTERS)]
Hash = Annotated[str, Meta(pattern=HASH_PATTERN, max_length=HASH_CHARACTERS)]
ActorType = Literal["user", "system", "api_key", "service"]
Result = Literal["success", "failure", "denied"]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
"""Ids, addresses and names: short enough that the index keeps each whole and findable."""


class Actor(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Who did it; `system` is shown as "System"."""

    email: Name | None = None
    id: Name | None = None
    name: Name | None = None
    on_behalf_of: Name | None = None
    type: ActorType


class TargetUser(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """The person affected."""

    email: Name | None = None
    id: Name | None = None
    name: Name | None = None


class Resource(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What was affected."""

    id: Name
    name: Name | None = None
    type: Name


class Source(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The writing process: a fresh id for each, `seq` from 0 without a gap."""

    id: EventId
    seq: Annotated[int, Meta(ge=0)]
    service: Name
    host: Name


class Event(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event, whole; keys that a later version adds are tolerated when it is read."""

    id: EventId
    timestamp: Instant
    organization_id: Name
    action: Annotated[str, Meta(pattern=ACTION_PATTERN, max_length=MAX_ACTION_CHARACTERS)]
    actor: Actor
    target_user: TargetUser | None = None
    resource: Resource | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    context: dict[str, object] | None = None
    result: Result | None = None
    correlation_id: Name | None = None
    source: Source
    hash: Hash
    schema_version: Literal[1]
    ingested_at: str | None = None


decode_event: Final = msgspec.json.Decoder(Event).decode
"""Read one line as an `Event`; raises msgspec.DecodeError or msgspec.ValidationError."""

_matches_action: Final = re.compile(ACTION_PATTERN).fullmatch


def is_action(text: str) -> bool:
    """Tell whether `text` is spelled `noun.verb_past`, known or not."""
    return len(text) <= MAX_ACTION_CHARACTERS and _matches_action(text) is not None
