"""One HTTP question to a process of ours on this machine."""

import urllib.request
from http.client import HTTPException
from typing import Final

TIMEOUT_SECONDS: Final = 5.0

# Without the proxies of the environment: what is asked is on this machine.
_opener: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, *, token: str | None = None) -> bytes | None:
    """Return the body of a 200; None for any other answer, and for none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own http URL
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, HTTPException):
        # URLError and HTTPError are OSErrors.
        return None
