"""All events of a question, in its order, as they could be found at one moment.

Whatever takes writes is read in one point in time, so an event that arrives meanwhile is neither
missed at one place nor shown at another. An index with a write block needs none: it does not
change. So a cluster holds one point in time for each sweep, over the few partitions that are
written, however many there are; and what is read of the others can be read again. That it was of
the same indices to the end, and not of ones that somebody made in place of them, is looked up last.

    lanes:  [ what is written, in one point in time ]
            [ sealed partition ][ sealed partition ][ … ]        one behind the other
            [ sealed index of late events ]                      beside the partition of its month

Each lane is in order, page by page with `search_after`; the next page is asked for while the one
before is used. The lanes are merged by (timestamp, id).
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Final

from audit_events.instant import format_unix_ns
from indexer.span import Span
from webapi.errors import IndexGoneError, StoppingError, UnavailableError
from webapi.order import position_of, reading_key
from webapi.query import (
    LATEST_NS,
    Clause,
    Position,
    Query,
    ScopedSearch,
    event_order,
    filters,
    unix_ns,
)
from webapi.storage import Storage, fits_in_path
from webapi.storage_answer import Found, Hit
from webapi.timeline import Index, in_order, reach

FIRST_PAGE_EVENTS: Final = 500
LEAST_PAGE_EVENTS: Final = 50
MOST_PAGE_EVENTS: Final = 700
PAGE_BYTES: Final = 4 << 20
"""What a page should come to; two of them are in memory for each lane."""
PINNED_AT_MOST: Final = 100
"""Each index of a point in time counts against `search.max_open_pit_context` (300 for a node)."""

Search = Callable[[ScopedSearch], Found]
Placed = tuple[tuple[int, bool, str], Hit]
"""An event, behind what it is merged by."""
_KEY: Final = itemgetter(0)
_HIT: Final = itemgetter(1)


class Sweep:
    """What `open_sweep` opened; has to be closed. For one thread.

    Args:
        storage: what is asked.
        query: whose events; `limit` and `offset` mean nothing here.
        pinned: the point in time of the first lane, None where nothing is written.
        windows: the question, cut where the partitions of that lane begin.
        lanes: indices that take no writes, in the order of reading.
    """

    def __init__(
        self,
        storage: Storage,
        query: Query,
        pinned: str | None,
        windows: Sequence[Query],
        lanes: Sequence[Sequence[Index]],
    ) -> None:
        self._storage = storage
        self._query = query
        self._pinned = pinned
        self._windows = windows
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sweep")
        self._is_closed = False

    def hits(self) -> Iterator[Hit]:
        """Yield the events one by one.

        Raises:
            UnavailableError: as `Storage.search`; also when a partition was deleted meanwhile,
                which may not be told before all events were yielded.
            InternalError: as `Storage.search`.
            StoppingError: the process ends before they all were read.
        """
        lanes = [self._lane(indices) for indices in self._lanes]
        if self._pinned is not None:
            lanes.insert(0, self._pinned_lane(self._pinned))
        merged = heapq.merge(*lanes, key=_KEY, reverse=self._query.newest_first)
        yield from map(_HIT, merged)
        self._check_indices()

    def close(self) -> None:
        """Give up what the cluster holds for it, whatever is under way; again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._pinned is not None:
            with suppress(UnavailableError):
                self._storage.unpin(self._pinned)

    def _pinned_lane(self, pinned: str) -> Iterator[Placed]:
        # A point in time is always asked as a whole: without its window each of its partitions
        # would have a page's worth of events ready for each page.
        search = partial(self._storage.search_pinned, pinned=pinned)
        for window in self._windows:
            yield from self._placed(self._pages(search, window), None)

    def _lane(self, indices: Sequence[Index]) -> Iterator[Placed]:
        for index in indices:
            try:
                search = partial(self._storage.search, indices=[index.name])
                yield from self._placed(self._pages(search, self._query), index.span)
            except IndexGoneError:
                raise _deleted() from None

    def _placed(self, hits: Iterator[Hit], span: Span | None) -> Iterator[Placed]:
        """Add by what to merge: what others stored in a partition of another time holds up none."""
        newest_first = self._query.newest_first
        first, last = (0, LATEST_NS) if span is None else (unix_ns(span.start), unix_ns(span.end))
        for hit in hits:
            _, timestamp_ns, event_id = hit.sort
            near = min(max(timestamp_ns, first), last)
            yield reading_key(near, event_id, newest_first=newest_first), hit

    def _check_indices(self) -> None:
        """Refuse what was read by name where that has been another index meanwhile."""
        read = [index for lane in self._lanes for index in lane if index.uuid]
        if not read:
            return
        listed = self._storage.list_indices()
        for index in read:
            found = listed.get(index.name)
            if found is None or found.uuid != index.uuid:
                raise _deleted()

    def _pages(self, search: Search, query: Query) -> Iterator[Hit]:
        size = FIRST_PAGE_EVENTS
        hits = search(sweep_search(query, size)).hits.hits
        while len(hits) == size:
            behind = replace(query, after=position_of(hits[-1]))
            size = page_events(hits)
            coming = self._submit(search, sweep_search(behind, size))
            yield from hits
            hits = coming.result().hits.hits
        yield from hits

    def _submit(self, search: Search, asked: ScopedSearch) -> Future[Found]:
        try:
            return self._pool.submit(search, asked)
        except RuntimeError as error:
            # The interpreter ends all pools before it waits for the threads that use them.
            raise StoppingError from error


def open_sweep(storage: Storage, query: Query, indices: Sequence[Index]) -> Sweep:
    """Begin to read all events of a question, from all indices that may hold some.

    Raises:
        IndexGoneError, UnavailableError, InternalError: as `Storage.search`.
    """
    order = in_order(indices, newest_first=query.newest_first)
    written = [one for one in order if not one.blocked]
    pinned_indices = written[:PINNED_AT_MOST]
    while not fits_in_path(",".join(one.name for one in pinned_indices)):
        pinned_indices.pop()
    names = [one.name for one in pinned_indices]
    pinned = storage.pin(query.organization_id, names) if written else None
    # Beyond that, what arrives meanwhile is in it or not, as it happens.
    others = [one for one in order if one.blocked] + written[len(pinned_indices) :]
    lanes = lanes_of(others, newest_first=query.newest_first)
    return Sweep(storage, query, pinned, windows_of(query, pinned_indices), lanes)


def windows_of(query: Query, indices: Sequence[Index]) -> list[Query]:
    """Cut a question where partitions begin, in the order of reading; nothing is left out."""
    earliest = query.since or datetime.min.replace(tzinfo=UTC)
    latest = query.until or datetime.max.replace(tzinfo=UTC)
    starts = {one.span.start for one in indices if one.uuid and one.span is not None}
    cuts = [None, *sorted(one for one in starts if earliest < one < latest), None]
    windows = [
        replace(query, since=since or query.since, until=until or query.until)
        for since, until in pairwise(cuts)
    ]
    return windows[::-1] if query.newest_first else windows


def lanes_of(indices: Sequence[Index], *, newest_first: bool) -> list[list[Index]]:
    """Put indices one behind the other where their spans do not overlap, else side by side."""
    lanes: list[list[Index]] = []
    for index in in_order(indices, newest_first=newest_first):
        near, _ = reach(index, newest_first=newest_first)
        for lane in lanes:
            if reach(lane[-1], newest_first=newest_first)[1] <= near:
                lane.append(index)
                break
        else:
            lanes.append([index])
    return lanes


def sweep_search(query: Query, size: int) -> ScopedSearch:
    """Return the search of the next `size` events behind `query.after`."""
    clauses = filters(query)
    rest: dict[str, object] = {
        "size": size,
        "sort": event_order(newest_first=query.newest_first),
        "track_total_hits": False,
    }
    if query.after is not None:
        clauses.append(_not_before(query.after, newest_first=query.newest_first))
        rest["search_after"] = [query.organization_id, query.after.timestamp_ns, query.after.id]
    return ScopedSearch(organization_id=query.organization_id, filters=clauses, rest=rest)


def page_events(hits: Sequence[Hit]) -> int:
    """Return how many events the next page should have, judging by this one."""
    mean = sum(memoryview(hit.source).nbytes for hit in hits) / len(hits)
    return max(LEAST_PAGE_EVENTS, min(MOST_PAGE_EVENTS, int(PAGE_BYTES / mean)))


def _not_before(place: Position, *, newest_first: bool) -> Clause:
    """What does not stand before a place; else OpenSearch walks there anew for each page."""
    if newest_first:
        # Formatting drops what is below a microsecond.
        until_ns = min(place.timestamp_ns + 1000, LATEST_NS)
        return {"range": {"timestamp": {"lte": format_unix_ns(until_ns)}}}
    return {"range": {"timestamp": {"gte": format_unix_ns(place.timestamp_ns)}}}


def _deleted() -> UnavailableError:
    return UnavailableError("storage_incomplete", "a partition was deleted meanwhile; begin anew")
