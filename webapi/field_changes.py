"""What an event changed, field by field: `previous` and `new` of its context, compared. Pure.

A field is a JSON Pointer (RFC 6901) below `previous` and `new`: `/role`, `/settings/theme`; the
empty pointer is all of it, where they are no objects. Objects are compared member by member. All
else is one value, a list too, as in a JSON Merge Patch (RFC 7396): by number, one item that is put
in front would change all behind it. What two lists have apart is told beside. So is one value what
lies deeper than `MAX_DEPTH`, which only an emitter of another language can write.

An object that gains its first member, or loses its last, is told by these members alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from audit_events.walk import MAX_DEPTH
from webapi.pointer import step

Kind = Literal["added", "removed", "changed"]

MAX_CHANGES: Final = 1000
"""Changes of one event that are told; an event of 64 KiB has room for ten thousand."""


class FieldChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """One field that `previous` and `new` do not have alike.

    Args:
        path: JSON Pointer below `previous` and `new`.
        kind: `added` is in `new` alone, `removed` in `previous` alone, `changed` in both.
        previous: the value before; left out where `previous` does not have the field.
        new: the value after; left out where `new` does not have the field.
        items_added: of two lists, the items that only the new one has, in its order.
        items_removed: of two lists, the items that only the previous one has, in its order.
    """

    path: str
    kind: Kind
    previous: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET
    items_added: list[object] | UnsetType = UNSET
    items_removed: list[object] | UnsetType = UNSET


class FieldChanges(Struct, frozen=True, kw_only=True, rename="camel"):
    """The changes of one event, ordered by their keys, and whether there are more than told."""

    changes: tuple[FieldChange, ...] = ()
    more: bool = False


def field_changes(context: object) -> FieldChanges:
    """Return what differs between `previous` and `new`; null is the same as to be missing there.

    Args:
        context: of an event, decoded; anything.
    """
    previous, new = sides(context)
    found = tuple(islice(_compare("", previous, new, MAX_DEPTH), MAX_CHANGES + 1))
    return FieldChanges(changes=found[:MAX_CHANGES], more=len(found) > MAX_CHANGES)


def sides(context: object) -> tuple[object, object]:
    """Return `previous` and `new` of a context; UNSET for what is not there, or null."""
    if not isinstance(context, dict):
        return UNSET, UNSET
    members = cast("Mapping[str, object]", context)
    previous, new = (members.get(name) for name in ("previous", "new"))
    return UNSET if previous is None else previous, UNSET if new is None else new


def leaves(side: object) -> Mapping[str, object]:
    """Return the value of each field of one side by its path, as `field_changes` tells them apart.

    An object without members is a value, unless it is the whole side, which then says nothing.
    """
    return {} if side in (UNSET, {}) else dict(_leaves("", side, MAX_DEPTH))


def _leaves(path: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    members = _members(value)
    if not members or not depth:
        yield path, value
        return
    for key, inner in members.items():
        yield from _leaves(step(path, key), inner, depth - 1)


def same(one: object, other: object) -> bool:
    """Tell whether two decoded values are the same JSON; `1` is not `true`, as it is in Python."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isinstance(one, bool) is isinstance(other, bool) and one == other
    return type(one) is type(other) and _written(one) == _written(other)


def _compare(path: str, previous: object, new: object, depth: int) -> Iterator[FieldChange]:
    before, after = _members(previous), _members(new)
    if depth and before is not None and after is not None and (before or after or not path):
        for key in sorted(before.keys() | after.keys()):
            inner = before.get(key, UNSET), after.get(key, UNSET)
            yield from _compare(step(path, key), *inner, depth - 1)
    elif previous is UNSET:
        yield FieldChange(path=path, kind="added", new=new)
    elif new is UNSET:
        yield FieldChange(path=path, kind="removed", previous=previous)
    elif not same(previous, new):
        yield _changed(path, previous, new)


def _members(value: object) -> Mapping[str, object] | None:
    """Return the members of an object; none of what is missing, None of any other value."""
    if value is UNSET:
        return {}
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else None


def _changed(path: str, previous: object, new: object) -> FieldChange:
    change = FieldChange(path=path, kind="changed", previous=previous, new=new)
    if not isinstance(previous, list) or not isinstance(new, list):
        return change
    before, after = cast("list[object]", previous), cast("list[object]", new)
    return msgspec.structs.replace(
        change, items_added=_without(after, before), items_removed=_without(before, after)
    )


def _without(items: Sequence[object], others: Sequence[object]) -> list[object]:
    """Return the items that the others do not have, or not so often."""
    left = Counter(map(_written, others))
    rest: list[object] = []
    for item in items:
        key = _written(item)
        if left[key]:
            left[key] -= 1
        else:
            rest.append(item)
    return rest


def _written(value: object) -> bytes:
    """Return a value as JSON in one spelling, to tell equal ones by."""
    return msgspec.json.encode(value, order="sorted")
