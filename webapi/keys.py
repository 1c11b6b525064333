"""The public keys of an identity provider (JWKS, RFC 7517): fetched, kept, and rotated.

    known key            verify with it; older than `REFRESH_SECONDS`: fetch anew meanwhile
    unknown key          fetch once and wait for that; then not again for `UNKNOWN_SECONDS`
    provider down        keys that are known are believed for `stale_seconds` more, then nobody is

A token that nobody signed costs the provider at most one question in `UNKNOWN_SECONDS` from each
worker, and holds at most `WAITING` threads for `WAIT_SECONDS`.
"""

import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

import jwt
import structlog
from jwt.exceptions import PyJWTError
from typing_extensions import override

from webapi.errors import TokenError, UnavailableError

FETCH_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 300.0
UNKNOWN_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
"""How soon a provider that did not answer is asked again."""
WAIT_SECONDS: Final = 5.0
WAITING: Final = 4
"""Threads that wait for keys at a time; whoever comes then is asked to come again."""
MAX_BYTES: Final = 1 << 20

Keys = Mapping[str, jwt.PyJWK]

_log = structlog.get_logger("webapi")


class KeySet:
    """The keys of one provider. Thread-safe; nothing is fetched before the first question.

    Args:
        fetch: returns the document, or raises what `fetch_document` does.
        stale_seconds: for how long keys are believed that could not be fetched anew.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        fetch: Callable[[], bytes],
        stale_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = threading.Semaphore(WAITING)
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._unknown_at = float("-inf")
        self._under_way: threading.Event | None = None

    def find(self, key_id: str) -> jwt.PyJWK:
        """Return a key.

        Raises:
            TokenError: the provider has no such key.
            UnavailableError: nobody can tell.
        """
        key = self._believed().get(key_id)
        if key is None:
            self._await(self._look_for_unknown())
            key = self._believed().get(key_id)
        else:
            self._refresh()
        if key is not None:
            return key
        if not self._believed():
            raise _no_keys(RETRY_SECONDS)
        raise TokenError("token_invalid", "its key is not known")

    def _believed(self) -> Keys:
        age = self._clock() - self._fetched_at
        return self._keys if age < REFRESH_SECONDS + self._stale_seconds else {}

    def _refresh(self) -> None:
        with self._lock:
            now = self._clock()
            is_due = now - self._fetched_at >= REFRESH_SECONDS
            if is_due and now - self._tried_at >= RETRY_SECONDS:
                self._begin(now)

    def _look_for_unknown(self) -> threading.Event | None:
        """Begin to fetch for a key that is not known, unless that was done just now."""
        with self._lock:
            now = self._clock()
            if self._under_way is not None:
                return self._under_way
            if not self._believed():
                if now - self._tried_at >= RETRY_SECONDS:
                    self._begin(now)
            elif now - self._unknown_at >= UNKNOWN_SECONDS:
                self._unknown_at = now
                self._begin(now)
            return self._under_way

    def _begin(self, now: float) -> None:
        if self._under_way is not None:
            return
        self._tried_at = now
        self._under_way = done = threading.Event()
        threading.Thread(target=self._renew, args=(done,), name="keys", daemon=True).start()

    def _renew(self, done: threading.Event) -> None:
        asked_at = self._clock()
        try:
            keys = read_keys(self._fetch())
        except (OSError, HTTPException, ValueError) as error:
            _log.warning("keys not fetched", cause=f"{type(error).__name__}: {error}"[:300])
            keys = {}
        with self._lock:
            if keys:
                self._keys, self._fetched_at = keys, asked_at
            self._under_way = None
        done.set()

    def _await(self, done: threading.Event | None) -> None:
        if done is None:
            return
        if not self._waiting.acquire(blocking=False):
            raise _no_keys(1)
        try:
            if not done.wait(WAIT_SECONDS):
                raise _no_keys(RETRY_SECONDS)
        finally:
            self._waiting.release()


def read_keys(document: bytes) -> Keys:
    """Return the keys that sign tokens by their ids; those that cannot be read are left out.

    Raises:
        ValueError: there is none in it.
    """
    try:
        found = jwt.PyJWKSet.from_json(document.decode())
    except (PyJWTError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"no set of keys: {error}") from error
    keys = {
        key.key_id: key
        for key in found.keys
        if key.key_id is not None and key.public_key_use in ("sig", None)
    }
    if not keys:
        raise ValueError("no key that signs and has an id")
    return keys


def fetch_document(url: str) -> bytes:
    """Fetch a set of keys: no redirect, no more than `MAX_BYTES`, no longer than some seconds.

    Raises:
        OSError, HTTPException, ValueError: it did not come.
    """
    deadline = time.monotonic() + FETCH_SECONDS
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  # checked by the settings
    with opener.open(request, timeout=FETCH_SECONDS) as response:
        document = bytearray()
        while part := response.read1(65536):
            document += part
            if len(document) > MAX_BYTES:
                raise ValueError("the document is too large")
            if time.monotonic() > deadline:
                raise TimeoutError("the document came too slowly")
    return bytes(document)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever may redirect us chooses the keys."""

    @override
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _no_keys(retry_seconds: float) -> UnavailableError:
    return UnavailableError(
        "keys_unavailable",
        "the identity provider does not answer",
        retry_after_seconds=round(retry_seconds),
    )
