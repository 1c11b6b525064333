"""The addresses of the owners' pages."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapi.answering import record_read
from webapi.errors import MissingError, ParametersError, ProblemError
from webapi.kinds import asks
from webapi.owners import tokens_page
from webapi.owners.holds import place_command, read_holds, show_holds
from webapi.owners.log_state import most_of, read_log_state
from webapi.page import document, refusal
from webapi.parts import parts, reader
from webapi.sign_in.session import require_owner
from webapi.token_request import check
from webapi.token_routes import api_tokens
from webapi.token_text import ID_PATTERN

PATH: Final = "/settings/access-control"

blueprint: Final = Blueprint("owners", __name__, url_prefix=PATH, template_folder="templates")
blueprint.register_error_handler(ProblemError, refusal.respond)


@blueprint.before_request
def _know_the_owner() -> None:
    require_owner()


@blueprint.route("/api-tokens", methods=["GET", "POST"])
@asks("tokens")
def list_tokens() -> Response:
    """Show the tokens of the organisation and a form to make one, or what came of that."""
    return create_token() if request.method == "POST" else tokens_page.show_tokens()


def create_token() -> Response:
    """Make a token, and show it this once; or show what is wrong with what was asked for."""
    asked = {
        "name": request.form.get("name", ""),
        "scopes": request.form.getlist("scopes"),
        "expiresInDays": tokens_page.number(request.form.get("expiresInDays", "")),
    }
    try:
        wanted = check(asked)
    except ParametersError as error:
        return tokens_page.show_tokens(asked=asked, problems=error.problems)
    return tokens_page.show_tokens(made=api_tokens(reader()).create(reader(), wanted))


@blueprint.post("/api-tokens/<token_id>/revoke")
@asks("tokens")
def revoke_token(token_id: str) -> AnyResponse:
    """Revoke a token of the organisation; another one's is as absent as one that never was."""
    if re.fullmatch(ID_PATTERN, token_id, re.ASCII) is None:
        raise MissingError("token_not_found", "the id is not one of a token")
    api_tokens(reader()).revoke(reader(), token_id)
    return redirect(url_for("owners.list_tokens", revoked=token_id), HTTPStatus.SEE_OTHER)


@blueprint.get("/legal-holds")
@asks("list")
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
        "now": datetime.now(UTC),
    }
    return document.render("owners/holds.html", reader(), view)


@blueprint.get("/log-state")
@asks("list")
def show_log_state() -> Response:
    """Show how the log is."""
    now, index = datetime.now(UTC), parts().index
    listed = parts().storage.list_indices()
    state = read_log_state(parts().reading, listed, index, reader().organization_id, now)
    record_read([("page", "log-state")], events=0)
    view = {"state": state, "index": index, "now": now, "most": most_of(state.days)}
    return document.render("owners/log_state.html", reader(), view)
