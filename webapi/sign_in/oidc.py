"""Signing in by OpenID Connect: the authorization code flow with PKCE, state and nonce.

What belongs to one attempt is kept in the browser's own signed session, so any worker can finish
it, and another browser cannot: it has no state that fits. An attempt is over when the browser comes
back, whatever came of it.
"""

import re
import secrets
import time
from http import HTTPStatus
from typing import Final, cast

import msgspec
from flask import Blueprint, Flask, current_app, redirect, request, session
from werkzeug.wrappers import Response

from webapi.errors import ProblemError, TokenError
from webapi.page import refusal
from webapi.parts import parts
from webapi.settings import WebSettings, public_url
from webapi.sign_in.destination import safe_destination
from webapi.sign_in.identity import read_identity
from webapi.sign_in.provider import CALLBACK, Flow, Provider
from webapi.sign_in.record import note_failure
from webapi.sign_in.session import SIGN_IN, sign_in

START: Final = f"{SIGN_IN}/oidc"
SIGN_OUT: Final = "/sign-out/provider"
FLOW: Final = "oidc"
FLOW_SECONDS: Final = 600
EXTENSION: Final = "indelible provider"

_ERROR: Final = re.compile(r"[a-z_]{1,64}")

blueprint: Final = Blueprint("oidc", __name__)
blueprint.register_error_handler(ProblemError, refusal.respond)


def install(app: Flask, settings: WebSettings) -> None:
    """Offer the provider of the settings, if they name one."""
    if settings.oidc_issuer is not None:
        app.extensions[EXTENSION] = Provider(settings)
        app.register_blueprint(blueprint)


@blueprint.get(START)
def start() -> Response:
    """Send the browser to the provider."""
    flow = Flow(
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        destination=safe_destination(request.args.get("next")),
        at=int(time.time()),
    )
    url = _provider().authorization_url(flow)
    session[FLOW] = msgspec.to_builtins(flow)
    return redirect(url, HTTPStatus.SEE_OTHER)


@blueprint.get(CALLBACK)
def come_back() -> Response:
    """Take what the browser brings back, and sign in whom the provider names."""
    try:
        return _sign_in(_end_flow())
    except ProblemError as error:
        note_failure("oidc", error.detail)
        raise


def _sign_in(flow: Flow) -> Response:
    _check_issuer()
    code = request.args.get("error")
    if code is not None:
        # Anybody can write the words of an error into a link; its code is from a short alphabet.
        said = f" ({code})" if _ERROR.fullmatch(code) else ""
        raise ProblemError("sign_in_failed", f"the identity provider did not sign you in{said}")
    claims = _provider().claims(request.args.get("code", ""), flow)
    try:
        reader = read_identity(claims, parts().settings)
    except TokenError as error:
        raise ProblemError(
            "sign_in_failed",
            f"what the identity provider says of you is not enough: {error.detail}",
        ) from None
    sign_in(reader, "oidc")
    return redirect(flow.destination, HTTPStatus.SEE_OTHER)


@blueprint.get(SIGN_OUT)
def sign_out_there() -> Response:
    """Send the browser, which is signed out here, to sign out of the provider."""
    url = _provider().sign_out_url(public_url(parts().settings) + SIGN_IN)
    if url is None:
        raise ProblemError("sign_out_not_offered", "the identity provider offers no signing out")
    return redirect(url, HTTPStatus.SEE_OTHER)


def _end_flow() -> Flow:
    """Take the attempt out of the session, if it is the one of this request.

    Raises:
        ProblemError: the browser did not begin it here, or too long ago.
    """
    try:
        flow = msgspec.convert(session.pop(FLOW, None), Flow)
    except msgspec.ValidationError:
        raise _not_begun() from None
    said = request.args.get("state", "")
    if not secrets.compare_digest(said.encode(), flow.state.encode()):
        raise _not_begun()
    if not 0 <= time.time() - flow.at <= FLOW_SECONDS:
        raise ProblemError("sign_in_failed", "signing in took too long; begin again")
    return flow


def _check_issuer() -> None:
    """Refuse the answer of another provider (RFC 9207, section 2.4)."""
    said = request.args.get("iss")
    known = _provider().metadata()
    must = known.authorization_response_iss_parameter_supported
    if (said is None and must) or (said is not None and said != known.issuer):
        raise ProblemError("sign_in_failed", "the answer came from another identity provider")


def _provider() -> Provider:
    return cast("Provider", current_app.extensions[EXTENSION])


def _not_begun() -> ProblemError:
    return ProblemError("sign_in_failed", "signing in was not begun in this browser; begin again")
