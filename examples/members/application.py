"""The application, put together.

The integration binds from where and with what a request comes, `session.py` who acts; each view
says what it changed (`membership.py`, `workspaces.py`). The event is the last step inside the
transaction of a change: when it cannot be written, the change is undone and the caller gets 503.
"""

from flask import Flask, Response, jsonify

import audit_events
from audit_events.integrations.flask import init_app
from examples.members import membership, workspaces
from examples.members.directory import Directory, Refusal
from examples.members.session import refuse, refuse_unrecorded


def create_app(directory: Directory, *, trusted_proxies: int = 0) -> Flask:
    """Make the application; `audit_events.configure()` must have been called in this process.

    Args:
        directory: the members and what belongs to them.
        trusted_proxies: how many proxies of ours stand in front, each of which writes
            `X-Forwarded-For`.
    """
    app = Flask(__name__)
    app.extensions["members.directory"] = directory
    init_app(app, trusted_proxies=trusted_proxies)
    app.register_blueprint(membership.routes)
    app.register_blueprint(workspaces.routes)
    app.add_url_rule("/healthz", view_func=healthz)
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(audit_events.SinkError, refuse_unrecorded)
    return app


def healthz() -> Response:
    """Say that the application answers."""
    return jsonify(status="ok")
