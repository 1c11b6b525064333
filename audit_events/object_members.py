"""What an object holds, read so that it can be compared with what another holds.

Mappings, dataclasses, pydantic models, SQLAlchemy instances, msgspec structs and attrs classes are
known by the marks that they carry, so that nothing is imported for them. What is read is a copy of
dictionaries, lists and values that nobody changes any more.

Reading has no effects: no query (an attribute that SQLAlchemy has not loaded is `NOT_LOADED`), no
relationship, no property and no computed field. What cannot be read (`Unread`) is no error before
it matters: the same object on both sides did not change.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

MAX_DEPTH: Final = 64


class Mark:
    """Stands where there is no value."""

    def __init__(self, name: str) -> None:
        self.name = name


ABSENT: Final = Mark("absent")
NOT_LOADED: Final = Mark("not loaded")


class Unread:
    """A value that cannot be read, and why; equal to itself alone."""

    __slots__ = ("problem", "value")

    def __init__(self, value: object, problem: str) -> None:
        self.value = value
        self.problem = problem


class Hidden:
    """A value that its class keeps to itself: that it changed is told, not how."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


_SCALARS: Final = (str, bool, int, float, Decimal, UUID, datetime, date, time, timedelta, bytes)


def read_members(value: object) -> "dict[str, object] | Unread | None":
    """Return what an object holds, by name; None for what holds nothing by name.

    Values are dictionaries and lists of the same kind, scalars as they are, `Hidden`, `Unread` and
    `NOT_LOADED`.
    """
    tree = _read(value, ())
    if isinstance(tree, Unread):
        return tree if _members_of(value) is not None else None
    return cast("dict[str, object]", tree) if isinstance(tree, dict) else None


def _read(value: object, above: tuple[int, ...]) -> object:
    if value is None or isinstance(value, Mark | Hidden | Unread):
        return value
    if isinstance(value, Enum):
        return _read(value.value, above)
    if isinstance(value, _SCALARS):
        return str.__str__(value) if isinstance(value, str) else value
    if id(value) in above:
        return Unread(value, "contains itself")
    if len(above) > MAX_DEPTH:
        return Unread(value, f"is nested deeper than {MAX_DEPTH} levels")
    return _read_container(value, (*above, id(value)))


def _read_container(value: object, above: tuple[int, ...]) -> object:
    members = _members_of(value)
    if members is not None:
        return _read_named(value, list(members), above)
    if isinstance(value, list | tuple):
        return [_read(item, above) for item in cast("list[object]", value)]
    if isinstance(value, AbstractSet):
        items = [_read(item, above) for item in cast("AbstractSet[object]", value)]
        return sorted(items, key=lambda item: (type(item).__name__, str(item)))
    if hasattr(type(value), "get_secret_value"):  # SecretStr and its like
        return Hidden(_read(cast("Any", value).get_secret_value(), above))
    return _read_text(value)


def _read_named(value: object, members: list[tuple[str, object]], above: tuple[int, ...]) -> object:
    hidden = _hidden_names(type(value))
    read: dict[str, object] = {}
    for name, item in members:
        if name in read:
            return Unread(value, "has two keys that are spelled alike")
        part = _read(item, above)
        read[name] = Hidden(part) if name in hidden and not isinstance(part, Mark) else part
    return read


def _read_text(value: object) -> object:
    if isinstance(value, bytearray):
        return bytes(value)
    if type(value).__str__ is object.__str__:
        return Unread(value, f"is of type {type(value).__name__}, which has no text")
    return str(value)  # an address, a path, a URL: what their authors say


def _members_of(value: object) -> Iterable[tuple[str, object]] | None:
    kind: Any = type(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return ((_name_of(key), item) for key, item in mapping.items())
    own: dict[str, Any] = getattr(value, "__dict__", {})
    if "_sa_instance_state" in own:
        return _columns_of(own)
    if _is_pydantic(kind):
        if getattr(kind, "__pydantic_root_model__", False):
            return _members_of(own["root"])
        extra: dict[str, object] = getattr(value, "__pydantic_extra__", None) or {}
        return [*((name, own[name]) for name in kind.model_fields if name in own), *extra.items()]
    if not (names := _field_names(kind)):
        return None
    pairs = ((name, getattr(value, name, ABSENT)) for name in names)
    return (pair for pair in pairs if pair[1] is not ABSENT)


def _is_pydantic(kind: type) -> bool:
    """Whether it is a model; a dataclass of pydantic's is a dataclass."""
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_fields")


def _field_names(kind: Any) -> tuple[str, ...]:  # noqa: ANN401  # whatever class
    if hasattr(kind, "__dataclass_fields__"):
        return tuple(field.name for field in dataclasses.fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    return tuple(getattr(kind, "__struct_fields__", ()))


def _columns_of(own: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """Return the columns of a SQLAlchemy instance; what was never stored is only what was set."""
    state = own["_sa_instance_state"]
    missing = ABSENT if state.key is None else NOT_LOADED
    names: Iterable[str] = state.mapper.column_attrs.keys()
    pairs = ((name, own.get(name, missing)) for name in names)
    return (pair for pair in pairs if pair[1] is not ABSENT)


def _hidden_names(kind: Any) -> set[str]:  # noqa: ANN401  # whatever class
    """Return the fields that a class keeps out of its `repr` or of what it dumps."""
    fields: dict[str, Any] = dict(getattr(kind, "__dataclass_fields__", {}))
    fields.update((one.name, one) for one in getattr(kind, "__attrs_attrs__", ()))
    if _is_pydantic(kind):
        fields.update(kind.model_fields)
    return {
        name
        for name, field in fields.items()
        if getattr(field, "repr", True) is False or getattr(field, "exclude", None) is True
    }


def _name_of(key: object) -> str:
    if isinstance(key, Enum):
        return _name_of(key.value)
    return str.__str__(key) if isinstance(key, str) else str(key)


def is_number(value: object) -> bool:
    """Whether it is an amount: an integer, a float or a Decimal."""
    return isinstance(value, int | float | Decimal)
