"""One event as the page shows it. Pure: stored bytes in, what a template prints out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import msgspec

from audit_events.catalogue import Catalogue
from audit_events.catalogue_entry import CatalogueEntry
from audit_events.envelope import decode_envelope
from audit_events.errors import LineError
from audit_events.event import Actor, Event, Resource, TargetUser, decode_event
from audit_events.instant import format_instant, parse_instant
from webapi.page.address import Pair, quoted
from webapi.page.browser import describe
from webapi.page.change import Change, changes, others
from webapi.page.moment import read_moment
from webapi.parameters import SUBJECT, by_name
from webapi.request_reading import RequestReading
from webapi.subject import USER_TYPES
from webapi.subject_reading import read_subject

INLINE_BYTES: Final = 16_384
"""Of a longer event a list shows the beginning; the page of that event has all of it."""
Kind = Literal["green", "blue", "red", "none"]
NO_EVENT: Final = "Not an event"
MARKS: Final[dict[Kind, tuple[str, str]]] = {
    "green": ("+", "Created or connected"),
    "blue": ("~", "Changed"),
    "red": ("−", "Removed"),  # noqa: RUF001  # as wide as the plus
    "none": ("?", "Not in the catalogue"),
}
"""What tells the colours apart for those who do not see them: a sign, and a word for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event.

    Args:
        id: of the event; empty for what is no event, which nothing can be asked for by.
        timestamp: as it was written, ISO 8601 in UTC; of what is no event, where it stands.
        instant: the same moment.
        action: its id, as it was recorded; empty for what is no event.
        entry: what the catalogue says of it.
        event: all of it; None where it is not in our shape, so that only the raw text tells.
        raw: indented JSON.
        size: of what is stored, in bytes.
    """

    id: str
    timestamp: str
    instant: datetime
    action: str
    entry: CatalogueEntry | None
    event: Event | None
    raw: str
    size: int
    changes: Sequence[Change] = field(default=())
    others: Sequence[tuple[str, str]] = field(default=())

    @property
    def title(self) -> str:
        """What happened, in words where the catalogue has them."""
        if not self.is_event:
            return NO_EVENT
        return self.action if self.entry is None else self.entry.title

    @property
    def is_event(self) -> bool:
        """Whether it is one, in our shape or another; else somebody stored it past the agent."""
        return bool(self.id)

    @property
    def colour(self) -> Kind:
        """Of the catalogue."""
        return "none" if self.entry is None else self.entry.colour

    @property
    def mark(self) -> str:
        """The sign beside the colour."""
        return MARKS[self.colour][0]

    @property
    def mark_word(self) -> str:
        """The sign in words."""
        return MARKS[self.colour][1]

    @property
    def result(self) -> str:
        """How it ended; what does not say succeeded."""
        return (self.event and self.event.result) or "success"

    @property
    def shipped(self) -> datetime | None:
        """When the agent read it, by the agent's clock; None where nothing legible says so."""
        return read_moment((self.event and self.event.ingested_at) or "")

    @property
    def long(self) -> bool:
        """Whether a list shows only its beginning."""
        return self.size > INLINE_BYTES

    @property
    def beginning(self) -> str:
        """As much of the JSON as a list shows of what has no page of its own."""
        return self.raw[:INLINE_BYTES]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, or something that acts: the most telling name, and what else is known."""

    name: str
    detail: str


def read_row(line: bytes, catalogue: Catalogue, stands_at: datetime) -> Row:
    """Read one stored event; one in another shape, and what is no event, is shown raw.

    Args:
        line: as it is stored.
        catalogue: what actions are called.
        stands_at: its moment, as the index read it.
    """
    raw = msgspec.json.format(line, indent=2).decode()
    try:
        event = decode_event(line)
        instant = parse_instant(event.timestamp)
    except (msgspec.MsgspecError, ValueError):
        return _read_odd(line, catalogue, stands_at, raw)
    return Row(
        id=event.id,
        timestamp=event.timestamp,
        instant=instant,
        action=event.action,
        entry=catalogue.find(event.action),
        event=event,
        raw=raw,
        size=len(line),
        changes=changes(event.context),
        others=others(event.context),
    )


def _read_odd(line: bytes, catalogue: Catalogue, stands_at: datetime, raw: str) -> Row:
    try:
        envelope = decode_envelope(line)
        event_id, action = envelope.id, envelope.action
        timestamp, instant = envelope.timestamp, parse_instant(envelope.timestamp)
    except (LineError, ValueError):
        event_id = action = ""
        timestamp, instant = format_instant(stands_at), stands_at
    return Row(
        id=event_id,
        timestamp=timestamp,
        instant=instant,
        action=action,
        entry=catalogue.find(action),
        event=None,
        raw=raw,
        size=len(line),
    )


def who(actor: Actor) -> Person:
    """Return who did it: name and email, or "System" and which part of it for what nobody did."""
    if actor.type == "system":
        named, known = "System", [one for one in (actor.name, actor.id) if one]
    else:
        named = actor.name or actor.email or actor.id or actor.type
        known = [one for one in (actor.email, actor.id) if one and one != named]
    kinds = {"api_key": "API key", "service": "Service"}
    details = [kinds[actor.type]] if actor.type in kinds else []
    details += known[:1]
    if actor.on_behalf_of:
        details.append(f"for {actor.on_behalf_of}")
    return Person(named, " · ".join(details))


def affected(target: TargetUser) -> Person:
    """Return the person who was affected."""
    named = target.email or target.name or target.id or ""
    return Person(named, target.name if target.name and target.name != named else "")


def thing(resource: Resource) -> Person:
    """Return what was affected: its name or id, and its type."""
    detail = resource.type if resource.name is None else f"{resource.type} {resource.id}"
    return Person(resource.name or resource.id, detail)


def device(user_agent: str) -> str:
    """Return browser and device in words."""
    return describe(user_agent) or "Unknown program"


def alike(row: Row) -> list[tuple[str, Sequence[Pair]]]:
    """Return what events may have in common with this one: words, and what asks for those.

    An actor's id is asked for before the address, which others may have had.
    """
    event = row.event
    if event is None:
        return []
    actor, target, resource = event.actor, event.target_user, event.resource
    found: list[tuple[str, Sequence[tuple[str, str | None]]]] = [
        ("Same actor", [("actorId", actor.id) if actor.id else ("actorEmail", actor.email)]),
        ("Same target user", of_target(target.id, target.email) if target else []),
        ("Same resource", of_resource(resource.type, resource.id) if resource else []),
        ("Same address", [("ip", event.ip_address)]),
        ("Same request", [("correlationId", event.correlation_id)]),
    ]
    complete = [(words, given(pairs)) for words, pairs in found]
    return [(words, pairs) for words, pairs in complete if pairs]


def of_resource(kind: str | None, resource_id: str) -> list[Pair]:
    """Return what asks for the events of a resource: an id is its own only within its type."""
    return given([("resourceType", kind), ("resourceId", resource_id)])


def of_target(user_id: str | None, email: str | None) -> list[Pair]:
    """Return what asks for the events about a user; the parameter for that takes UUIDs alone.

    Whoever is invited has no id yet: then it is the email.
    """
    if not user_id:
        return [("q", f"target.email:{quoted(email)}")] if email else []
    return askable([("targetUserId", user_id)]) or [("q", f"target.id:{quoted(user_id)}")]


def of_user(user_id: str | None) -> list[Pair]:
    """Return what asks for the history of a user; one whose id is no UUID is named as a resource.

    Nothing where no address can ask for it.
    """
    if not user_id:
        return []
    return askable([("targetUserId", user_id)]) or askable(of_resource(USER_TYPES[-1], user_id))


def askable(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs if they can ask for a history; not every id can stand in an address."""
    reading = RequestReading(pairs, by_name(*SUBJECT))
    read_subject(reading)
    return [] if reading.problems else list(pairs)


def given(pairs: Iterable[tuple[str, str | None]]) -> list[Pair]:
    """Return the pairs that have a value."""
    return [(name, text) for name, text in pairs if text]
