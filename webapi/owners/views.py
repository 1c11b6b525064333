"""The addresses of the owners' pages."""

from datetime import UTC, datetime
from typing import Final

from flask import Blueprint, Response, g

from webapi.answering import record_read
from webapi.errors import ProblemError
from webapi.owners.holds import place_command, read_holds, show_holds
from webapi.owners.log_state import most_of, read_log_state
from webapi.page import document, refusal
from webapi.parts import parts, reader
from webapi.sign_in.session import require_owner

PATH: Final = "/settings/access-control"

blueprint: Final = Blueprint("owners", __name__, url_prefix=PATH, template_folder="templates")
blueprint.register_error_handler(ProblemError, refusal.respond)


@blueprint.before_request
def _know_the_owner() -> None:
    g.reader = require_owner()


@blueprint.get("/legal-holds")
def list_holds() -> Response:
    """Show the holds of the organisation, and how to place and release them."""
    storage, index, organization_id = parts().storage, parts().index, reader().organization_id
    holds = read_holds(storage, index, organization_id)
    names = storage.list_indices()
    record_read([("page", "legal-holds")], events=0)
    view = {
        "active": show_holds(holds.active, names, index),
        "released": show_holds(holds.released, (), index),
        "place_command": place_command(organization_id),
    }
    return document.render("owners/holds.html", reader(), view)


@blueprint.get("/log-state")
def show_log_state() -> Response:
    """Show how the log is."""
    now, index = datetime.now(UTC), parts().index
    listed = parts().storage.list_indices()
    state = read_log_state(parts().reading, listed, index, reader().organization_id, now)
    record_read([("page", "log-state")], events=0)
    view = {"state": state, "index": index, "now": now, "most": most_of(state.days)}
    return document.render("owners/log_state.html", reader(), view)
