"""Parts of an event: which members of it an answer holds. Pure.

    fields=id,action,actor.email,context.new.role      only these
    fields=-context,-source                            all but these

A path is a member of the event, or one inside it behind a dot; in `context`, however deep. What is
left has the bytes that were written, in their order; the hash of an event in parts proves nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, NamedTuple, get_args

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import FieldInfo

from audit_events.event import Event
from webapi.errors import ParameterError

CONTEXT: Final = "context"
MAX_LEVELS: Final = 20
SIGN: Final = "-"


class FieldPath(NamedTuple):
    """One path, and whether it is left out."""

    keys: tuple[str, ...]
    left_out: bool


Tree = dict[str, "Tree | None"]
"""What is named, by key; None is all that is there."""


class Selection(NamedTuple):
    """What is kept, or what is left out."""

    tree: Tree
    left_out: bool

    def of(self, source: Raw) -> Raw:
        """Return the members of an event that are asked for, as they were written."""
        rest = _without(source, self.tree) if self.left_out else _only(source, self.tree)
        return Raw(b"{}") if rest is None else rest


@lru_cache(maxsize=1)
def known_paths() -> tuple[str, ...]:
    """Return the members of an event, and those inside of them; `context` has any."""
    return tuple(_paths(Event, ""))


def read_field(text: str) -> FieldPath:
    """Read one path.

    Raises:
        ParameterError: an event has nothing of this name.
    """
    path = text.removeprefix(SIGN)
    keys = tuple(path.split("."))
    if len(keys) > MAX_LEVELS:
        raise ParameterError("invalid", f"expected at most {MAX_LEVELS} levels")
    inside_context = keys[0] == CONTEXT and all(keys)
    if path not in known_paths() and not inside_context:
        lowered = {known.lower(): known for known in known_paths()}
        near = get_close_matches(path.lower(), lowered, n=3, cutoff=0.5)
        sign = text[: len(text) - len(path)]
        raise ParameterError(
            "unknown_value",
            "an event has no such member",
            nearest=tuple(sign + lowered[one] for one in near),
        )
    return FieldPath(keys, left_out=path != text)


def selection_of(paths: Sequence[FieldPath]) -> Selection | None:
    """Return what some paths ask for together; None, all of it, for none.

    Raises:
        ParameterError: some say what is kept, and some what is left out.
    """
    if not paths:
        return None
    if len({path.left_out for path in paths}) > 1:
        raise ParameterError("conflict", "name either what to keep, or with `-` what to leave out")
    tree: Tree = {}
    for path in paths:
        _plant(tree, path.keys)
    return Selection(tree, left_out=paths[0].left_out)


def _plant(tree: Tree, keys: tuple[str, ...]) -> None:
    place = tree
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if inner is None:
            return
        place = inner
    place[keys[-1]] = None


def _only(source: Raw, tree: Tree) -> Raw | None:
    """Return the named members of an object; None where there are none."""
    kept: dict[str, Raw] = {}
    for key, value in _members(source).items():
        if key in tree:
            inner = tree[key]
            found = value if inner is None else _only(value, inner)
            if found is not None:
                kept[key] = found
    return Raw(msgspec.json.encode(kept)) if kept else None


def _without(source: Raw, tree: Tree) -> Raw:
    """Return an object without the named members, and any other value as it is."""
    members = _members(source)
    if not members.keys() & tree.keys():
        return source
    kept: dict[str, Raw] = {}
    for key, value in members.items():
        inner = tree.get(key, {})
        if inner is not None:
            kept[key] = _without(value, inner)
    return Raw(msgspec.json.encode(kept))


def _members(source: Raw) -> Mapping[str, Raw]:
    if not bytes(source).lstrip().startswith(b"{"):
        return {}
    return msgspec.json.decode(source, type=dict[str, Raw])


def _paths(shape: type[Struct], prefix: str) -> Iterator[str]:
    for field in msgspec.structs.fields(shape):
        path = prefix + field.encode_name
        yield path
        inner = _inner(field)
        if inner is not None:
            yield from _paths(inner, f"{path}.")


def _inner(field: FieldInfo) -> type[Struct] | None:
    for one in (field.type, *get_args(field.type)):
        if isinstance(one, type) and issubclass(one, Struct):
            return one
    return None
