"""What changed between two states of an object: `previous` and `new`, with nothing else in them.

before = snapshot(member)
member.role = "admin"
log.info("member.role_changed", context=changes(before, member), …)
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec

from audit_events.errors import EventError
from audit_events.instant import format_instant
from audit_events.object_members import (
    ABSENT,
    NOT_LOADED,
    Hidden,
    Mark,
    Unread,
    is_number,
    read_members,
)
from audit_events.redaction import REDACTED
from audit_events.walk import MAX_SAFE_INTEGER

_KINDS: Final = (
    "a mapping, dataclass, attrs class, msgspec struct, pydantic model or SQLAlchemy instance;"
    " of a Django model take model_to_dict()"
)
_CHOOSE: Final = "compare dictionaries of what matters"
_RELOAD: Final = "take a snapshot() before the commit, or refresh it"

_NO_SCALARS: Final = (Mark, Hidden, Unread, list, dict)
_Tree = Mapping[str, object]


def changes(before: object, after: object) -> dict[str, dict[str, object]]:
    """Return what an event's context says of a change: `{"previous": {…}, "new": {…}}`.

    Only paths whose values differ are there, nested as in the objects. What was added is in `new`
    alone, what was removed in `previous` alone. A list or set is one value.

    Args:
        before: a mapping, dataclass, pydantic model, SQLAlchemy instance, or a `snapshot`, which
            what is changed in place needs; None: nothing was there.
        after: the same, not necessarily of the same class; None: nothing is there any more.

    Raises:
        EventError: naming the path of what cannot be compared: a value without a text that differs,
            an object that contains itself, an attribute that SQLAlchemy has loaded on one side
            alone (nothing is loaded for a diff).
    """
    previous, new = _compare(_read("before", before), _read("after", after), ())
    return {"previous": previous, "new": new}


def snapshot(value: object) -> dict[str, object]:
    """Return a copy of what `changes` compares, to be given to it as `before`.

    Raises:
        EventError: it is nothing that has parts with names, or nothing of it is loaded.
    """
    return _read("value", value)


def _read(name: str, value: object) -> dict[str, object]:
    members = {} if value is None else read_members(value)
    if isinstance(members, Unread):
        raise EventError(name, members.problem, _CHOOSE)
    if members is None:
        raise EventError(name, f"is of type {type(value).__name__}", f"expected {_KINDS}")
    if members and all(part is NOT_LOADED for part in members.values()):
        # Beside None it would be left out whole, and nothing said of what was made.
        raise EventError(name, "is expired, nothing of it is loaded", _RELOAD)
    return members


def _compare(
    before: _Tree, after: _Tree, steps: tuple[str, ...]
) -> tuple[dict[str, object], dict[str, object]]:
    sides: tuple[dict[str, object], dict[str, object]] = {}, {}
    for name in {**before, **after}:
        pair = before.get(name, ABSENT), after.get(name, ABSENT)
        for side, part in zip(sides, _compare_members(*pair, (*steps, name)), strict=True):
            if part is not ABSENT:
                side[name] = part
    return sides


def _compare_members(one: object, other: object, path: tuple[str, ...]) -> tuple[object, object]:
    """Return what each side says of one name; ABSENT is nothing."""
    if one is NOT_LOADED or other is NOT_LOADED:
        _refuse_half_loaded(one, other, path)
        return ABSENT, ABSENT
    if isinstance(one, Hidden) or isinstance(other, Hidden):
        # What one side keeps to itself the other must not tell.
        told = _compare_members(_unhide(one), _unhide(other), path)
        return _hide(told[0]), _hide(told[1])
    trees = _tree(one), _tree(other)
    if trees[0] and trees[1]:
        parts = _compare(trees[0], trees[1], path)
        return parts[0] or ABSENT, parts[1] or ABSENT
    if _is_same(one, other):
        return ABSENT, ABSENT
    return _spell(one, path), _spell(other, path)


def _refuse_half_loaded(one: object, other: object, path: tuple[str, ...]) -> None:
    if one is other or ABSENT in (one, other):
        return
    side = "before" if one is NOT_LOADED else "after"
    raise EventError(".".join((side, *path)), "is not loaded, and cannot be compared", _RELOAD)


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, Unread) and isinstance(other, Unread):
        return one.value is other.value
    if isinstance(one, Hidden) and isinstance(other, Hidden):
        return _is_same(one.value, other.value)
    items, others = _list(one), _list(other)
    if items is not None and others is not None:
        return len(items) == len(others) and all(map(_is_same, items, others))
    tree, members = _tree(one), _tree(other)
    if tree is not None and members is not None:
        return tree.keys() == members.keys() and all(
            _is_same(item, members[name]) for name, item in tree.items()
        )
    return _is_same_scalar(one, other)


def _hide(part: object) -> object:
    return part if part is ABSENT else REDACTED


def _unhide(value: object) -> object:
    return value.value if isinstance(value, Hidden) else value


def _tree(value: object) -> _Tree | None:
    return cast("_Tree", value) if isinstance(value, dict) else None


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _is_same_scalar(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if (type(one) is type(other) or (is_number(one) and is_number(other))) and one == other:
        return True  # the same amount or instant, however it is spelled
    scalars = not any(isinstance(value, _NO_SCALARS) for value in (one, other))
    return scalars and _spell_scalar(one) == _spell_scalar(other)


def _spell(value: object, path: tuple[str, ...]) -> object:
    """Return the value as an event carries it: exactly, so as a text where JSON could not."""
    if isinstance(value, dict):
        members = cast("_Tree", value).items()
        return {
            name: _spell(item, (*path, name)) for name, item in members if item is not NOT_LOADED
        }
    if isinstance(value, list):
        return [_spell(item, path) for item in cast("list[object]", value)]
    if value is ABSENT:
        return value
    if isinstance(value, Hidden):
        return REDACTED
    if isinstance(value, Unread):
        raise EventError(".".join(path), value.problem, _CHOOSE)
    return _spell_scalar(value)


def _spell_scalar(value: object) -> object:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value) if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, datetime):
        return _spell_instant(value)
    if isinstance(value, bytes | timedelta):
        return msgspec.to_builtins(value)
    return str(value)


def _spell_instant(value: datetime) -> str:
    try:
        return value.isoformat() if value.tzinfo is None else format_instant(value)
    except OverflowError:  # no year of UTC has it
        return value.isoformat()
