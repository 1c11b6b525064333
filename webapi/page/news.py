"""How many events came since the list was shown. Nothing is recorded of it.

So it answers only for a list that was shown, which is recorded, from its newest event on: else
whoever asks for numbers, one question after the other, would read unseen.
"""

import hmac
from dataclasses import replace
from datetime import datetime, timedelta

from msgspec import Struct

from webapi.cursor import MAX_CURSOR_CHARACTERS, open_payload, seal_payload
from webapi.page import address, listing
from webapi.page.address import Pair, State, first
from webapi.page.listing import Listing
from webapi.parts import parts
from webapi.query import Query
from webapi.trail import VIEWED
from webapi.values import NEWEST_FIRST, read_instant

AFTER = "after"
_PURPOSE = b"indelible news 1"


class News(Struct, frozen=True):
    """How many, and whether there are more than were counted."""

    events: int
    more: bool


def news_address(state: State, query: Query, found: Listing, now: datetime) -> str:
    """Return the query string that asks for news; empty where none can come.

    News are told at the top of the list, newest first, while its window is open.
    """
    newest_first = first(state.pairs, "order") in {"", NEWEST_FIRST}
    top = found.newer is None and newest_first
    if not (top and found.rows) or (query.until is not None and query.until < now):
        return ""
    rest = [pair for pair in state.fixed if pair[0] not in {"limit", "zone"}]
    shown = seal_payload(_key(), query, found.rows[0].timestamp.encode())
    return address.link([*rest, (AFTER, shown)])


def count_news(pairs: list[Pair]) -> News:
    """Count what a query matches behind the newest event that is shown.

    Views of the log are events themselves: those who look are not told that they looked.

    Raises:
        ParametersError, ParameterError: the query cannot be read, or was not shown.
        UnavailableError, InternalError: the store does not answer as it should.
    """
    asked = [pair for pair in pairs if pair[0] != AFTER]
    query = listing.read([*asked, ("limit", "1")])
    text = open_payload(_key(), query, first(pairs, AFTER), MAX_CURSOR_CHARACTERS)
    shown = read_instant(text.decode())
    since = max(shown + timedelta(microseconds=1), query.since or shown)
    if query.until is not None and query.until <= since:
        return News(0, more=False)
    if ("action", VIEWED) not in asked:
        query = listing.read([*address.with_words(asked, [f"-action:{VIEWED}"]), ("limit", "1")])
    total = parts().reading.page(replace(query, since=since)).hits.total
    return News(total.value, more=total.relation != "eq")


def _key() -> bytes:
    """Return what signs the moment of a list that was shown, which is no cursor."""
    return hmac.digest(parts().cursor_key, _PURPOSE, "sha256")
