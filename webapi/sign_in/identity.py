"""What a provider or a proxy says of a person becomes a `Reader`. Pure.

They spell organisation, role and plan their own way: the settings name their words, and what is
not there is never guessed.
"""

from webapi.auth import Reader, read_claims
from webapi.claims import choose_role, find_claim
from webapi.errors import TokenError
from webapi.settings import WebSettings

NAMES = ("name", "preferred_username")


def read_identity(claims: dict[str, object], settings: WebSettings) -> Reader:
    """Return whom the claims of a verified ID token tell of.

    An address that the provider says is not verified is left out: anybody could have typed it.

    Raises:
        TokenError: one that is needed is missing, or of a shape that no event could hold.
    """
    role = _take(claims, settings.oidc_role_claim)
    payload: dict[str, object] = {
        "organizationId": _take(claims, settings.oidc_organization_claim),
        "role": choose_role(role, settings),
        "plan": _take(claims, settings.oidc_plan_claim),
        "sub": _take(claims, "sub"),
        "name": next((claims[name] for name in NAMES if claims.get(name)), None),
    }
    if claims.get("email_verified", True) in (True, "true"):
        payload["email"] = claims.get("email") or None
    return read_claims({name: value for name, value in payload.items() if value is not None})


def _take(claims: dict[str, object], path: str) -> object:
    found = find_claim(claims, path)
    if found in (None, "", []):
        raise TokenError("token_invalid", f"its claim {path} is missing")
    return found
