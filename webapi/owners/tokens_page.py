"""The page of the API tokens: what there is, a form for another one, and a new one's text, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Literal

from flask import Response, request

from audit_events.instant import parse_instant
from webapi.api_tokens import ApiToken, NewApiToken
from webapi.errors import ParameterProblem
from webapi.page import document
from webapi.parts import parts, reader
from webapi.token_request import DEFAULT_DAYS, MAX_DAYS, MAX_NAME_CHARACTERS, SCOPES
from webapi.token_routes import api_tokens

State = Literal["active", "expired", "revoked"]
NO_PROBLEM: Final[Sequence[ParameterProblem]] = ()
EMPTY: Final[Mapping[str, object]] = {
    "name": "",
    "scopes": ["read"],
    "expiresInDays": DEFAULT_DAYS,
}


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token with its instants as such, and whether it can be used."""

    token: ApiToken
    state: State
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def show_tokens(
    *,
    made: NewApiToken | None = None,
    asked: Mapping[str, object] = EMPTY,
    problems: Sequence[ParameterProblem] = NO_PROBLEM,
) -> Response:
    """Return the page.

    Args:
        made: a token that was just made, whose text is shown this once.
        asked: what stands in the form.
        problems: what is wrong with it.

    Raises:
        UnavailableError: the store of the tokens does not answer as it should.
    """
    if parts().api_tokens is None:
        return document.render("owners/no_tokens.html", reader(), {})
    now = datetime.now(UTC)
    tokens = [shown(one, now) for one in api_tokens(reader()).listed(reader())]
    view = {
        "tokens": tokens,
        "made": made,
        "asked": asked,
        "problems": {problem.parameter: problem for problem in problems},
        "revoked": any(one.token.id == request.args.get("revoked") for one in tokens),
        "scopes": SCOPES,
        "most_days": MAX_DAYS,
        "most_characters": MAX_NAME_CHARACTERS,
        "now": now,
    }
    status = HTTPStatus.BAD_REQUEST if problems else HTTPStatus.OK
    return document.render("owners/tokens.html", reader(), view, status)


def shown(token: ApiToken, now: datetime) -> ShownToken:
    """Return a token as the page shows it. Pure."""
    expires_at = parse_instant(token.expires_at)
    state: State = "active" if expires_at > now else "expired"
    if token.revoked_at is not None:
        state = "revoked"
    last, revoked = token.last_used_at, token.revoked_at
    return ShownToken(
        token=token,
        state=state,
        created_at=parse_instant(token.created_at),
        expires_at=expires_at,
        last_used_at=None if last is None else parse_instant(last),
        revoked_at=None if revoked is None else parse_instant(revoked),
    )


def number(text: str) -> object:
    """Return the number that a form's field holds, or its text where it holds none. Pure."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len("10000") else text
