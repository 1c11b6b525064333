"""The digest of a partition: what all its events are, in 32 bytes.

SHA-256 over the stored bytes of every event, each followed by a newline, in the order of the index
sort (organisation, newest first, id). It says that a partition, a snapshot of it and what was
restored from one hold the same events, byte for byte.

Whoever has the writer's password can store what is no event, and must not keep a partition from
being sealed by that, so every document counts. Several of one place stand in the order in which
they were stored, and those that have none, as a part of it is missing, in that order behind all
others. An escape that is no letter counts as it is spelled out (`indexer.answer.decode`).

The same reading grows a tree for each organisation (`indexer.head`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, Generic, TypeVar

from msgspec import Raw, Struct, field
from opensearchpy import OpenSearch

from audit_events.chain import encode_hash
from audit_events.instant import format_unix_ns
from indexer.client import request_shape
from indexer.errors import DigestError
from indexer.head import Share, Shares
from indexer.tree import Tree

PAGE_EVENTS: Final = 2000
"""At most 128 MB where every event is as long as one may be, 2 MB of usual ones."""

Look = Callable[[Sequence[Raw]], object]
Report = Callable[[int, int], None]
"""Told after each page how many events are done, and of how many."""

_SORT: Final = [{"organizationId": "asc"}, {"timestamp": "desc"}, {"id": "desc"}]
_AS_STORED: Final = [{"_seq_no": "asc"}]
"""The same order on every copy, and after a restore."""
_HAS_PLACE: Final = [{"exists": {"field": field}} for sort in _SORT for field in sort]
_PARAMS: Final = {
    "allow_partial_search_results": "false",
    "expand_wildcards": "none",
    "request_cache": "false",
}

Place = tuple[str, int, str]
"""Organisation, nanoseconds, id: where an event stands in the order."""


class Digest(Struct, frozen=True):
    """What a partition holds; `first` and `last` are canonical instants, None without events."""

    events: int
    first: str | None
    last: str | None
    sha256: str
    """In hexadecimal digits."""
    shares: Shares
    """Of each organisation, and of what has no place where there is any."""

    @property
    def organizations(self) -> dict[str, int]:
        """How many events each has."""
        return {one: share.events for one, share in self.shares.items() if one is not None}


class _Total(Struct, frozen=True):
    value: int


class _Stored(Struct, frozen=True, rename={"source": "_source"}):
    source: Raw


class _Odd(_Stored, frozen=True):
    sort: tuple[int]


class _Tied(_Stored, frozen=True):
    sort: tuple[str, int, str, int]


class _Event(_Stored, frozen=True):
    sort: tuple[str | None, int, str | None]

    def place(self) -> Place | None:
        """Where it stands, if it has all that it stands by."""
        organization_id, unix_ns, event_id = self.sort
        if organization_id is None or event_id is None or unix_ns < 0:
            return None
        return organization_id, unix_ns, event_id


_Row = tuple[Place | None, Raw]
_Hit = TypeVar("_Hit", bound=_Stored)


class _Hits(Struct, Generic[_Hit], frozen=True):
    hits: list[_Hit]
    total: _Total = _Total(0)


class _Shards(Struct, frozen=True):
    total: int
    successful: int
    failed: int


class _Found(Struct, Generic[_Hit], frozen=True):
    timed_out: bool
    shards: _Shards = field(name="_shards")
    hits: _Hits[_Hit]


def digest_partition(
    client: OpenSearch,
    name: str,
    *,
    report: Report | None = None,
    look: Look | None = None,
    page_events: int = PAGE_EVENTS,
) -> Digest:
    """Read all events of one index and digest them, a page at a time.

    The index must take no more writes and be refreshed since it took the last one: then no point
    in time is needed, and any copy of it may answer. One that changes meanwhile is an error.

    Args:
        client: of a role that may search there.
        name: of the index; no pattern, no alias.
        report: told after each page; what it raises ends the reading.
        look: shown the stored bytes of each page, for who needs them too.
        page_events: how many events are held at a time.

    Raises:
        DigestError: no such index, an answer that is not whole, or events that are no events.
        RefusedError: the cluster refused.
        NoAnswerError: it did not answer.
    """
    tally, total = _Tally(), _count(client, name)
    for some in _pages(client, name, page_events):
        tally.add(some)
        if look is not None:
            look([source for _, source in some])
        if report is not None:
            report(tally.events, total)
    if not tally.events == total == _count(client, name):
        # Added to meanwhile.
        raise DigestError(name, f"it counts {total:,} events, and {tally.events:,} came")
    return tally.digest()


def _count(client: OpenSearch, name: str) -> int:
    body = {"size": 0, "track_total_hits": True}
    return _search(client, name, body, _Found[_Stored]).total.value


def _pages(client: OpenSearch, name: str, page_events: int) -> Iterator[list[_Row]]:
    """Every document, a page at a time."""
    # One more than a page, to see whether its last place goes on behind it.
    search: dict[str, object] = {"size": page_events + 1, "sort": _SORT}
    onward: list[object] = []
    # Asked for once it is needed: it makes a page of events alone take twice as long.
    placed: list[object] = []
    while True:
        search["query"] = {"bool": {"filter": [*placed, *onward]}}
        hits = _search(client, name, search, _Found[_Event]).hits
        found = [(hit.place(), hit.source) for hit in hits]
        rows = [(place, source) for place, source in found if place is not None]
        if len(rows) < len(hits):
            placed = list(_HAS_PLACE)
            continue
        if not rows:
            break
        tied = {place for (place, _), (next_, _) in pairwise(rows) if place == next_}
        rows = rows[:page_events]
        for place, some in groupby(rows, lambda row: row[0]) if tied else [(None, rows)]:
            if place in tied:
                yield from _pages_at(client, name, page_events, place)
            else:
                yield list(some)
        last = rows[-1][0]
        search["search_after"], onward = last, [_from(last)]
    yield from _odd_pages(client, name, page_events)


def _pages_at(
    client: OpenSearch, name: str, page_events: int, place: Place
) -> Iterator[list[_Row]]:
    """All that has this place: copies of a shard need not show it in the same order."""
    search: dict[str, object] = {"size": page_events, "sort": [*_SORT, *_AS_STORED]}
    search["query"] = {"bool": {"filter": [*_HAS_PLACE, _from(place)]}}
    search["search_after"] = [*place, -1]
    while hits := _search(client, name, search, _Found[_Tied]).hits:
        same = [hit for hit in hits if hit.sort[:3] == place]
        yield [(place, hit.source) for hit in same]
        if len(same) < len(hits):
            return
        search["search_after"] = hits[-1].sort


def _odd_pages(client: OpenSearch, name: str, page_events: int) -> Iterator[list[_Row]]:
    """All that has no place."""
    search: dict[str, object] = {"size": page_events, "sort": _AS_STORED}
    search["query"] = {"bool": {"must_not": {"bool": {"filter": _HAS_PLACE}}}}
    while hits := _search(client, name, search, _Found[_Odd]).hits:
        yield [(None, hit.source) for hit in hits]
        search["search_after"] = hits[-1].sort


def _from(place: Place) -> object:
    """What does not stand before `place`.

    Without it OpenSearch walks from the beginning to `search_after` for each page (measured on
    300,000 events of one organisation: 82 ms a page at the end, with it 45).
    """
    organization_id, unix_ns, _ = place
    # To the nanosecond: a forger's timestamp has more digits than ours.
    until = f"{format_unix_ns(unix_ns)[:-1]}{unix_ns % 1000:03d}Z"
    same: list[object] = [
        {"term": {"organizationId": organization_id}},
        {"range": {"timestamp": {"lte": until}}},
    ]
    further: object = {"range": {"organizationId": {"gt": organization_id}}}
    return {"bool": {"should": [further, {"bool": {"filter": same}}]}}


def _search(
    client: OpenSearch, name: str, body: Mapping[str, object], shape: type[_Found[_Hit]]
) -> _Hits[_Hit]:
    path = f"/{name}/_search"
    body = {"track_total_hits": False, **body}
    found = request_shape(client, "POST", path, shape, params=_PARAMS, body=body, safe=True)
    # The security plugin answers for an index that is not there with one of no shards.
    if found is None or not found.shards.total:
        raise DigestError(name, "there is no such index")
    if found.timed_out or found.shards.failed or found.shards.successful != found.shards.total:
        raise DigestError(name, "parts of it did not answer")
    return found.hits


class _Tally:
    """What was read so far."""

    def __init__(self) -> None:
        self.events = 0
        self._hash = hashlib.sha256()
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._trees: defaultdict[str | None, Tree] = defaultdict(Tree)

    def add(self, rows: list[_Row]) -> None:
        """Take a page, in the order of the digest."""
        places = [place for place, _ in rows if place is not None]
        if places:
            times = [unix_ns for _, unix_ns, _ in places]
            low, high = min(times), max(times)
            self._first_ns = low if self._first_ns is None else min(low, self._first_ns)
            self._last_ns = high if self._last_ns is None else max(high, self._last_ns)
        stored = [(place and place[0], bytes(source)) for place, source in rows]
        for organization_id, own in groupby(stored, itemgetter(0)):
            self._trees[organization_id].add(source for _, source in own)
        self._hash.update(b"\n".join([*(source for _, source in stored), b""]))
        self.events += len(rows)

    def digest(self) -> Digest:
        """Say what it all was."""
        return Digest(
            events=self.events,
            first=None if self._first_ns is None else format_unix_ns(self._first_ns),
            last=None if self._last_ns is None else format_unix_ns(self._last_ns),
            sha256=self._hash.hexdigest(),
            shares={
                one: Share(tree.size, encode_hash(tree.root())) for one, tree in self._trees.items()
            },
        )
