"""Views for members and invitations."""

import uuid

from flask import Blueprint, Response, jsonify

import audit_events
from examples.members.directory import Missing
from examples.members.session import (
    as_actor,
    as_resource,
    as_target,
    attempt,
    audit,
    directory,
    field,
    sign_in,
)

routes = Blueprint("membership", __name__)


@routes.post("/invitations")
def invite() -> tuple[Response, int]:
    """Invite somebody by mail."""
    with directory().changing():
        own, email, role = sign_in(), field("email"), field("role")
        granted = {"new": {"role": role}}
        within = {"type": "organization", "id": own}
        attempt("member.invited", target=email, resource=within, context=granted)
        invitation = directory().invite(own, email, role)
        audit().info(
            "member.invited",
            target_user=as_target(invitation),
            resource=as_resource(invitation),
            context=granted,
        )
    return jsonify(invitation), 201


@routes.post("/invitations/<uuid:invitation_id>/accept")
def accept(invitation_id: uuid.UUID) -> tuple[Response, int]:
    """Become a member; who has the link is who was invited."""
    with directory().changing():
        invitation, name = directory().invitation(str(invitation_id)), field("name")
        member = directory().accept(invitation, name)
        audit_events.bind_actor(as_actor(member), organization_id=member.organization_id)
        audit().info(
            "member.invite_accepted",
            target_user=as_target(member),
            resource=as_resource(invitation),
            context={"previous": {"status": "invited"}, "new": {"status": "active"}},
        )
    return jsonify(member), 201


@routes.delete("/invitations/<uuid:invitation_id>")
def revoke(invitation_id: uuid.UUID) -> tuple[Response, int]:
    """Take an invitation back."""
    with directory().changing():
        own, invitation = sign_in(), directory().invitation(str(invitation_id))
        if invitation.organization_id != own:
            raise Missing("the invitation is not open any more")
        attempt("member.invite_revoked", target=invitation, resource=as_resource(invitation))
        directory().revoke(invitation)
        audit().info(
            "member.invite_revoked",
            target_user=as_target(invitation),
            resource=as_resource(invitation),
            context={"previous": {"role": invitation.role, "status": "pending"}},
        )
    return jsonify(invitation), 200


@routes.patch("/members/<uuid:member_id>")
def change_role(member_id: uuid.UUID) -> tuple[Response, int]:
    """Give a member another role."""
    with directory().changing():
        member, role = directory().member(sign_in(), str(member_id)), field("role")
        change = {"previous": {"role": member.role}, "new": {"role": role}}
        resource = as_resource(member)
        attempt("member.role_changed", target=member, resource=resource, context=change)
        directory().set_role(member, role)
        audit().info(
            "member.role_changed",
            target_user=as_target(member),
            resource=resource,
            context=change,
        )
    return jsonify(directory().member(member.organization_id, member.id)), 200


@routes.post("/members/<uuid:member_id>/offboard")
def offboard(member_id: uuid.UUID) -> tuple[Response, int]:
    """End a membership."""
    with directory().changing():
        member, reason = directory().member(sign_in(), str(member_id)), field("reason")
        attempt("member.offboarded", target=member, resource=as_resource(member))
        directory().offboard(member)
        audit().info(
            "member.offboarded",
            target_user=as_target(member),
            resource=as_resource(member),
            context={
                "previous": {"status": "active", "role": member.role},
                "new": {"status": "offboarded"},
                "reason": reason,
            },
        )
    return jsonify(directory().member(member.organization_id, member.id)), 200


@routes.post("/members/<uuid:member_id>/reactivate")
def reactivate(member_id: uuid.UUID) -> tuple[Response, int]:
    """Take an offboarded member back."""
    with directory().changing():
        member = directory().member(sign_in(), str(member_id))
        attempt("member.reactivated", target=member, resource=as_resource(member))
        directory().reactivate(member)
        audit().info(
            "member.reactivated",
            target_user=as_target(member),
            resource=as_resource(member),
            context={"previous": {"status": "offboarded"}, "new": {"status": "active"}},
        )
    return jsonify(directory().member(member.organization_id, member.id)), 200
