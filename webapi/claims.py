"""Where in a token its organisation, role and plan stand, by the settings. Pure."""

from collections.abc import Mapping
from typing import cast

from webapi.settings import WebSettings


def claim_paths(settings: WebSettings) -> dict[str, str]:
    """Return for each name that we use how the settings call that claim of a token."""
    return {
        "organizationId": settings.organization_claim,
        "role": settings.role_claim,
        "plan": settings.plan_claim,
        "sub": settings.subject_claim,
        "email": settings.email_claim,
        "name": settings.name_claim,
    }


def rename_claims(payload: Mapping[str, object], settings: WebSettings) -> dict[str, object]:
    """Return the claims of a token under the names that we use; what is not there stays away."""
    found = {name: find_claim(payload, path) for name, path in claim_paths(settings).items()}
    found["role"] = choose_role(found["role"], settings)
    return {name: value for name, value in found.items() if value is not None}


def choose_role(said: object, settings: WebSettings) -> object:
    """Return the one role that counts of what is said, which may be a list, as groups are.

    The first that may read, in the order of the settings and not of the provider.
    """
    roles = cast("list[object]", said) if isinstance(said, list) else [said]
    allowed = (*settings.allowed_roles, *settings.auditor_roles)
    return next((role for role in allowed if role in roles), roles[0] if roles else None)


def find_claim(payload: Mapping[str, object], path: str) -> object:
    """Return a claim by its name, or where there is none by its path through objects (`a.b`).

    A name may have dots of its own (`https://id.example/claims`), so every dot is tried as the one
    behind a name, the longest name first. None where there is nothing.
    """
    if path in payload:
        return payload[path]
    name = path
    while "." in name:
        name, _, _ = name.rpartition(".")
        inner = payload.get(name)
        if isinstance(inner, Mapping):
            return find_claim(cast("Mapping[str, object]", inner), path[len(name) + 1 :])
    return None
