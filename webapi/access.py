"""Who may ask what: the one gate in front of every address that shows events.

    token → reader → role and plan, or scope → the view

A blueprint has `blueprint.before_request(admit)`, and each of its views says with `asks` what kind
of question it answers. A page with a session of its own calls `enter` with its reader.
"""

from collections.abc import Callable
from typing import Final, Literal, ParamSpec, TypeVar

from flask import current_app, g, request

from webapi.auth import Reader, authorize, read_api_token
from webapi.errors import ForbiddenError, TokenError
from webapi.parts import parts

P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["list", "search", "incident", "export", "stream", "tokens"]

SCOPE_OF: Final[dict[Kind, str | None]] = {
    "list": "read",
    "search": "read",
    "incident": "read",
    "export": "export",
    "stream": "stream",
    "tokens": None,
}
"""The scope that an API token needs for each kind; None: no API token may ask it."""

_KIND: Final = "indelible_kind"


def asks(kind: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say of a view what kind of question it answers."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _KIND, kind)
        return view

    return mark


def kind_of(view: Callable[..., object]) -> Kind | None:
    """Return what a view said; None if it forgot to."""
    found: Kind | None = getattr(view, _KIND, None)
    return found


def admit() -> None:
    """Let a request in by its `Authorization`, before the view of a blueprint runs.

    Raises:
        TokenError, ForbiddenError, UnavailableError: it stays out.
    """
    header = request.headers.get("Authorization")
    text = read_api_token(header)
    if text is None:
        enter(parts().verify(header))
        return
    tokens = parts().api_tokens
    if tokens is None:
        raise TokenError("token_invalid", "API tokens are not taken here")
    enter(tokens.verify(text))


def enter(who: Reader) -> None:
    """Let somebody in who proved to be who they are, if they may ask this.

    Raises:
        ForbiddenError: they may not.
    """
    authorize(who, parts().settings)
    kind = asked_kind()
    if who.scopes is not None and SCOPE_OF[kind] not in who.scopes:
        tokens = parts().api_tokens
        if tokens is not None:
            tokens.tell_refusal(who, "scope")
        needed = SCOPE_OF[kind]
        reason = "no API token is" if needed is None else f"it needs the scope {needed}"
        raise ForbiddenError("scope_not_allowed", reason)
    g.reader = who


def asked_kind() -> Kind:
    """Return what kind of question this request is; the list with a text to look for is a search.

    A view that does not say counts as the list, whose scope every token that reads has.
    """
    view = current_app.view_functions[request.endpoint or ""]
    kind = kind_of(view) or "list"
    return "search" if kind == "list" and "q" in request.args else kind
