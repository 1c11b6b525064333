"""One question to `/stream` over HTTP."""

import errno
import http.client
import signal
import ssl
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, Never
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit

from typing_extensions import override

from indelible.errors import CommandError
from indelible.ready import audit_log_url
from indelible.stream_answer import NOT_THE_API, Answer, Trouble
from indelible.stream_settings import StreamSettings
from indelible.terminal import plain
from webapi.errors import RETRY_AFTER
from webapi.settings import is_loopback

TIMEOUT_SECONDS: Final = 60.0
"""For each step of it: a server that says nothing at all for so long is not there."""
ANSWER_SECONDS: Final = 600.0
"""For the whole answer, however it drips; a page of the largest events comes at 1 Mbit/s in it."""
MOST_BYTES: Final = 128 << 20
"""Of an answer: twice what a page of the largest events has."""
_PART_BYTES: Final = 64 << 10


class _AsItCame(urllib.request.HTTPErrorProcessor):
    """Answers with any status; a redirect is not followed, as the token would go there too."""

    @override
    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        return response

    https_response = http_response


_opener: Final = urllib.request.build_opener(_AsItCame)
_direct: Final = urllib.request.build_opener(_AsItCame, urllib.request.ProxyHandler({}))
"""For this very host: the proxy that others are found by would get the token, and not find it."""


def stream_url(settings: StreamSettings) -> str:
    """Return the address that is asked, without its query."""
    return f"{audit_log_url(settings.url.rstrip('/'))}/stream"


def ask(settings: StreamSettings, pairs: Sequence[tuple[str, str]]) -> Answer | Trouble:
    """Ask once, and return what came, or why nothing whole did.

    Raises:
        CommandError: the address is none, or nothing proves that it is the API's.
    """
    url = stream_url(settings)
    token = settings.token.reveal() if settings.token else ""
    try:
        request = urllib.request.Request(  # noqa: S310  # checked by the settings
            f"{url}?{urlencode(pairs)}",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )
        opener = _direct if is_loopback(urlsplit(url).hostname) else _opener
        with (
            _within(ANSWER_SECONDS),
            opener.open(request, timeout=TIMEOUT_SECONDS) as response,
        ):
            return Answer(response.status, _read(response), response.headers.get(RETRY_AFTER))
    except (http.client.InvalidURL, ValueError) as error:
        # The second of a name that no host can have.
        raise CommandError(f"{url} is no address: {error}", hint=NOT_THE_API) from error
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CommandError(
                f"{url} is not proven to be the API: {cause.verify_message}",
                hint="name the CA that signed its certificate in SSL_CERT_FILE",
            ) from error
        why = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
        return Trouble(plain(f"{settings.url} does not answer: {why or type(cause).__name__}"))


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the body.

    Raises:
        OSError, http.client.HTTPException: it is not whole, or larger than any page is.
    """
    body = bytearray()
    # In parts: of chunks of a byte each, a reading at once holds an object for each.
    while part := response.read(_PART_BYTES):
        body += part
        if len(body) > MOST_BYTES:
            raise OSError(errno.EMSGSIZE, f"its answer is larger than {MOST_BYTES >> 20} MiB")
    if response.length:
        raise http.client.IncompleteRead(bytes(body), response.length)
    return bytes(body)


@contextmanager
def _within(seconds: float) -> Generator[None]:
    """Give a block that waits so long; for the main thread.

    Raises:
        TimeoutError: it took longer.
    """

    def expire(*_: object) -> Never:
        raise TimeoutError(errno.ETIMEDOUT, f"its answer was not whole within {seconds:g} s")

    former = signal.signal(signal.SIGALRM, expire)
    # Again and again: where a name has several addresses, the first is taken for one that failed.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, former)
