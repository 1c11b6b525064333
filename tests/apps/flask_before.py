"""A small Flask application: who is signed in gives members another role."""

from flask import Flask, abort, g, request

from tests.apps.directory import change_role, find_user

app = Flask(__name__)


@app.before_request
def sign_in() -> None:
    g.user = find_user(request.headers.get("Authorization", "")) or abort(401)


@app.patch("/members/<member_id>")
def patch_member(member_id: str) -> str:
    role = request.form["role"]
    change_role(member_id, role)
    return f"{member_id} is {role}"
