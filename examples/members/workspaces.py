"""Views for what members work in: the organisation, its workspaces and its apps."""

import uuid

from flask import Blueprint, Response, jsonify

from examples.members.session import (
    as_resource,
    as_target,
    attempt,
    audit,
    directory,
    field,
    sign_in,
)

DEPLOYERS = ("owner", "admin", "deploy")

routes = Blueprint("workspaces", __name__)


@routes.get("/organization")
def show_organization() -> Response:
    """Show members, invitations, workspaces and apps of the caller's organisation."""
    own = sign_in()
    return jsonify(
        members=directory().members(own),
        invitations=directory().invitations(own),
        workspaces=[
            {"id": one.id, "name": one.name, "members": directory().workspace_members(one.id)}
            for one in directory().workspaces(own)
        ],
        apps=directory().apps(own),
    )


@routes.put("/workspaces/<uuid:workspace_id>/members/<uuid:member_id>")
def add_to_workspace(workspace_id: uuid.UUID, member_id: uuid.UUID) -> tuple[Response, int]:
    """Add a member to a workspace."""
    with directory().changing():
        own = sign_in()
        workspace = directory().workspace(own, str(workspace_id))
        member = directory().member(own, str(member_id))
        attempt("workspace_member.added", target=member, resource=as_resource(workspace))
        directory().join(workspace, member)
        audit().info(
            "workspace_member.added",
            target_user=as_target(member),
            resource=as_resource(workspace),
            context={"new": {"workspace": workspace.name, "role": member.role}},
        )
    return jsonify(workspace), 201


@routes.delete("/workspaces/<uuid:workspace_id>/members/<uuid:member_id>")
def remove_from_workspace(workspace_id: uuid.UUID, member_id: uuid.UUID) -> tuple[Response, int]:
    """Remove a member from a workspace."""
    with directory().changing():
        own = sign_in()
        workspace = directory().workspace(own, str(workspace_id))
        member = directory().member(own, str(member_id))
        attempt("workspace_member.removed", target=member, resource=as_resource(workspace))
        directory().leave(workspace, member)
        audit().info(
            "workspace_member.removed",
            target_user=as_target(member),
            resource=as_resource(workspace),
            context={"previous": {"workspace": workspace.name, "role": member.role}},
        )
    return jsonify(workspace), 200


@routes.post("/apps")
def create_app() -> tuple[Response, int]:
    """Create an app."""
    with directory().changing():
        own, name = sign_in(), field("name")
        within = {"type": "organization", "id": own}
        attempt("app.created", resource=within, context={"new": {"name": name}})
        app = directory().create_app(own, name)
        audit().info(
            "app.created",
            resource=as_resource(app),
            context={"new": {"name": app.name, "status": app.status}},
        )
    return jsonify(app), 201


@routes.post("/apps/<uuid:app_id>/publish")
def publish_app(app_id: uuid.UUID) -> tuple[Response, int]:
    """Publish the next version of an app."""
    with directory().changing():
        app = directory().app(sign_in(), str(app_id))
        attempt("app.published", resource=as_resource(app), roles=DEPLOYERS)
        published = directory().publish(app)
        audit().info(
            "app.published",
            resource=as_resource(app),
            context={
                "previous": {"version": app.version, "status": app.status},
                "new": {"version": published.version, "status": published.status},
            },
        )
    return jsonify(published), 200


@routes.delete("/apps/<uuid:app_id>")
def delete_app(app_id: uuid.UUID) -> tuple[Response, int]:
    """Delete an app."""
    with directory().changing():
        app = directory().app(sign_in(), str(app_id))
        attempt("app.deleted", resource=as_resource(app))
        directory().delete_app(app)
        audit().info(
            "app.deleted",
            resource=as_resource(app),
            context={"previous": {"name": app.name, "version": app.version}},
        )
    return jsonify(app), 200
