"""The state of a thing at a moment, folded from what its events say. Pure.

`webapi.state_fields` says what is concluded of each field; of each thing beside the subject on its
own (`webapi.subject`). Events that failed or were denied changed nothing and are passed over.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi.field_changes import leaves, sides
from webapi.state_fields import EventReference, Fields, FieldState, Room, TooManyFieldsError, Values
from webapi.subject import Other, OtherResource, OtherUser, Subject, is_applied

BEGINNINGS: Final = frozenset(
    ["added", "connected", "created", "imported", "joined", "purchased", "reactivated", "restored"]
)
ENDINGS: Final = frozenset(
    ["deleted", "disconnected", "left", "offboarded", "released", "removed", "revoked"]
)
"""Verbs that begin or end the life of what their noun names, as the catalogue uses them."""


class Existence(Struct, frozen=True, kw_only=True):
    """Whether there was such a thing, as far as events say.

    `exists`: an event began its life, or just named it, and none ended it since. `deleted`: the
    last event that began or ended its life ended it. `notYet`: the first event that names it is
    later and begins its life; then no field is told. `unknown`: no event at or before the moment
    names it.

    Args:
        status: one of these.
        event: what tells it: the beginning, or without one the first event; the end.
        until: of `notYet` and `unknown`, the first event that names it.
    """

    status: Literal["exists", "deleted", "notYet", "unknown"]
    event: EventReference | UnsetType = UNSET
    until: EventReference | UnsetType = UNSET


class TogetherState(Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of the subject together with one other thing: a resource or a user."""

    resource: OtherResource | UnsetType = UNSET
    target_user: OtherUser | UnsetType = UNSET
    fields: list[FieldState]


class Folded(Struct, frozen=True, kw_only=True):
    """What all events together say; `cut` where the later ones name more fields than are told."""

    existence: Existence
    fields: list[FieldState]
    together: list[TogetherState]
    cut: bool = False


def fold(
    subject: Subject,
    events: Iterable[Values],
    later: Iterable[Values] = (),
    catalogue: Catalogue = CATALOGUE,
) -> Folded:
    """Return the state of a subject at a moment.

    Args:
        subject: who or what.
        events: all that name it, at or before the moment, oldest first; decoded.
        later: the events after the moment, oldest first, as many as are looked at.
        catalogue: what old ids of actions mean.

    Raises:
        TooManyFieldsError: `events` name more than `state_fields.MAX_FIELDS`, or paths of more than
            its `MAX_PATH_CHARACTERS`.
    """
    folding = _Folding(subject, catalogue)
    for event in events:
        folding.take(event, Fields.tell, folding.exist)
    try:
        for event in later:
            folding.take(event, Fields.look_back, folding.exist_later)
    except TooManyFieldsError:
        return replace(folding.state(), cut=True)
    return folding.state()


class _Folding:
    """The fold under way."""

    def __init__(self, subject: Subject, catalogue: Catalogue) -> None:
        self._subject = subject
        self._catalogue = catalogue
        self._existence = Existence(status="unknown")
        self._room = Room()
        self._fields: dict[Other | None, Fields] = {None: Fields(self._room)}

    def take(
        self,
        event: Values,
        tell: Callable[["Fields", EventReference, Values, Values], None],
        exist: Callable[[EventReference], None],
    ) -> None:
        """Take what one event says, unless it came to nothing."""
        if not is_applied(event) or self._subject.part(event) is None:
            return
        reference = _reference(event)
        exist(reference)
        previous, new = map(leaves, sides(event.get("context")))
        if previous or new:
            other = self._subject.other(event)
            tell(self._fields.setdefault(other, Fields(self._room)), reference, previous, new)

    def exist(self, event: EventReference) -> None:
        """Note what an event says of the subject's existence."""
        begins = self._begins(event)
        if begins is not None:
            self._existence = Existence(status="exists" if begins else "deleted", event=event)
        elif self._existence.status == "unknown":
            self._existence = Existence(status="exists", event=event)

    def exist_later(self, event: EventReference) -> None:
        """Note what the first event says of the subject's existence, where it is a later one."""
        if self._existence.status == "unknown" and self._existence.until is UNSET:
            status: Literal["notYet", "unknown"] = "notYet" if self._begins(event) else "unknown"
            self._existence = Existence(status=status, until=event)

    def _begins(self, event: EventReference) -> bool | None:
        """Tell whether an action begins the subject's life or ends it; None where neither."""
        entry = self._catalogue.find(event.action)
        noun, _, verb = (event.action if entry is None else entry.action).partition(".")
        if noun not in self._subject.types or verb not in BEGINNINGS | ENDINGS:
            return None
        return verb in BEGINNINGS

    def state(self) -> Folded:
        """Return what was found; of what did not exist yet, nothing was so."""
        if self._existence.status == "notYet":
            return Folded(existence=self._existence, fields=[], together=[])
        return Folded(
            existence=self._existence,
            fields=self._fields[None].states(),
            together=[
                _together(other, fields.states())
                for other, fields in self._fields.items()
                if other is not None
            ],
        )


def _together(other: Other, fields: list[FieldState]) -> TogetherState:
    if isinstance(other, OtherUser):
        return TogetherState(target_user=other, fields=fields)
    return TogetherState(resource=other, fields=fields)


def _reference(event: Values) -> EventReference:
    return EventReference(
        id=str(event["id"]),
        timestamp=str(event["timestamp"]),
        action=str(event["action"]),
        actor=event.get("actor"),
    )
