"""The session cookie: signed, never secret; what it says its owner may read.

Flask's own session with HMAC-SHA-256 and a key that has this one purpose. Without a signature that
holds, and later than the idle time after it was written last, it is as if there were none.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Final

from flask import Flask, session
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from typing_extensions import override

from webapi.settings import WebSettings
from webapi.sign_in.key import derive_key

MAX_COOKIE_BYTES: Final = 3800
"""Browsers drop a cookie over 4,096 bytes with its name and attributes (RFC 6265, section 6.1)."""

_PURPOSE: Final = "indelible session 1"


class SignedCookie(SecureCookieSessionInterface):
    """Flask's session, signed by `serializer`."""

    def __init__(self, serializer: URLSafeTimedSerializer) -> None:
        self._serializer = serializer

    @override
    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer:
        return self._serializer


def install(app: Flask, settings: WebSettings) -> None:
    """Give `app` its session."""
    app.session_interface = SignedCookie(cookie_serializer(settings))
    configured: dict[str, object] = {
        "SESSION_COOKIE_NAME": cookie_name(settings),
        "SESSION_COOKIE_SECURE": settings.cookie_secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        # Written when something changes: an answer that comes late must not bring back a session
        # that was ended meanwhile.
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": timedelta(seconds=settings.session_idle_seconds),
    }
    app.config.from_mapping(configured)


def cookie_name(settings: WebSettings) -> str:
    """Return the cookie's name; with `__Host-` no other host or path can set it (RFC 6265bis)."""
    return "__Host-indelible" if settings.cookie_secure else "indelible"


def cookie_serializer(settings: WebSettings) -> URLSafeTimedSerializer:
    """Return what writes and reads the cookie's value."""
    return signer(derive_key(settings, _PURPOSE), _PURPOSE)


def signer(key: bytes, purpose: str) -> URLSafeTimedSerializer:
    """Return a serializer whose texts are signed with HMAC-SHA-256, for one purpose."""
    return URLSafeTimedSerializer(
        key,
        salt=purpose,
        serializer=TaggedJSONSerializer(),
        signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
    )


def session_id() -> str:
    """Return the id of this browser's session, which begins with it where there is none."""
    if "id" not in session:
        session["id"] = new_session_id()
    return str(session["id"])


def new_session_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(24)
