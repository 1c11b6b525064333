"""What `q` asks, as a tree; `webapi.grammar` reads it."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})
_PLAIN: Final = frozenset("._@/-+#&'=~%")
"""What stands in a word as it is, beside letters and digits."""


class Kind(Enum):
    """How a value is looked for."""

    WORD = "word"
    PREFIX = "prefix"
    PHRASE = "phrase"


@dataclass(frozen=True, slots=True)
class Value:
    r"""What is looked for, without quotes, `\` and `*`; equal wherever it stands."""

    kind: Kind
    text: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Match:
    """Any of some values in the field of a name, or, without one, a value anywhere."""

    name: str | None
    values: tuple[Value, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Every:
    """Two or more, all of which must hold."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Two or more, one of which must hold."""

    parts: tuple["Node", ...]


Node = Match | Not | Every | Either


def write(node: Node) -> str:
    """Return a question that means the same; inverse of `parse` but for blanks and spelling."""
    if isinstance(node, Match):
        name = "" if node.name is None else f"{node.name}:"
        return name + ",".join(map(_written, node.values))
    if isinstance(node, Not):
        return "-" + _grouped(node.part)
    return (" " if isinstance(node, Every) else " OR ").join(map(_grouped, node.parts))


def matches_of(node: Node) -> list[Match]:
    """Return all that is looked for, in order; what must not hold among them."""
    if isinstance(node, Match):
        return [node]
    parts = (node.part,) if isinstance(node, Not) else node.parts
    return [match for part in parts for match in matches_of(part)]


def _grouped(node: Node) -> str:
    return write(node) if isinstance(node, Match | Not) else f"({write(node)})"


def _written(value: Value) -> str:
    if value.kind is Kind.PHRASE:
        return '"' + value.text.replace("\\", r"\\").replace('"', r"\"") + '"'
    first, rest = value.text[0], value.text[1:]
    bare = first.isalnum() and value.text not in _OPERATORS
    written = (first if bare else "\\" + first) + "".join(map(_escaped, rest))
    return written + ("*" if value.kind is Kind.PREFIX else "")


def _escaped(character: str) -> str:
    return character if character.isalnum() or character in _PLAIN else "\\" + character
