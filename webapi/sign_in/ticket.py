"""Tickets: what a one-time link carries, instead of a password.

A ticket is a JWT with the claims of a bearer token, signed with a key of its own (derived from the
web's secret), so that no bearer token is a ticket and no ticket a bearer token. It holds for
minutes. That it works once is `marks`' doing, by its `jti`.
"""

import secrets
from collections.abc import Mapping
from typing import Final

import jwt
import msgspec
from jwt.exceptions import ExpiredSignatureError, PyJWTError
from msgspec import Struct

from webapi.auth import Reader, read_claims
from webapi.errors import TokenError
from webapi.settings import WebSettings
from webapi.sign_in.key import derive_key

TICKET_SECONDS: Final = 600
ALGORITHM: Final = "HS256"

_PURPOSE: Final = "indelible sign-in ticket 1"


class Ticket(Struct, frozen=True):
    """A ticket that was verified.

    Args:
        id: unguessable; what is remembered when it is used.
        reader: whom it signs in.
    """

    id: str
    reader: Reader


class _Registered(Struct, frozen=True):
    jti: str


def write_ticket(claims: Mapping[str, object], settings: WebSettings, *, now: float) -> str:
    """Return a ticket that is good for `TICKET_SECONDS` from `now` (seconds since the epoch).

    Args:
        claims: of the person, spelled as in a bearer token (`webapi.auth.Claims`).
        settings: where the secret stands.
        now: seconds since the epoch.
    """
    registered = {
        "jti": secrets.token_urlsafe(24),
        "iat": int(now),
        "exp": int(now) + TICKET_SECONDS,
    }
    return jwt.encode({**claims, **registered}, derive_key(settings, _PURPOSE), ALGORITHM)


def read_ticket(text: str, settings: WebSettings) -> Ticket:
    """Verify a ticket; whether it was used is not looked at.

    Raises:
        TokenError: it is none of ours (`token_invalid`), or too old (`token_expired`).
    """
    try:
        payload = jwt.decode(
            text,
            derive_key(settings, _PURPOSE),
            algorithms=[ALGORITHM],
            leeway=settings.leeway_seconds,
            options={"require": ["jti", "iat", "exp"], "verify_aud": False, "verify_iss": False},
        )
        registered = msgspec.convert(payload, _Registered)
    except ExpiredSignatureError:
        raise TokenError("token_expired", "it expired") from None
    except (PyJWTError, msgspec.ValidationError):
        raise TokenError("token_invalid", "it was not made here") from None
    return Ticket(registered.jti, read_claims(payload))
