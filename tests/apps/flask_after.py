"""A small Flask application: who is signed in gives members another role."""

from flask import Flask, abort, g, request

import audit_events
from audit_events.integrations.flask import init_app
from tests.apps.directory import change_role, find_user

app = Flask(__name__)
log = audit_events.configure("audit.log", service="members")
init_app(app, actor=lambda: {"type": "user", "id": g.user.id}, organization_id=lambda: g.user.org)


@app.before_request
def sign_in() -> None:
    g.user = find_user(request.headers.get("Authorization", "")) or abort(401)


@app.patch("/members/<member_id>")
def patch_member(member_id: str) -> str:
    role = request.form["role"]
    change_role(member_id, role)
    log.info("member.role_changed", target_user={"id": member_id}, context={"new": {"role": role}})
    return f"{member_id} is {role}"
