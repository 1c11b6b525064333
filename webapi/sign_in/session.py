"""Who is signed in, from the session cookie alone.

    sign_in       a fresh session id; what was there before is ended
    each request  signature, idle time, absolute time, not ended, then role and plan
    sign_out      the cookie is deleted and the session's id remembered as ended (`marks`)

The cookie is the session: no server keeps it, and every worker can verify it. What that cannot do:
a role or plan that changes at the provider counts from the next sign-in, so at the latest after
`web.session_seconds`; and without `web.state_directory` a copy of the cookie that somebody took
lives on after its owner signed out. A new `web.session_secret` ends all sessions at once.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Final, Literal, NoReturn, TypeAlias, cast
from urllib.parse import urlencode

import msgspec
from flask import abort, g, redirect, request, session
from flask.sessions import SessionMixin
from msgspec import Struct

from webapi.access import enter
from webapi.auth import Reader
from webapi.errors import ForbiddenError, ProblemError, TokenError, UnavailableError
from webapi.page import document
from webapi.page.navigation import OWNER
from webapi.parts import parts
from webapi.settings import WebSettings
from webapi.sign_in.cookie import (
    MAX_COOKIE_BYTES,
    cookie_serializer,
    new_session_id,
    session_id,
)
from webapi.sign_in.destination import HOME
from webapi.sign_in.marks import Marks
from webapi.sign_in.proxy import read_proxied
from webapi.sign_in.record import record_sign_in

SIGN_IN: Final = "/sign-in"
SEEN_SECONDS: Final = 60
"""How often a request makes the cookie younger."""

Method: TypeAlias = Literal["link", "oidc", "proxy"]


class SignedIn(Struct, frozen=True, kw_only=True):
    """What the cookie says of somebody who is signed in.

    Args:
        reader: who it is.
        method: how that was proved.
        at: when, in seconds since the epoch.
        seen: when the cookie was written last, to within `SEEN_SECONDS` of the last request.
    """

    reader: Reader
    method: Method
    at: int
    seen: int


def signed_in() -> SignedIn | None:
    """Return who is signed in here, whatever they may see; None when nobody is.

    Raises:
        UnavailableError: whether the session was ended cannot be told.
        ProblemError: a trusted proxy says what it cannot mean.
    """
    if "viewer" not in g:
        try:
            g.viewer = _look()
        except TokenError as error:
            raise ProblemError("sign_in_failed", error.detail) from None
    return cast("SignedIn | None", g.viewer)


def require_reader() -> Reader:
    """Return the owner or admin who is signed in; else answer instead of the view.

    Whoever is not signed in is sent to the sign-in page and back here; a fragment gets a 401
    (`session_missing`). A member, or a plan without audit logs, gets a 403 that says why.
    """
    found = signed_in()
    if found is None:
        _ask_to_sign_in()
    try:
        enter(found.reader, at_page=True)
    except ForbiddenError as error:
        _refuse(error, found.reader)
    return found.reader


def require_owner() -> Reader:
    """Return the owner who is signed in; an admin gets a 403, all others as `require_reader`."""
    reader = require_reader()
    if reader.role != OWNER:
        if not _is_navigation():
            raise ForbiddenError("role_not_allowed", "this page needs the role owner")
        view = {"person": reader}
        abort(document.render("sign_in/owners_only.html", reader, view, HTTPStatus.FORBIDDEN))
    return reader


def sign_in(reader: Reader, method: Method) -> None:
    """Begin a session for `reader`; the one before, if any, is ended.

    Raises:
        ProblemError: `session_too_large`: no browser would keep the cookie.
        UnavailableError: the session before cannot be ended, or this one not be recorded.
    """
    data = session_data(reader, method, now=int(time.time()))
    if len(cookie_serializer(parts().settings).dumps(data)) > MAX_COOKIE_BYTES:
        raise ProblemError("session_too_large", "the names and ids of this person are too long")
    record_sign_in(reader, method)
    end_session()
    session.update(data)
    g.viewer = _read(session)


def end_session() -> None:
    """End the session of this browser, so that no copy of its cookie is taken any more.

    Raises:
        UnavailableError: it cannot be remembered; the browser's own cookie goes all the same.
    """
    was_signed_in, ended = "reader" in session, session_id()
    session.clear()
    g.viewer = None
    marks = ended_sessions()
    if was_signed_in and marks is not None:
        try:
            marks.put(ended)
        except (OSError, ValueError) as error:
            raise no_state() from error


def session_data(reader: Reader, method: Method, *, now: int) -> dict[str, object]:
    """Return what the cookie of a fresh session holds. Instants are seconds since the epoch."""
    person = {name: value for name, value in asdict(reader).items() if value is not None}
    return {"id": new_session_id(), "reader": person, "method": method, "at": now, "seen": now}


def ended_sessions() -> Marks | None:
    """Return where ended sessions are remembered; None without `web.state_directory`."""
    directory = parts().settings.state_directory
    if directory is None:
        return None
    # A clock may go back a little, and a mark must outlive what it ends.
    keep_seconds = 2 * parts().settings.session_seconds
    return Marks(directory / "ended-sessions", keep_seconds)


def _look() -> SignedIn | None:
    proxied = read_proxied(request.environ, parts().settings)
    found = _look_at_cookie()
    if proxied is None:
        # Who came by the proxy's word is here as long as that is said.
        return None if found is not None and found.method == "proxy" else found
    if found is None or (found.reader, found.method) != (proxied, "proxy"):
        sign_in(proxied, "proxy")
        return _read(session)
    return found


def _look_at_cookie() -> SignedIn | None:
    found = _read(session)
    now = int(time.time())
    if found is None or not is_alive(found, parts().settings, now):
        return None
    marks = ended_sessions()
    try:
        if marks is not None and marks.has(session_id()):
            return None
    except (OSError, ValueError) as error:
        raise no_state() from error
    if now - found.seen >= SEEN_SECONDS:
        session["seen"] = now
    return found


def is_alive(found: SignedIn, settings: WebSettings, now: int) -> bool:
    """Whether neither the absolute nor the idle time of a session has passed. Pure."""
    return (
        now < found.at + settings.session_seconds
        and now < found.seen + settings.session_idle_seconds
    )


def _read(data: SessionMixin | Mapping[str, object]) -> SignedIn | None:
    try:
        return msgspec.convert(dict(data), SignedIn)
    except msgspec.ValidationError:
        # Not signed in yet, or a cookie of another version of this program.
        return None


def _is_navigation() -> bool:
    """Whether a person waits for a page, and not a script for a piece of one."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate"
    return "X-Requested-With" not in request.headers and request.accept_mimetypes.accept_html


def _ask_to_sign_in() -> NoReturn:
    if not _is_navigation():
        raise ProblemError("session_missing", "nobody is signed in; load the page again")
    asked = request.full_path.removesuffix("?") if request.method == "GET" else HOME
    abort(redirect(f"{SIGN_IN}?{urlencode({'next': asked})}", HTTPStatus.SEE_OTHER))


def _refuse(error: ForbiddenError, reader: Reader) -> NoReturn:
    if not _is_navigation():
        raise error
    view = {"refusal": error, "person": reader}
    abort(document.render("sign_in/refused.html", None, view, HTTPStatus.FORBIDDEN))


def no_state() -> UnavailableError:
    """Return the refusal where nobody can tell what was used up or ended, or remember it."""
    return UnavailableError("session_unavailable", "the state of sessions cannot be read or kept")
