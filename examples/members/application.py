"""The application, put together.

Who acts is bound once a request (`session.py`), each view says what it changed (`membership.py`,
`workspaces.py`). The audit event is the last step inside the transaction of a change: when it
cannot be written, the change is undone and the caller gets 503.
"""

from collections.abc import Collection

from flask import Flask, Response, jsonify

import audit_events
from examples.members import membership, workspaces
from examples.members.directory import Directory, Refusal
from examples.members.session import bind_request, refuse, refuse_unrecorded


def create_app(directory: Directory, *, trusted_proxies: Collection[str] = ()) -> Flask:
    """Make the application; `audit_events.configure()` must have been called in this process.

    Args:
        directory: the members and what belongs to them.
        trusted_proxies: addresses whose `X-Forwarded-For` is believed; nobody's by default.
    """
    app = Flask(__name__)
    app.extensions["members.directory"] = directory
    app.extensions["members.trusted_proxies"] = frozenset(trusted_proxies)
    app.before_request(bind_request)
    app.register_blueprint(membership.routes)
    app.register_blueprint(workspaces.routes)
    app.add_url_rule("/healthz", view_func=healthz)
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(audit_events.SinkError, refuse_unrecorded)
    return app


def healthz() -> Response:
    """Say that the application answers."""
    return jsonify(status="ok")
