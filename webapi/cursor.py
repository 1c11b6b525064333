"""Cursors: a place in the order of events that only this service can write.

A cursor is `base64url(payload ‖ mac)`: the payload is (timestamp, id), the mac (HMAC-SHA-256,
RFC 2104, cut to 16 bytes as section 5 allows) covers organisation, filters and order besides, so a
cursor of another organisation or of other filters is refused. It holds no secret and never expires:
events do not move, so the place stays true.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import Final

import msgspec

from webapi.errors import ParameterError
from webapi.order import position_of, shortened
from webapi.query import MAX_PAGE_DEPTH, Position, Query
from webapi.settings import WebSettings
from webapi.storage_answer import Found

MAC_BYTES: Final = 16
MAX_CURSOR_CHARACTERS: Final = 512

_PURPOSE: Final = b"indelible cursor 1"
"""Keeps this key apart from other uses of the secret, and names the format's version."""


def cursor_key(settings: WebSettings) -> bytes:
    """Derive the key that signs cursors; the same in every worker."""
    secret = settings.cursor_secret or settings.jwt_secret
    if secret is None:
        raise ValueError("neither web.cursor_secret nor web.jwt_secret is set")
    return hmac.digest(secret.reveal().encode(), _PURPOSE, "sha256")


def write_cursor(key: bytes, query: Query, place: Position) -> str:
    """Return the cursor that continues `query` behind `place`."""
    near = shortened(place)
    return seal_payload(key, query, msgspec.json.encode((near.timestamp_ns, near.id)))


def seal_payload(key: bytes, query: Query, payload: bytes) -> str:
    """Return a text of which only who has the key can write one for this query."""
    return urlsafe_b64encode(payload + _mac(key, query, payload)).rstrip(b"=").decode()


def next_cursor(query: Query, found: Found, cursor_key: bytes) -> str | None:
    """Return the cursor behind a page, or None behind the last one.

    Args:
        query: what was asked.
        found: the answer, which may hold one event more than was asked for.
        cursor_key: signs cursors.
    """
    hits = found.hits.hits
    more = len(hits) > query.limit
    if query.offset + query.limit == MAX_PAGE_DEPTH:
        # No room for one more; beyond its cap the total tells (`query.TOTAL_CAP`).
        more = found.hits.total.relation != "eq"
    if not more:
        return None
    return write_cursor(cursor_key, query, position_of(hits[query.limit - 1]))


def read_cursor(key: bytes, query: Query, text: str) -> Position:
    """Return the place that a cursor of exactly this query names.

    Raises:
        ParameterError: it was not written here, or for other filters or another organisation.
    """
    payload = open_payload(key, query, text, MAX_CURSOR_CHARACTERS)
    timestamp_ns, event_id = msgspec.json.decode(payload, type=tuple[int, str | None])
    return Position(timestamp_ns=timestamp_ns, id=event_id)


def open_payload(key: bytes, query: Query, text: str, most_characters: int) -> bytes:
    """Return what `seal_payload` sealed with this key for exactly this query.

    Raises:
        ParameterError: it was not written here, or for other filters or another organisation.
    """
    refused = ParameterError(
        "invalid",
        "is not a cursor of this query; use that of the answer before, with the same filters",
    )
    if len(text) > most_characters:
        raise refused
    try:
        # b64decode would skip foreign characters, so that many texts were one cursor.
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        if urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise refused
    except (UnicodeEncodeError, Base64Error):
        raise refused from None
    payload, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, query, payload)):
        raise refused
    return payload


def _mac(key: bytes, query: Query, payload: bytes) -> bytes:
    # What does not change which events follow (limit, offset, the place) is left out.
    asked = msgspec.json.encode(
        (
            query.organization_id,
            sorted(query.actions),
            sorted(query.categories),
            sorted(query.colours),
            sorted(query.results),
            {name: sorted(values) for name, values in query.equal.items()},
            query.since,
            query.until,
            query.text and query.text.text,
            query.about,
            query.newest_first,
        ),
        order="deterministic",
    )
    return hmac.digest(key, sha256(asked).digest() + payload, "sha256")[:MAC_BYTES]
