"""The kinds of question: what a view answers decides its scope and its limit."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Kind: TypeAlias = Literal["list", "search", "incident", "export", "stream", "tokens"]

SCOPE_OF: Final[Mapping[Kind, str | None]] = {
    "list": "read",
    "search": "read",
    "incident": "read",
    "export": "export",
    "stream": "stream",
    "tokens": None,
}
"""The scope that an API token needs for each; None: no API token may ask it."""

_MARK: Final = "indelible_kind"


def asks(kind: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say of a view what kind of question it answers."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _MARK, kind)
        return view

    return mark


def kind_of(view: Callable[..., object]) -> Kind | None:
    """Return what a view said; None if it forgot to."""
    found: Kind | None = getattr(view, _MARK, None)
    return found
