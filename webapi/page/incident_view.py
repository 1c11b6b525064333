"""The incident view: what happened around a moment, who and what took part, what is unusual."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flask import url_for

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant, parse_instant
from webapi.answering import present_actions
from webapi.incident_analysis import IncidentQuestion, incident_of
from webapi.incident_request import MAX_DAYS, read_question
from webapi.incident_shapes import (
    ActorParticipant,
    Incident,
    IncidentEvent,
    Participant,
    ResourceParticipant,
    TargetParticipant,
    Unusual,
    ValueParticipant,
)
from webapi.page import address
from webapi.page.address import OWN, TIME, Pair, State, first
from webapi.page.browser import describe
from webapi.page.chips import LABELS
from webapi.page.incident_place import divide, earlier_cursor, place_on, placed
from webapi.page.row import Row, given, of_resource, of_target, read_row
from webapi.page.timeline import timeline
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.values import DEFAULT_WINDOW

WINDOWS: Final = ("1m", "5m", "15m", "1h", "6h", "1d")
KIND_NAMES: Final = {"api_key": "API key", "service": "Service", "system": "System"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Somebody or something that took part.

    Args:
        name: the most telling of what is known.
        detail: what else is known.
        count: events of the window.
        is_new: not once in the days before; None where they are too short to say.
        narrowed: parameters and values that ask for its events alone; empty without such.
    """

    name: str
    detail: str
    count: int
    is_new: bool | None
    narrowed: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Parts:
    """Those of one kind, those with most events first."""

    title: str
    parts: Sequence[Part]
    other_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """What the window has more of than the days before let expect, in words.

    Args:
        subject: the most telling of what is known.
        detail: what else is known: others may have the same name.
        words: how often.
        narrowed: parameters and values that ask for its events alone; empty without such.
    """

    subject: str
    detail: str
    words: str
    narrowed: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Look:
    """What was asked for one page, and the answer."""

    question: IncidentQuestion
    incident: Incident


def look(state: State) -> Look:
    """Ask what happened; the first page around a moment is the one that the moment is on.

    Raises:
        ParametersError: everything that is wrong with the question.
        UnavailableError, InternalError: the store does not answer as it should.
    """
    question = read_question(
        reader().organization_id,
        [pair for pair in state.fixed if pair[0] not in OWN] if state.newer else state.api,
        present=present_actions,
        cursor_key=parts().cursor_key,
        catalogue=parts().catalogue,
    )
    question = placed(question, newer=state.newer, centred=_has_moment(state))
    return Look(question, incident_of(parts().reading, question, parts().cursor_key))


def address_of(state: State, query: Query, now: datetime) -> str:
    """Return where the window of a list is looked into; empty where it has none, or too long a one.

    Args:
        state: of the list.
        query: what it asked.
        now: the end of a window that is open.
    """
    until = query.until or now
    if query.since is None or not query.since < until <= query.since + timedelta(days=MAX_DAYS):
        return ""
    asked = [pair for pair in state.fixed if pair[0] not in {"limit", "order"}]
    end = [] if query.until else [("until", format_instant(now))]
    return url_for("page.show_incident") + address.link([*asked, *end])


def incident_view(state: State, looked: Look) -> dict[str, object]:
    """Return what the template needs besides what the list has."""
    found, origin = looked.incident, parse_instant(looked.incident.origin)
    rows = [_row(one, origin) for one in found.events]
    earlier = earlier_cursor(looked.question, found.events, rows)
    drawn = timeline(found.histogram, state.zone)
    place = divide(
        [row.instant for row in rows],
        origin,
        earlier=earlier is not None,
        later=found.next_cursor is not None,
    )
    return {
        "incident": found,
        "rows_shown": rows,
        "earlier": earlier,
        "divided": place if _has_moment(state) else None,
        "marked": place_on(drawn, origin) if _has_moment(state) else None,
        "origin": origin,
        "since": parse_instant(found.since),
        "until": parse_instant(found.until),
        "before_since": parse_instant(found.before.since),
        "drawn": drawn,
        "taking_part": taking_part(found),
        "oddities": oddities(found, parts().catalogue),
        "windows": WINDOWS,
        "window": first(state.pairs, "window") or DEFAULT_WINDOW,
        "moved": moved(state),
        "filtered": any(name in LABELS and name not in TIME for name, _ in state.pairs),
    }


def moved(state: State) -> dict[str, Sequence[Pair]]:
    """Return the same question with each of the windows; none where it is not about a moment."""
    if not _has_moment(state):
        return {}
    return {window: address.having(state.pairs, "window", window) for window in WINDOWS}


def _has_moment(state: State) -> bool:
    return bool(first(state.pairs, "around"))


def taking_part(found: Incident) -> list[Parts]:
    """Return who and what took part, by kind. Pure."""
    actors, targets, resources = found.actors, found.targets, found.resources
    addresses, agents = found.ip_addresses, found.user_agents
    kinds = [
        Parts("Actors", [_actor(one) for one in actors.values], actors.other_count),
        Parts("Target users", [_target(one) for one in targets.values], targets.other_count),
        Parts("Resources", [_thing(one) for one in resources.values], resources.other_count),
        Parts("Addresses", [_address(one) for one in addresses.values], addresses.other_count),
        Parts("User agents", [_agent(one) for one in agents.values], agents.other_count),
    ]
    return [one for one in kinds if one.parts]


def oddities(found: Incident, catalogue: Catalogue) -> list[Oddity]:
    """Return what is unusual, in words. Pure."""
    if found.unusual is None:
        return []
    told: list[Oddity] = []
    for one in found.unusual.actions:
        entry = catalogue.find(one.value)
        title = one.value if entry is None else entry.title
        told.append(_oddity((title, ""), one, [("action", one.value)]))
    for one in found.unusual.actors:
        names = {"id": "actorId", "email": "actorEmail"}
        narrowed = [(names[one.kind], one.value)] if one.kind in names else []
        known = found.find_actor(one)
        named = _named(_actor(known)) if known else (KIND_NAMES.get(one.value, one.value), "")
        told.append(_oddity(named, one, narrowed))
    told += [
        _oddity((one.value, ""), one, [("ip", one.value)]) for one in found.unusual.ip_addresses
    ]
    for one in found.unusual.resources:
        thing = found.find_resource(one)
        named = _named(_thing(thing)) if thing else (f"{one.kind} {one.value}", "")
        told.append(_oddity(named, one, of_resource(one.kind, one.value)))
    return told


def _named(one: Part) -> tuple[str, str]:
    return one.name, one.detail


def _oddity(named: tuple[str, str], one: Unusual, narrowed: Sequence[Pair]) -> Oddity:
    subject, detail = named
    times = f"{one.count:,} time{'' if one.count == 1 else 's'}"
    if one.never_before:
        words = f"{times} here, not once in the days before"
    else:
        words = f"{times} here; {one.expected:.1f} would be usual"
    return Oddity(subject=subject, detail=detail, words=words, narrowed=narrowed)


def _row(one: IncidentEvent, origin: datetime) -> Row:
    stands_at = origin + timedelta(milliseconds=one.distance_milliseconds)
    return read_row(bytes(one.event), parts().catalogue, stands_at)


def _actor(one: ActorParticipant) -> Part:
    name = one.name or one.email or one.id or one.type or "Unknown"
    if one.type == "system":
        name = "System"
    narrowed = given([("actorId", one.id), ("actorEmail", one.email)])[:1]
    detail = next((text for text in (one.email, one.id) if text and text != name), "")
    return _part(one, name, detail, narrowed)


def _target(one: TargetParticipant) -> Part:
    name = one.email or one.name or one.id or "Unknown"
    detail = one.name if one.name and one.name != name else ""
    return _part(one, name, detail, of_target(one.id, one.email))


def _thing(one: ResourceParticipant) -> Part:
    detail = one.type if one.name is None else f"{one.type} {one.id}"
    return _part(one, one.name or one.id, detail, of_resource(one.type, one.id))


def _address(one: ValueParticipant) -> Part:
    return _part(one, one.value, "", [("ip", one.value)])


def _agent(one: ValueParticipant) -> Part:
    words = describe(one.value)
    return _part(one, words or one.value, one.value if words else "", [])


def _part(one: Participant, name: str, detail: str, narrowed: Sequence[Pair]) -> Part:
    return Part(name=name, detail=detail, count=one.count, is_new=one.first_seen, narrowed=narrowed)
