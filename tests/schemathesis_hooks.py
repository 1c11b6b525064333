"""What schemathesis is told besides the description."""

from typing import Any
from urllib.parse import urlencode

import schemathesis

LONGEST_QUERY = 7900
"""Bytes; with the longest path less than the 8,190 of gunicorn for a request line."""


@schemathesis.hook
def map_query(_context: object, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Let no poll wait: its half minute is the description's, and there are hundreds of cases."""
    if query and "wait" in query:
        query["wait"] = "0s"
    return query


@schemathesis.hook
def filter_query(_context: object, query: dict[str, Any] | None) -> bool:
    """Leave out what is too long for an address: the server refuses it unread, as no operation."""
    return len(urlencode(query or {}, doseq=True)) <= LONGEST_QUERY
