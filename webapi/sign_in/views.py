"""The pages of signing in and out."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, Flask, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from webapi.errors import ProblemError, TokenError
from webapi.page import document, refusal
from webapi.parts import parts
from webapi.settings import WebSettings
from webapi.sign_in import cookie, csrf, oidc
from webapi.sign_in.destination import HOME, safe_destination
from webapi.sign_in.key import derive_key
from webapi.sign_in.marks import Marks
from webapi.sign_in.record import note_failure, record_sign_out
from webapi.sign_in.session import SIGN_IN, end_session, no_state, sign_in, signed_in
from webapi.sign_in.ticket import TICKET_SECONDS, Ticket, read_ticket

ONCE: Final = f"{SIGN_IN}/once"
SIGN_OUT: Final = "/sign-out"
blueprint: Final = Blueprint("sign_in", __name__, template_folder="templates")
blueprint.register_error_handler(ProblemError, refusal.respond)


def install(app: Flask, settings: WebSettings) -> None:
    """Give `app` its sessions, the pages of signing in, and what keeps forged requests out."""
    cookie.install(app, settings)
    csrf.install(app, derive_key(settings, "indelible csrf 1"))
    app.context_processor(lambda: {"sign_out_path": SIGN_OUT})
    app.register_blueprint(blueprint)
    oidc.install(app, settings)


@blueprint.get("/")
def show_front() -> AnyResponse:
    """Send whoever opens the server to the list, which asks to sign in."""
    return redirect(HOME, HTTPStatus.SEE_OTHER)


@blueprint.get(SIGN_IN)
def show_ways() -> AnyResponse:
    """Show how to sign in here; whoever is signed in goes on."""
    settings = parts().settings
    destination = safe_destination(request.args.get("next"))
    signed_out = request.args.get("signed_out") == "1"
    # A proxy's word would sign in again at once who has just signed out.
    if not signed_out and signed_in() is not None:
        return redirect(destination, HTTPStatus.SEE_OTHER)
    view = {
        "signed_out": signed_out,
        "proxy_sign_out_url": settings.proxy_sign_out_url,
        "has_links": settings.state_directory is not None,
        "has_provider": settings.oidc_issuer is not None,
        "has_proxy": bool(settings.trusted_proxy_networks),
        "destination": destination,
    }
    return document.render("sign_in/ways.html", None, view)


@blueprint.get(ONCE)
def show_ticket() -> AnyResponse:
    """Show whom a one-time link signs in, and a button: looking at a link must not use it up.

    Mail scanners, chat previews and browsers that fetch ahead follow links; none presses buttons.
    """
    text = request.args.get("ticket", "")
    try:
        ticket = read_ticket(text, parts().settings)
        used = used_tickets().has(ticket.id)
    except TokenError as error:
        return _link_refused(error.detail)
    except OSError as error:
        raise no_state() from error
    if used:
        return _link_refused("it was used")
    destination = safe_destination(request.args.get("next"))
    view = {"person": ticket.reader, "ticket": text, "destination": destination}
    return document.render("sign_in/once.html", None, view)


@blueprint.post(ONCE)
def use_ticket() -> AnyResponse:
    """Sign in by a ticket, which is used up with it."""
    try:
        ticket = read_ticket(request.form.get("ticket", ""), parts().settings)
    except TokenError as error:
        return _link_refused(error.detail)
    if not _use_up(ticket):
        return _link_refused("it was used")
    sign_in(ticket.reader, "link")
    return redirect(safe_destination(request.form.get("next")), HTTPStatus.SEE_OTHER)


@blueprint.post(SIGN_OUT)
def sign_out() -> AnyResponse:
    """End the session."""
    found = signed_in()
    end_session()
    if found is not None:
        record_sign_out(found.reader, found.method)
    return redirect(f"{SIGN_IN}?signed_out=1", HTTPStatus.SEE_OTHER)


def used_tickets() -> Marks:
    """Return where used tickets are remembered.

    Raises:
        ProblemError: nothing can be remembered here, so no ticket can be taken.
    """
    settings = parts().settings
    if settings.state_directory is None:
        raise ProblemError("links_not_offered", "it needs web.state_directory, which is not set")
    # Twice: the clocks of who makes and who takes a ticket may differ.
    keep_seconds = 2 * (TICKET_SECONDS + settings.leeway_seconds)
    return Marks(settings.state_directory / "used-tickets", keep_seconds)


def _use_up(ticket: Ticket) -> bool:
    try:
        return used_tickets().put(ticket.id)
    except (OSError, ValueError) as error:
        raise no_state() from error


def _link_refused(why: str) -> AnyResponse:
    note_failure("link", why)
    return document.render("sign_in/once_refused.html", None, {"why": why}, HTTPStatus.GONE)
