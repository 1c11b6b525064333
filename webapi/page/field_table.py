"""The state of a thing as a table: each field, its value, and the event that tells it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import UNSET

from audit_events.catalogue import Catalogue
from audit_events.event import Actor
from audit_events.instant import parse_instant
from webapi.page.address import Pair
from webapi.page.change import spelled, written
from webapi.page.row import of_resource, of_user, who
from webapi.state import State
from webapi.state_fields import EventReference, FieldState
from webapi.state_fold import TogetherState


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """An event that tells something: what happened, by whom, and when."""

    id: str
    title: str
    actor: str
    timestamp: str
    instant: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field, as `webapi.state_fields` concludes it.

    Args:
        path: as in `limits.seats`; empty where the values have no fields.
        status: `known`, `removed`, `until` or `unknown`.
        value: as text; None where no event says it.
        event: what tells it.
        doubt: the later event that found something else there, and what; None without one.
    """

    path: str
    status: str
    value: str | None
    event: Telling
    doubt: tuple[Telling, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields of the thing alone, or of it together with another one.

    Args:
        name: of the other one; empty for the thing alone.
        id: of the other one, where its name does not have it.
        life: what asks for the history of the other one; empty where nothing does.
        fields: by path.
    """

    name: str
    id: str
    life: Sequence[Pair]
    fields: Sequence[Field]


def groups(state: State, catalogue: Catalogue) -> list[Group]:
    """Return the fields of a state, those of the thing alone first.

    Args:
        state: what is known.
        catalogue: what actions are called.
    """
    alone = Group(name="", id="", life=(), fields=_fields(state.fields, catalogue))
    others = [_together(one, catalogue) for one in state.together]
    return [one for one in (alone, *others) if one.fields]


def telling(event: EventReference, catalogue: Catalogue) -> Telling:
    """Return an event in words."""
    entry = catalogue.find(event.action)
    return Telling(
        id=event.id,
        title=event.action if entry is None else entry.title,
        actor=_actor(event.actor),
        timestamp=event.timestamp,
        instant=parse_instant(event.timestamp),
    )


def _together(one: TogetherState, catalogue: Catalogue) -> Group:
    known, name, id_, life = None, "", "", list[Pair]()
    if one.resource is not UNSET:
        kind, id_, known = one.resource.type, one.resource.id, one.resource.name
        name, life = f"{kind} {known or id_}", of_resource(kind, id_)
    elif one.target_user is not UNSET:
        user = one.target_user
        id_ = user.id or ""
        known = user.email or user.name
        name, life = known or id_, of_user(user.id)
    fields = _fields(one.fields, catalogue)
    return Group(name=name, id=id_ if known else "", life=life, fields=fields)


def _fields(states: Sequence[FieldState], catalogue: Catalogue) -> list[Field]:
    found: list[Field] = []
    for one in states:
        event = one.until if one.event is UNSET else one.event
        if event is UNSET:
            continue
        doubt = None
        if one.contradicted_by is not UNSET:
            by = one.contradicted_by
            doubt = telling(by.event, catalogue), written(by.previous)
        field = Field(
            path=spelled(one.path),
            status=one.status,
            value=None if one.value is UNSET else written(one.value),
            event=telling(event, catalogue),
            doubt=doubt,
        )
        found.append(field)
    return found


def _actor(actor: object) -> str:
    """Return name and email: a name alone may be that of another, whom it would accuse."""
    try:
        person = who(msgspec.convert(actor, Actor))
    except msgspec.ValidationError:
        # Another application may have written it in another shape.
        return "Unknown"
    return f"{person.name} ({person.detail})" if person.detail else person.name
