"""Against forged requests: what changes something must have been asked for by a page of ours.

Every request that is no GET or HEAD needs the token that the form was given (RFC 9110, section
9.2.1: the others are safe). The token is the session's own random id, signed; another site can
neither read it nor make the browser send it, and after signing in or out it is another one. The
cookie's SameSite=Lax and the check of `Sec-Fetch-Site` stand in front of it.

The API is left out: it takes bearer tokens, which no browser sends by itself, and no cookie.
"""

import hmac
from typing import Final

from flask import Flask, request, session
from itsdangerous import BadSignature, URLSafeTimedSerializer

from webapi.errors import ProblemError
from webapi.sign_in.cookie import session_id, signer

FIELD: Final = "csrf_token"
HEADER: Final = "X-CSRF-Token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
API: Final = "/api/"

_PURPOSE: Final = "indelible csrf 1"


def install(app: Flask, key: bytes) -> None:
    """Let `app` refuse forged requests, and its templates call `csrf_token()`."""
    tokens = signer(key, _PURPOSE)
    app.before_request(lambda: refuse_forged(tokens))
    app.context_processor(lambda: {"csrf_token": lambda: tokens.dumps(session_id())})


def refuse_forged(tokens: URLSafeTimedSerializer) -> None:
    """Refuse a request that changes something and that no page of ours made.

    Raises:
        ProblemError: `request_forged`; `session_missing` where the page's session is over.
    """
    if request.method in SAFE_METHODS or request.path.startswith(API):
        return
    if request.endpoint is None:
        return  # there is nothing that could change
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise _forged()
    given = request.form.get(FIELD) or request.headers.get(HEADER) or ""
    try:
        named: object = tokens.loads(given)
    except BadSignature:
        raise _forged() from None
    # A page of ours, and no cookie: it expired meanwhile, or was never kept.
    if "id" not in session:
        raise ProblemError(
            "session_missing",
            "the session of that page has ended, or the browser keeps no cookies; nothing was"
            " changed",
        )
    # A new session has an id that nobody was given yet.
    if not hmac.compare_digest(str(named), session_id()):
        raise _forged()


def _forged() -> ProblemError:
    return ProblemError(
        "request_forged",
        "it came from an old page or from another site, or the browser keeps no cookies; go back"
        " and load the page again",
    )
