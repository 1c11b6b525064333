"""Who may ask what, and how often: the one gate in front of every address that shows events.

    token → reader → role and plan, or scope → limit → the view

A blueprint has `blueprint.before_request(admit)`, and each of its views says with `kinds.asks` what
kind of question it answers. A page with a session of its own calls `enter` with its reader.
"""

from collections.abc import Callable
from functools import partial

from flask import Flask, Response, current_app, g, request

from webapi.auth import Reader, authorize, read_api_token
from webapi.errors import LimitError, ScopeError, TokenError
from webapi.kinds import SCOPE_OF, Kind, kind_of
from webapi.limits import describe
from webapi.parts import parts


def install(app: Flask) -> None:
    """Let every answer tell the limit that it was counted under."""
    app.after_request(_tell_limit)


def admit() -> None:
    """Let a request in by its `Authorization`, before the view of a blueprint runs.

    Raises:
        TokenError, ForbiddenError, LimitError, UnavailableError: it stays out.
    """
    enter(prove())


def prove() -> Reader:
    """Return whose request it is by its `Authorization`, as of now.

    Raises:
        TokenError, UnavailableError: nobody's.
    """
    header = request.headers.get("Authorization")
    text = read_api_token(header)
    if text is None:
        return parts().verify(header)
    tokens = parts().api_tokens
    if tokens is None:
        raise TokenError("token_invalid", "API tokens are not taken here")
    return tokens.verify(text)


def revocation_check() -> Callable[[], object]:
    """Return a call for what goes on after its request was let in, also when that is over.

    It raises `TokenError` once the request's API token was revoked or has ended, and
    `UnavailableError` where nobody can tell. Nobody revokes a JWT, and one that expires during a
    long answer was good when it was asked for.
    """
    text = read_api_token(request.headers.get("Authorization"))
    tokens = parts().api_tokens
    if text is None or tokens is None:
        return lambda: None
    return partial(tokens.verify, text)


def enter(who: Reader, *, at_page: bool = False) -> None:
    """Let somebody in who proved to be who they are, if they may ask this now.

    Args:
        who: reads.
        at_page: whether a person does, at a page. People have the same limits as the clients of
            their organisation, counted apart: a busy client keeps nobody from looking.

    Raises:
        ForbiddenError: they may not.
        LimitError: their organisation asked too often.
    """
    authorize(who, parts().settings)
    kind = asked_kind()
    _check_scope(who, kind)
    _count(who, kind, at_page=at_page)
    g.reader = who


def asked_kind() -> Kind:
    """Return what kind of question this request is; the list with a text to look for is a search.

    A view that does not say counts as the list, whose scope every token that reads has.
    """
    view = current_app.view_functions[request.endpoint or ""]
    kind = kind_of(view) or "list"
    return "search" if kind == "list" and "q" in request.args else kind


def _check_scope(who: Reader, kind: Kind) -> None:
    needed = SCOPE_OF[kind]
    if who.scopes is None or needed in who.scopes:
        return
    tokens = parts().api_tokens
    if tokens is not None:
        tokens.tell_refusal(who, "scope")
    raise ScopeError(needed)


def _count(who: Reader, kind: Kind, *, at_page: bool) -> None:
    name, limit = parts().limits[kind]
    if limit == 0:
        return
    counted = f"page {name}" if at_page else name
    allowance = parts().counters.take(who.organization_id, counted, limit)
    g.limit, g.limit_name = describe(name, allowance), name
    if not allowance.is_admitted:
        raise LimitError(name, limit, allowance.retry_seconds)


def _tell_limit(response: Response) -> Response:
    response.headers.update(g.get("limit", {}))
    return response
