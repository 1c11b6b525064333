"""One HTTP question to a process of ours on this machine."""

import urllib.request
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError

import msgspec
from msgspec import Struct

TIMEOUT_SECONDS: Final = 5.0

# Without the proxies of the environment: what is asked is on this machine.
_opener: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Problem(Struct):
    detail: str = ""


def ask(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes | None:
    """Return the body of a 200; None for any other answer, and for none."""
    try:
        return _get(url, timeout_seconds)
    except (OSError, HTTPException):
        # URLError and HTTPError are OSErrors.
        return None


def find_trouble(url: str) -> str:
    """Say why there is no 200, by the answer's own words where it has some; empty for a 200."""
    try:
        _get(url, TIMEOUT_SECONDS)
    except HTTPError as error:
        with error:
            return f"{error.code} {_detail(error.read()) or error.reason}"
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        return (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return ""


def _get(url: str, timeout_seconds: float) -> bytes:
    with _opener.open(url, timeout=timeout_seconds) as answer:
        content: bytes = answer.read()
        return content


def _detail(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except msgspec.DecodeError:
        return ""
