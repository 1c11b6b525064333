"""Reading the journal: everything that was acknowledged, or an error.

What is missing here could be a hold, so nothing is left out in silence.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from opensearchpy import OpenSearch

from audit_events.event import Event
from indexer.answer import UNREADABLE
from indexer.client import request_shape
from indexer.errors import IncompleteJournalError, JournalError

PAGE: Final = 500
"""Events read at a time: 32 MB where each has all that it may, half a megabyte of usual ones."""
LOOK: Final = "look into the log of the cluster for who did it"
_SORT: Final = [{"timestamp": "asc"}, {"id": "asc"}, {"_seq_no": "asc"}]
"""Two of one moment and id are a forgery, and must not hide each other between pages."""


def read_events(
    client: OpenSearch,
    name: str,
    terms: Sequence[object],
    excluded: Sequence[str],
    *,
    refreshes: bool = True,
) -> list[Event]:
    """Read everything that matches all of these queries, oldest first; empty without a journal.

    Args:
        client: of the role `lifecycle`, or of one that reads alone.
        name: of the journal.
        terms: the queries.
        excluded: members that are not read.
        refreshes: False for who may not: what was recorded within the last second may be missing.

    Raises:
        JournalError: not all of it could be read, or what is there is no event.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    if refreshes:
        refreshed = request_shape(client, "POST", f"/{name}/_refresh", _Refreshed, safe=True)
        if refreshed is None:
            return []
        _check_shards(name, refreshed.shards)
    body: dict[str, object] = {
        "size": PAGE,
        "query": {"bool": {"filter": terms}},
        "sort": _SORT,
        "track_total_hits": False,
        "_source": {"excludes": excluded},
    }
    return _read_pages(client, name, body)


def _read_pages(client: OpenSearch, name: str, body: dict[str, object]) -> list[Event]:
    events: list[Event] = []
    path, params = f"/{name}/_search", {"preference": "_primary"}
    while True:
        page = request_shape(client, "POST", path, _Page, params=params, body=body, safe=True)
        if page is None:
            raise IncompleteJournalError(f"{name} went away while it was read", hint=LOOK)
        _check_shards(name, page.shards, is_cut=page.timed_out)
        events += [_decode(name, hit) for hit in page.hits.hits]
        if len(page.hits.hits) < PAGE:
            return events
        body["search_after"] = page.hits.hits[-1].sort


def _decode(name: str, hit: "_Hit") -> Event:
    try:
        return msgspec.json.decode(hit.source, type=Event)
    except UNREADABLE as error:
        raise JournalError(f"{name}/{hit.id} is no event: {error}", hint=LOOK) from None


def _check_shards(name: str, shards: "_Shards", *, is_cut: bool = False) -> None:
    if shards.failed or not shards.successful or is_cut:
        raise IncompleteJournalError(
            f"{name} could not be read whole, and what is missing might be a hold",
            hint="wait until its primary shard is back: GET _cluster/health",
        )


class _Shards(Struct, frozen=True):
    successful: int
    failed: int


class _Refreshed(Struct, frozen=True, rename={"shards": "_shards"}):
    shards: _Shards


class _Hit(Struct, frozen=True, rename={"id": "_id", "source": "_source"}):
    id: str
    source: Raw
    sort: list[object]


class _Hits(Struct, frozen=True):
    hits: list[_Hit]


class _Page(Struct, frozen=True, rename={"shards": "_shards"}):
    shards: _Shards
    hits: _Hits
    timed_out: bool
