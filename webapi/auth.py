"""Who asks: a bearer JWT becomes a `Reader`, or a refusal.

Organisation, role and plan come from the token and from nowhere else. The algorithms are pinned by
the settings, so neither `none` nor an HMAC over a public key can pass (RFC 8725, sections 2.1 and
3.1).
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import jwt
import msgspec
from jwt.exceptions import ExpiredSignatureError, PyJWTError
from msgspec import Meta, Struct

from audit_events.event import RESERVED_PREFIX
from webapi.claims import claim_paths, rename_claims
from webapi.errors import ForbiddenError, TokenError
from webapi.keys import KeySet, fetch_document
from webapi.proofs import Proof, Proofs
from webapi.settings import WebSettings, algorithms
from webapi.token_text import BEGINNING

_BEARER: Final = re.compile(
    r"^bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)$", re.IGNORECASE | re.ASCII
)
_API_TOKEN: Final = re.compile(rf"^bearer +({BEGINNING}[0-9A-Za-z]*)$", re.IGNORECASE | re.ASCII)
_CLAIM_PATTERN: Final = r"\A[^\x00-\x1f\x7f\ud800-\udfff]+\Z"
"""No control characters, and no half of a surrogate pair, which no event could hold. (`$` would let
a newline at the end pass.)"""
_names_missing: Final = re.compile("missing required field `(.*?)`").search
_OUR_NAMES: Final[Mapping[str, str]] = {}
_Claim = Annotated[str, Meta(min_length=1, max_length=1024, pattern=_CLAIM_PATTERN)]


class Claims(Struct, frozen=True):
    """What a token says, as it is spelled on the wire; other claims are left alone."""

    organizationId: _Claim  # noqa: N815  # wire name
    role: _Claim
    plan: _Claim
    sub: _Claim
    email: _Claim | None = None
    name: _Claim | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who proved to be who they are; what they may do is `authorize`'s to say."""

    organization_id: str
    role: str
    plan: str
    subject: str
    email: str | None = None
    name: str | None = None
    scopes: tuple[str, ...] | None = None
    """What an API token may ask for; None for a person."""
    on_behalf_of: str | None = None
    """Who made that token."""

    @property
    def is_token(self) -> bool:
        """Whether it is a machine with an API token, and so has no role."""
        return self.scopes is not None


def verifier(settings: WebSettings) -> Callable[[str | None], Reader]:
    """Return the function that turns an `Authorization` header into a `Reader`.

    The function is thread-safe and raises `TokenError`, or `UnavailableError` when the keys of a
    JWKS cannot be fetched.
    """
    key_of = _key_finder(settings)
    accepted = list(algorithms(settings))
    proofs = Proofs()
    called = claim_paths(settings)

    def verify(authorization: str | None) -> Reader:
        token = bearer_token(authorization)
        return proofs.find(token, key_of) or prove(token)

    def prove(token: str) -> Reader:
        now = time.time()
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in accepted:
                # Refused before any key is looked for: a token must not make us fetch one.
                raise TokenError("token_invalid", "its algorithm is not accepted here")
            key = key_of(header)
            payload = jwt.decode(
                token,
                key,
                algorithms=accepted,
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_seconds,
                options={
                    "require": ["exp"],
                    "verify_aud": settings.audience is not None,
                    "enforce_minimum_key_length": True,
                },
            )
        except ExpiredSignatureError:
            raise TokenError("token_expired", "it expired; sign in again") from None
        except PyJWTError as error:
            raise TokenError("token_invalid", _reason(error)) from None
        reader = read_claims(rename_claims(payload, settings), called)
        # Whole seconds, as PyJWT takes them (RFC 7519, section 2, allows a fraction).
        expires_at = int(payload["exp"]) + settings.leeway_seconds
        proofs.keep(token, Proof(reader, header, key, now, expires_at))
        return reader

    return verify


def read_api_token(header: str | None) -> str | None:
    """Take an API token out of an `Authorization` header; None where it has none."""
    match = None if header is None else _API_TOKEN.match(header.strip())
    return None if match is None else match[1]


def bearer_token(header: str | None) -> str:
    """Take the token out of an `Authorization` header (RFC 6750, section 2.1)."""
    if header is None or not header.strip():
        raise TokenError("token_missing", "send the header Authorization: Bearer <token>")
    match = _BEARER.match(header.strip())
    if match is None:
        raise TokenError("token_invalid", "the Authorization header is not one bearer JWT")
    return match[1]


def read_claims(payload: object, called: Mapping[str, str] = _OUR_NAMES) -> Reader:
    """Read the claims of a verified token; an organisation of our own (`_…`) is no one's.

    Args:
        payload: claims under the names that we use.
        called: how whoever made the token calls them.
    """
    try:
        claims = msgspec.convert(payload, Claims)
    except msgspec.ValidationError as error:
        missing = _names_missing(str(error))
        claim = missing[1] if missing else str(error).rpartition("$.")[2].rstrip("`")
        problem = "missing" if missing else "not usable"
        reason = f"its claim {called.get(claim, claim)} is {problem}"
        raise TokenError("token_invalid", reason) from None
    if claims.organizationId.startswith(RESERVED_PREFIX):
        raise TokenError("token_invalid", "its organisation is reserved")
    return Reader(
        organization_id=claims.organizationId,
        role=claims.role,
        plan=claims.plan,
        subject=claims.sub,
        email=claims.email,
        name=claims.name,
    )


def authorize(reader: Reader, settings: WebSettings) -> None:
    """Let pass who has a role that reads, on an allowed plan; refuse others with `ForbiddenError`.

    A machine has no role: its API token was made by somebody who had one.
    """
    reading = (*settings.allowed_roles, *settings.auditor_roles)
    if not reader.is_token and reader.role not in reading:
        roles = " or ".join(reading)
        raise ForbiddenError("role_not_allowed", f"this needs the role {roles}")
    if reader.plan not in settings.allowed_plans:
        plans = " or ".join(settings.allowed_plans)
        raise ForbiddenError("plan_not_allowed", f"this needs the plan {plans}")


def _key_finder(settings: WebSettings) -> Callable[[Mapping[str, object]], "jwt.PyJWK | str"]:
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.reveal()
        return lambda _header: secret
    keys = KeySet(partial(fetch_document, settings.jwks_url or ""), settings.jwks_stale_seconds)

    def find(header: Mapping[str, object]) -> jwt.PyJWK:
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise TokenError("token_invalid", "it does not name its key (kid)")
        key = keys.find(key_id)
        if key.algorithm_name != header["alg"]:
            raise TokenError("token_invalid", "its algorithm is not that of its key")
        return key

    return find


def _reason(error: PyJWTError) -> str:
    """Say what is wrong without repeating what the token says."""
    reasons = {
        "InvalidSignatureError": "its signature does not match",
        "ImmatureSignatureError": "it is not valid yet",
        "InvalidAudienceError": "it is for another audience",
        "InvalidIssuerError": "it is of another issuer",
        "InvalidAlgorithmError": "its algorithm is not accepted here",
    }
    claim = getattr(error, "claim", None)
    if isinstance(claim, str):
        return f"its claim {claim} is missing"
    return reasons.get(type(error).__name__, "it is malformed")
