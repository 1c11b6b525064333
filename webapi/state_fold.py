"""The state of a thing at a moment, folded from what its events say. Pure.

`webapi.state_fields` says what is concluded of each field; of each thing beside the subject on its
own (`webapi.subject`). Events that failed or were denied changed nothing and are passed over.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi.field_changes import leaves, sides
from webapi.state_fields import EventReference, Fields, FieldState, Room, TooManyFieldsError, Values
from webapi.state_names import Names
from webapi.subject import Other, OtherResource, OtherUser, Subject, is_applied, members

BEGINNINGS: Final = frozenset(
    [
        "added",
        "connected",
        "created",
        "duplicated",
        "imported",
        "invite_accepted",
        "joined",
        "purchased",
        "uploaded",
    ]
)
RETURNS: Final = frozenset(["reactivated", "restored"])
"""What lived before goes on living; what was suspended or archived was there all the time."""
ENDINGS: Final = frozenset(
    ["deleted", "disconnected", "left", "offboarded", "released", "removed", "revoked"]
)
"""Verbs by which what their noun names begins or ends to live, as the catalogue uses them."""
MEMBER_REMOVED: Final = "member_removed"
"""Of what has members: puts one out, as `workspace_member.removed` does."""

Turn = Literal["begins", "returns", "ends"]
_TURNS: Final[Mapping[str, Turn]] = {
    **dict.fromkeys(BEGINNINGS, "begins"),
    **dict.fromkeys(RETURNS, "returns"),
    **dict.fromkeys(ENDINGS, "ends"),
}


class Existence(Struct, frozen=True, kw_only=True):
    """Whether there was such a thing, as far as events say.

    `exists`: an event began its life, or just named it, and none ended it since. `deleted`: the
    last event that began or ended its life ended it. `notYet`: the first event of all that names it
    is later and begins its life; then no field is told. `unknown`: no event at or before the moment
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

    subject: Subject
    existence: Existence
    fields: list[FieldState]
    together: list[TogetherState]
    cut: bool = False


def fold(
    subject: Subject,
    events: Iterable[Values],
    later: Iterable[Values] = (),
    catalogue: Catalogue = CATALOGUE,
    *,
    whole: bool = True,
) -> Folded:
    """Return the state of a subject at a moment.

    Args:
        subject: who or what.
        events: all that name it, at or before the moment, oldest first; decoded.
        later: the events after the moment, oldest first, as many as are looked at.
        catalogue: what old ids of actions mean.
        whole: whether no older event was left out.

    Raises:
        TooManyFieldsError: `events` name more than `state_fields.MAX_FIELDS`, or paths of more than
            its `MAX_PATH_CHARACTERS`.
    """
    folding = _Folding(subject, catalogue, whole=whole)
    for event in events:
        folding.take(event)
    try:
        for event in later:
            folding.look_back(event)
    except TooManyFieldsError:
        return replace(folding.state(), cut=True)
    return folding.state()


class _Folding:
    """The fold under way."""

    def __init__(self, subject: Subject, catalogue: Catalogue, *, whole: bool) -> None:
        self._subject = subject
        self._catalogue = catalogue
        self._whole = whole
        self._ends_later = False
        self._is_another_life = False
        self._existence = Existence(status="unknown")
        self._names = Names(subject)
        self._room = Room()
        self._seen_room = Room()
        self._fields: dict[Other | None, Fields] = {}

    def take(self, event: Values) -> None:
        """Take what an event at or before the moment says, unless it came to nothing."""
        if not self._is_told(event):
            return
        reference = _reference(event)
        self._exist(reference)
        self._names.take(event)
        previous, new = _sides(event)
        is_out = self._ends_membership(event)
        if not (previous or new or is_out):
            return
        fields = self._of(event)
        if is_out:
            fields.end(reference)
        fields.tell(reference, previous, new)

    def look_back(self, event: Values) -> None:
        """Take what a later event says of what was before it, unless it came to nothing."""
        if not self._is_told(event):
            return
        reference = _reference(event)
        self._exist_later(reference)
        self._names.look_back(event)
        previous, new = _sides(event)
        if self._is_another_life or not (previous or new):
            return
        self._of(event).look_back(reference, previous, new)

    def _of(self, event: Values) -> Fields:
        none = Fields(self._room, self._seen_room)
        return self._fields.setdefault(self._subject.other(event), none)

    def _is_told(self, event: Values) -> bool:
        return is_applied(event) and self._subject.part(event) is not None

    def _exist(self, event: EventReference) -> None:
        """Note what an event says of the subject's existence; a new life has no old fields."""
        turn = self._turn(event)
        last = self._existence
        if turn == "begins" and last.status == "deleted" and last.event:
            for fields in self._fields.values():
                fields.end(last.event)
        if turn is not None:
            self._existence = Existence(
                status="deleted" if turn == "ends" else "exists", event=event
            )
        elif last.status == "unknown":
            self._existence = Existence(status="exists", event=event)

    def _exist_later(self, event: EventReference) -> None:
        """Note what later events say of the subject's existence: the first, and a new life."""
        turn = self._turn(event)
        if self._existence.status == "unknown" and self._existence.until is UNSET:
            is_first = turn == "begins" and self._whole
            self._existence = Existence(status="notYet" if is_first else "unknown", until=event)
        if turn == "begins" and (self._ends_later or self._existence.status == "deleted"):
            self._is_another_life = True
        self._ends_later = self._ends_later or turn == "ends"

    def _turn(self, event: EventReference) -> Turn | None:
        """Tell whether an action begins the subject's life or ends it; None where neither."""
        noun, verb = self._words(event.action)
        return _TURNS.get(verb) if noun in self._subject.types else None

    def _ends_membership(self, event: Values) -> bool:
        """Tell whether an event puts its target out of its resource."""
        kind = members(event, "resource").get("type")
        noun, verb = self._words(str(event["action"]))
        is_out = noun == f"{kind}_member" and verb in ENDINGS
        is_out = is_out or (noun == kind and verb == MEMBER_REMOVED)
        return is_out and self._subject.other(event) is not None

    def _words(self, action: str) -> tuple[str, str]:
        entry = self._catalogue.find(action)
        noun, _, verb = (action if entry is None else entry.action).partition(".")
        return noun, verb

    def state(self) -> Folded:
        """Return what was found; of what did not exist yet, nothing was so."""
        subject = replace(self._subject, **self._names.of(None))
        alone = self._fields.get(None)
        if self._existence.status == "notYet":
            return Folded(subject=subject, existence=self._existence, fields=[], together=[])
        return Folded(
            subject=subject,
            existence=self._existence,
            fields=[] if alone is None else alone.states(),
            together=[
                _together(replace(other, **self._names.of(other)), states)
                for other, fields in self._fields.items()
                if other is not None and (states := fields.states())
            ],
        )


def _together(other: Other, fields: list[FieldState]) -> TogetherState:
    if isinstance(other, OtherUser):
        return TogetherState(target_user=other, fields=fields)
    return TogetherState(resource=other, fields=fields)


def _sides(event: Values) -> tuple[Values, Values]:
    previous, new = map(leaves, sides(event.get("context")))
    return previous, new


def _reference(event: Values) -> EventReference:
    return EventReference(
        id=str(event["id"]),
        timestamp=str(event["timestamp"]),
        action=str(event["action"]),
        actor=event.get("actor"),
    )
