"""Why no answer came, in a few words: the library's own texts carry class names and addresses."""

import http.client
import socket
import ssl
from typing import Final

from urllib3.exceptions import HTTPError, IncompleteRead
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from indexer.errors import Disbelief

MESSAGE_CHARACTERS: Final = 200
_UNTIMELY: Final = frozenset({9, 10})
"""OpenSSL's numbers of a certificate that is not valid yet, and of one that has expired."""
_CHAIN: Final = 8
"""Exceptions deep; the library wraps each at most four times."""


def describe_cause(error: object) -> str:
    """Return the cause that lies deepest below what the HTTP library raised."""
    chain = _causes(error)
    for one in reversed(chain):
        text = _describe(one)
        if text:
            return text
    return "the connection failed"


def find_disbelief(error: object) -> Disbelief | None:
    """Tell why the certificate of what answers there is not believed; None where that is not it."""
    for one in _causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return "untimely" if one.verify_code in _UNTIMELY else "unknown"
    return None


def _causes(error: object) -> list[BaseException]:
    chain: list[BaseException] = []
    while isinstance(error, BaseException) and error not in chain and len(chain) < _CHAIN:
        chain.append(error)
        inner = [one for one in error.args if isinstance(one, BaseException)]
        error = error.__cause__ or (inner[0] if inner else error.__context__)
    return chain


def _describe(error: BaseException) -> str:
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _describe_unknown(error)


_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (TimeoutError, "timed out"),
    (PoolTimeoutError, "timed out"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (http.client.IncompleteRead, "the answer was cut"),
    (IncompleteRead, "the answer was cut"),
    (http.client.HTTPException, "what answers there does not speak HTTP"),
    (UnicodeError, "the answer is no text"),
)
"""In this order: `http.client` derives what ends early from what is not HTTP."""


def _describe_unknown(error: BaseException) -> str:
    # One of the library around another one: its text is that of the other, with more around it.
    if isinstance(error, HTTPError) and len(error.args) != 1:
        return ""
    return " ".join(str(error).split())[:MESSAGE_CHARACTERS]
