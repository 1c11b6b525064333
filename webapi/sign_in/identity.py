"""What a provider or a proxy says of a person becomes a `Reader`. Pure.

They spell organisation, role and plan their own way: the settings name their words, and what is
not there is never guessed.
"""

from collections.abc import Sequence
from typing import cast

from webapi.auth import Reader, read_claims
from webapi.errors import TokenError
from webapi.settings import WebSettings

NAMES = ("name", "preferred_username")


def read_identity(claims: dict[str, object], settings: WebSettings) -> Reader:
    """Return whom the claims of a verified ID token tell of.

    A role may stand in a list, as groups do: the first of `allowed_roles` that is in it counts, so
    the order of the settings decides and not the provider's. An address that the provider says is
    not verified is left out: anybody could have typed it.

    Raises:
        TokenError: one that is needed is missing, or of a shape that no event could hold.
    """
    role = _take(claims, settings.oidc_role_claim)
    payload: dict[str, object] = {
        "organizationId": _take(claims, settings.oidc_organization_claim),
        "role": choose_role(role, settings.allowed_roles),
        "plan": _take(claims, settings.oidc_plan_claim),
        "sub": _take(claims, "sub"),
        "name": next((claims[name] for name in NAMES if claims.get(name)), None),
    }
    if claims.get("email_verified", True) in (True, "true"):
        payload["email"] = claims.get("email") or None
    return read_claims({name: value for name, value in payload.items() if value is not None})


def choose_role(said: object, allowed: Sequence[str]) -> object:
    """Return the one role that counts of what is said, which may be a list, not empty."""
    if not isinstance(said, list):
        return said
    roles = cast("list[object]", said)
    return next((role for role in allowed if role in roles), roles[0])


def _take(claims: dict[str, object], path: str) -> object:
    found = _find(claims, path)
    if found in (None, "", []):
        raise TokenError("token_invalid", f"its claim {path} is missing")
    return found


def _find(claims: dict[str, object], path: str) -> object:
    """Return a claim by its name, or by its path through objects where it has none (`a.b`)."""
    if path in claims:
        return claims[path]
    name, _, rest = path.partition(".")
    inner = claims.get(name)
    if not rest or not isinstance(inner, dict):
        return None
    return _find(cast("dict[str, object]", inner), rest)
