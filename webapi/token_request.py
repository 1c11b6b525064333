"""What an owner asks for when making an API token: a body of JSON, or a form, and what may be."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Struct

from webapi.errors import ParameterError, ParameterProblem, ParametersError, ProblemError

Scope = Literal["read", "export", "stream"]
SCOPES: Final[Mapping[Scope, str]] = {
    "read": "list, search and look into events, incidents, histories and the catalogue",
    "export": "export events",
    "stream": "poll events by their arrival",
}
"""What a token may be for, and what that is."""
MAX_NAME_CHARACTERS: Final = 100
MAX_DAYS: Final = 365
DEFAULT_DAYS: Final = 90


class TokenRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """A token that can be made."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_NAME_CHARACTERS,
            description="What it is for.",
            examples=["SIEM"],
        ),
    ]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(min_length=1, description="; ".join(f"`{one}`: {SCOPES[one]}" for one in SCOPES)),
    ]
    expires_in_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS


def read_body(body: bytes) -> TokenRequest:
    """Read a request's body.

    Raises:
        ProblemError: it is no object of JSON.
        ParametersError: everything that is wrong in it.
    """
    try:
        asked = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ProblemError("request_malformed", "the body is not an object of JSON") from None
    return check(asked)


def check(asked: Mapping[str, object]) -> TokenRequest:
    """Take `name`, `scopes` and `expiresInDays` as they were given.

    Raises:
        ParametersError: everything that is wrong with them.
    """
    readers: dict[str, Callable[[object], object]] = {
        "name": _name,
        "scopes": _scopes,
        "expiresInDays": _days,
    }
    problems: list[ParameterProblem] = []
    found: dict[str, object] = {}
    for name in asked:
        if name not in readers:
            near = tuple(get_close_matches(name, readers, n=1))
            error = ParameterError("unknown_parameter", "there is no such member", nearest=near)
            problems.append(error.of(name[:MAX_NAME_CHARACTERS]))
    for name, read in readers.items():
        try:
            found[name] = read(asked.get(name))
        except ParameterError as error:
            problems.append(error.of(name))
    if problems:
        raise ParametersError(tuple(problems))
    return TokenRequest(
        name=cast("str", found["name"]),
        scopes=cast("tuple[Scope, ...]", found["scopes"]),
        expires_in_days=cast("int", found["expiresInDays"]),
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ParameterError("empty", "say what the token is for, so that it can be told apart")
    text = value.strip()
    if len(text) > MAX_NAME_CHARACTERS or not text.isprintable():
        reason = f"expected at most {MAX_NAME_CHARACTERS} characters, all of them printable"
        raise ParameterError("invalid", reason)
    return text


def _scopes(value: object) -> tuple[Scope, ...]:
    allowed = tuple(SCOPES)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ParameterError("empty", "expected a list with at least one scope", allowed=allowed)
    asked = cast("Sequence[object]", value)
    if any(one not in allowed for one in asked):
        raise ParameterError("unknown_value", "there is no such scope", allowed=allowed)
    return tuple(scope for scope in allowed if scope in asked)


def _days(value: object) -> int:
    if value is None:
        return DEFAULT_DAYS
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_DAYS:
        raise ParameterError("out_of_range", f"expected a whole number from 1 to {MAX_DAYS}")
    return value
