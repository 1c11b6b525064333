"""Tokens that were proven, so that a signature is verified once and not with each request.

A proof stands for what verifying would say again, and for nothing more: for the same bytes, under
the same key, and while the token has not expired. A key that its provider has taken back, or that
was fetched anew, proves nothing any more. What was refused is not remembered.
"""

import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from webapi.auth import Reader

MOST: Final = 1024
"""Tokens: some kilobytes each. One more takes the place of the oldest."""


class Proof(NamedTuple):
    """That a token was good.

    Args:
        reader: whom it proved.
        header: its own, which names its key.
        key: what its signature was verified with.
        verified_at: seconds since 1970; before it, by a clock that was set back, it proves nothing.
        expires_at: likewise; the leeway is in it.
    """

    reader: "Reader"
    header: Mapping[str, object]
    key: object
    verified_at: float
    expires_at: float


class Proofs:
    """The newest proofs by token. Thread-safe; the tokens themselves are not kept.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[bytes, Proof] = {}

    def find(self, token: str, key_of: Callable[[Mapping[str, object]], object]) -> "Reader | None":
        """Return whom a token proves, None where it has to be verified.

        Args:
            token: as it came.
            key_of: returns the key that a header names now, or raises what a verification would.
        """
        proof = self._found.get(_digest(token))
        if proof is None or not proof.verified_at <= self._clock() < proof.expires_at:
            return None
        return proof.reader if key_of(proof.header) is proof.key else None

    def keep(self, token: str, proof: Proof) -> None:
        """Remember a token that was verified."""
        with self._lock:
            self._found[_digest(token)] = proof
            if len(self._found) > MOST:
                del self._found[next(iter(self._found))]


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
