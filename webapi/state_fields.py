"""What is concluded of each field, folded from what events say of it. Pure.

Of each field (a path as in `webapi.field_changes`):

* `known`: an event at or before the moment has the field in `new`; the value is that of the last
  such event. `event` is the last one that set it: one that has the same value in `previous` too
  says that it stayed.
* `removed`: the last event at or before the moment that has the field has it in `previous` and not
  in `new`; or the life of the thing ended after it was set, and another one began.
* `until`: no event at or before the moment has it, and the first one after has it in `previous`:
  that was its value just before that event. Since when, no event says.
* `unknown`: the first event that has the field is later, and does not say what it was before.

Fields that no event names are not there at all. Where the first event after the moment has another
`previous` than what is concluded, the field was changed without an event, or clocks differ:
`contradictedBy` names it, and the value stays what the events up to the moment say.

A field and what lies inside it cannot both have values: who sets one ends the other.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from webapi.answered import StoredActor
from webapi.field_changes import same

MAX_FIELDS: Final = 5000
MAX_PATH_CHARACTERS: Final = 1 << 22
"""Of all fields together."""

Values = Mapping[str, object]


class TooManyFieldsError(Exception):
    """The events name more fields than are folded."""


class EventReference(Struct, frozen=True, kw_only=True):
    """Which event says so; `actor` as it is stored."""

    id: str
    timestamp: str
    action: str
    actor: StoredActor


class Contradiction(Struct, frozen=True, kw_only=True):
    """The first event after the moment, where what it found is not what is concluded.

    Args:
        event: that event.
        path: the field of its `previous`: this one, one inside it, or one that it is inside of.
        previous: the value there.
    """

    event: EventReference
    path: str
    previous: Any


class FieldState(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is concluded of one field.

    Args:
        path: JSON Pointer below `previous` and `new`.
        status: what the module says of each.
        value: of `known` and `until`; of `removed`, what it was before, where that is said.
        event: of `known` and `removed`, the event that did it.
        until: of `until` and `unknown`, the later event.
        contradicted_by: of `known` and `removed`, where it is doubtful.
    """

    path: str
    status: Literal["known", "removed", "until", "unknown"]
    value: Any | UnsetType = UNSET
    event: EventReference | UnsetType = UNSET
    until: EventReference | UnsetType = UNSET
    contradicted_by: Contradiction | UnsetType = UNSET


class Room:
    """How much is left for fields."""

    def __init__(self) -> None:
        self._fields = MAX_FIELDS
        self._characters = MAX_PATH_CHARACTERS

    def take(self, path: str) -> None:
        """Take room for one more field."""
        self._fields -= 1
        self._characters -= len(path)
        if self._fields < 0 or self._characters < 0:
            raise TooManyFieldsError

    def give(self, path: str) -> None:
        """Give the room of a field back."""
        self._fields += 1
        self._characters += len(path)


class Fields:
    """The fields of the subject, alone or together with one other thing.

    Args:
        room: for what is concluded.
        seen_room: for what later events name, whether anything follows from it or not.
    """

    def __init__(self, room: Room, seen_room: Room) -> None:
        self._room = room
        self._seen_room = seen_room
        self._states: dict[str, FieldState] = {}
        self._later: dict[str, FieldState] = {}
        self._seen: set[str] = set()
        self._seen_inside: set[str] = set()
        self._inside: dict[str, set[str]] = {}
        """Paths of `_states` by each path that they lie inside of."""

    def states(self) -> list[FieldState]:
        """Return what is concluded, by path."""
        found = self._later | self._states
        return [found[path] for path in sorted(found)]

    def tell(self, event: EventReference, previous: Values, new: Values) -> None:
        """Take what an event at or before the moment says."""
        for path in sorted(previous.keys() - new.keys()):
            self._end_around(path, event)
            value = previous[path]
            self._put(FieldState(path=path, status="removed", value=value, event=event))
        for path, value in new.items():
            stayed = path in previous and same(previous[path], value)
            before = self._states.get(path)
            if stayed and before and before.status == "known" and same(before.value, value):
                continue
            self._end_around(path, event)
            self._put(FieldState(path=path, status="known", value=value, event=event))

    def end(self, end: EventReference) -> None:
        """End what was set when a life ended: another one has begun since."""
        for path, state in self._states.items():
            if state.status == "known" and state.event and _order(state.event) <= _order(end):
                self._states[path] = replace(state, status="removed", event=end)

    def look_back(self, event: EventReference, previous: Values, new: Values) -> None:
        """Take what the first events after the moment say of what was before them."""
        for path in [*sorted(previous), *sorted(new.keys() - previous.keys())]:
            if self._is_seen(path):
                continue
            self._seen_room.take(path)
            self._seen.add(path)
            self._seen_inside.update(_around(path))
            concluded = self._concluded(path)
            if path in previous:
                found = Contradiction(event=event, path=path, previous=previous[path])
                for state in concluded:
                    self._doubt(state, found)
            if not concluded:
                self._room.take(path)
                status: Literal["until", "unknown"] = "until" if path in previous else "unknown"
                value = previous.get(path, UNSET)
                self._later[path] = FieldState(path=path, status=status, value=value, until=event)

    def _is_seen(self, path: str) -> bool:
        """Tell whether a field, or one inside or around it, had its first event."""
        return (
            path in self._seen
            or path in self._seen_inside
            or any(outer in self._seen for outer in _around(path))
        )

    def _doubt(self, state: FieldState, found: Contradiction) -> None:
        agrees = state.status == "known" and same(state.value, found.previous)
        if state.contradicted_by is UNSET and not (agrees and state.path == found.path):
            self._states[state.path] = replace(state, contradicted_by=found)

    def _concluded(self, path: str) -> list[FieldState]:
        """Return the state of a field, and the values there are inside and around it."""
        near = [*_around(path), *self._inside.get(path, ())]
        own = [self._states[path]] if path in self._states else []
        return own + [
            self._states[one]
            for one in sorted(near)
            if one in self._states and self._states[one].status == "known"
        ]

    def _put(self, state: FieldState) -> None:
        if state.path not in self._states:
            self._room.take(state.path)
            for outer in _around(state.path):
                self._inside.setdefault(outer, set()).add(state.path)
        self._states[state.path] = state

    def _end_around(self, path: str, event: EventReference) -> None:
        """End what cannot have a value beside one at a path: all inside of it, and around it."""
        for inner in self._inside.get(path, ()):
            if self._states[inner].status == "known":
                self._states[inner] = replace(self._states[inner], status="removed", event=event)
        for outer in _around(path):
            if self._states.pop(outer, None) is not None:
                self._room.give(outer)
                for further in _around(outer):
                    self._inside[further].discard(outer)


def _order(event: EventReference) -> tuple[str, str]:
    return event.timestamp, event.id


def _around(path: str) -> list[str]:
    """Return the paths that a path lies inside of."""
    steps = path.split("/")
    return ["/".join(steps[:end]) for end in range(1, len(steps))]
