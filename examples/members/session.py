"""What every request has in common: who asks, and what becomes of a refusal.

Who asks is a demo header, `X-Demo-User: <e-mail>` or `X-Demo-Key: <key>`, where a real application
has its session. What is attempted is remembered, so that a refusal is recorded as well.
"""

from collections.abc import Collection, Mapping
from typing import Final, cast

from flask import Response, current_app, g, jsonify, request
from structlog.typing import FilteringBoundLogger

import audit_events
from examples.members.directory import App, Directory, Invitation, Member, Refusal, Workspace
from examples.members.people import ADMINISTRATORS, ORGANIZATIONS

DEPLOY_KEYS: Final = {organization.deploy_key: organization for organization in ORGANIZATIONS}
MOST_CHARACTERS: Final = 200


class Unauthorized(Refusal):
    """Nobody, or nobody known, is asking."""

    status = 401


class Denied(Refusal):
    """Whoever asks may not do this."""

    status = 403


def audit() -> FilteringBoundLogger:
    """Return the audit log of this process."""
    return audit_events.get_logger()


def directory() -> Directory:
    """Return the directory of this application."""
    found: Directory = current_app.extensions["members.directory"]
    return found


def sign_in() -> str:
    """Find out who asks, bind them as the actor, and return their organisation's id."""
    key = DEPLOY_KEYS.get(request.headers.get("X-Demo-Key", ""))
    if key is not None:
        actor = {"type": "api_key", "id": key.deploy_key, "name": "Deploy pipeline"}
        audit_events.bind_actor(actor, organization_id=key.id)
        g.role = "deploy"
        return key.id
    member = directory().member_by_email(request.headers.get("X-Demo-User", ""))
    if member is None:
        raise Unauthorized("say who you are: X-Demo-User with the e-mail of an active member")
    audit_events.bind_actor(as_actor(member), organization_id=member.organization_id)
    g.role = member.role
    return member.organization_id


def attempt(
    action: str,
    *,
    target: Member | Invitation | str | None = None,
    resource: dict[str, str] | None = None,
    context: Mapping[str, object] | None = None,
    roles: Collection[str] = ADMINISTRATORS,
) -> None:
    """Remember what is attempted, so that a refusal is recorded; then check that they may.

    Who looks into it later asks for whom and what: the target, and in `context` what would have
    changed.

    Raises:
        Denied: the actor's role is none of `roles`.
    """
    g.attempted = (action, as_target(target) if target else None, resource, context or {})
    if g.role not in roles:
        raise Denied(f"only {' and '.join(roles)} may do this")


def refuse(refusal: Refusal) -> tuple[Response, int]:
    """Record what was attempted in vain, and say why it was refused."""
    attempted = g.pop("attempted", None)
    if attempted is not None:
        action, target, resource, context = attempted
        audit().warning(
            action,
            result="denied" if isinstance(refusal, Denied) else "failure",
            target_user=target,
            resource=resource,
            context={**context, "reason": refusal.reason},
        )
    return jsonify(error=refusal.reason), refusal.status


def refuse_unrecorded(error: audit_events.SinkError) -> tuple[Response, int]:
    """Refuse what cannot be recorded; its transaction is undone already."""
    current_app.logger.error("nothing was changed: %s", error)
    return jsonify(error="the audit log cannot be written: nothing was changed"), 503


def as_actor(member: Member) -> dict[str, str]:
    """Say who a member is, for `actor`."""
    return {"type": "user", "id": member.id, "email": member.email, "name": member.name}


def as_target(person: Member | Invitation | str) -> dict[str, str]:
    """Say who is affected, for `target_user`; an invited person has no id yet, but an email."""
    if isinstance(person, str):
        return {"email": person}
    if isinstance(person, Invitation):
        return {"email": person.email}
    return {"id": person.id, "email": person.email, "name": person.name}


def as_resource(thing: Member | Invitation | Workspace | App) -> dict[str, str]:
    """Name what is affected, for `resource`."""
    named = {"type": type(thing).__name__.lower(), "id": thing.id}
    return named if isinstance(thing, Invitation) else {**named, "name": thing.name}


def field(name: str) -> str:
    """Return a text of the request's JSON body.

    Raises:
        Refusal: it is missing, empty or too long.
    """
    body: object = request.get_json(silent=True)
    value: object = cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
    if isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS:
        return value
    raise Refusal(f"{name}: expected a text of 1 to {MOST_CHARACTERS} characters")
