"""One secret, a key for each purpose: what is signed for one is worth nothing for another."""

import hmac

from webapi.settings import WebSettings


def derive_key(settings: WebSettings, purpose: str) -> bytes:
    """Return the 32 bytes that sign for `purpose`; the same in every worker.

    Raises:
        ValueError: neither `web.session_secret` nor `web.jwt_secret` is set.
    """
    secret = settings.session_secret or settings.jwt_secret
    if secret is None:
        raise ValueError("neither web.session_secret nor web.jwt_secret is set")
    return hmac.digest(secret.reveal().encode(), purpose.encode(), "sha256")
