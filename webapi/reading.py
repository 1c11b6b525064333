"""Filling pages from the partitions that hold them.

A page is one search over the first partitions in the order of reading. Where that does not fill it,
the events of the question are counted in the others, and a second search asks just those that hold
the rest. Counts of steady partitions (`webapi.listing`) are remembered. Partitions that are not
steady are part of each search, so that their events are counted by it.

A question is answered of the indices that a list names; where that list is not of this very moment
it is asked for anew meanwhile, and the answer counts only if it has not changed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from indexer.settings import IndexSettings
from webapi.apart import apart, together
from webapi.counts import Counts
from webapi.errors import IndexGoneError, PartitionsChangedError
from webapi.listing import SETTLED_REFRESHES, TRUSTED_SECONDS, Listing, still_holds
from webapi.query import (
    MAX_PAGE_DEPTH,
    TOTAL_CAP,
    Query,
    ScopedSearch,
    count_search,
    earlier_search,
    event_search,
    filters,
    list_search,
    present_search,
)
from webapi.storage import Storage
from webapi.storage_answer import Found, Hit, Hits, Total
from webapi.sweep import Sweep, open_sweep
from webapi.timeline import (
    EVER,
    Index,
    Want,
    choose,
    expected,
    holds_all_of,
    in_order,
    place,
    within,
)

ATTEMPTS: Final = 5
OPEN_AT_MOST: Final = 16
"""More partitions that are not steady than this are not part of each search, but counted."""
COUNTED_AT_ONCE: Final = 128
"""From more shards on, OpenSearch asks all of them first whether they can match at all."""
HINT: Final = timedelta(days=1)
NEAR: Final = timedelta(days=31)
ID_VERSION: Final = 7
LATEST_HINT: Final = 200 * 365 * 86_400_000
"""Milliseconds; in the year 2169."""


class Reading:
    """Answers questions from the indices that are needed. Thread-safe.

    Args:
        storage: what is asked.
        index: names of the indices.
        settled_refreshes: as of `Listing`.
        trusted_seconds: as of `Listing`.
    """

    def __init__(
        self,
        storage: Storage,
        index: IndexSettings,
        settled_refreshes: int = SETTLED_REFRESHES,
        trusted_seconds: float = TRUSTED_SECONDS,
    ) -> None:
        self._storage = storage
        self._index = index
        self._listing = Listing(
            storage.list_indices,
            storage.contents,
            storage.refresh,
            index,
            settled_refreshes=settled_refreshes,
            trusted_seconds=trusted_seconds,
        )
        self._counts = Counts()

    def page(self, query: Query) -> Found:
        """Return one page, one event more where there is one, and the total up to its cap.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        return self._settled(
            query.since,
            query.until,
            lambda indices: Asking(self._storage, self._counts, query, indices).page(),
        )

    def over(self, search: ScopedSearch, since: datetime | None, until: datetime | None) -> Found:
        """Return the answer of all indices that can hold events of a window.

        Args:
            search: its filters hold the window, too.
            since: first instant, included.
            until: last instant, not included.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        return self._settled(
            since,
            until,
            lambda indices: self._storage.search(search, [one.name for one in indices]),
        )

    def event(self, organization_id: str, event_id: str) -> Found:
        """Return one event, or none; where its id tells of is only where it is looked for first.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        search = event_search(organization_id, event_id)
        hint = instant_of(event_id)
        if hint is not None:
            listed, _ = self._listing.current()
            likely = within(self._with_expected(listed), hint - HINT, hint + HINT)
            try:
                found = self._storage.search(search, [one.name for one in likely])
            except IndexGoneError:
                pass
            else:
                if found.hits.hits:
                    return found
        return self._storage.search(search)

    def has_before(self, organization_id: str, instant: datetime) -> bool:
        """Tell whether an organisation has events before an instant; a month before it comes first.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        search = earlier_search(organization_id, instant)
        listed, _ = self._listing.current()
        near = within(self._with_expected(listed), instant - NEAR, instant)
        try:
            if self._storage.search(search, [one.name for one in near]).hits.hits:
                return True
        except IndexGoneError:
            pass
        return bool(self.over(search, None, instant).hits.hits)

    def sweep(self, query: Query) -> Sweep:
        """Begin to read all events of a question that can be found now; the caller closes it.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        for _ in range(ATTEMPTS):
            listed = self._listing.renew()
            indices = within(self._with_expected(listed), query.since, query.until)
            try:
                return open_sweep(self._storage, query, indices)
            except IndexGoneError:
                continue
        raise PartitionsChangedError

    def present(self, organization_id: str, actions: Collection[str]) -> set[str]:
        """Return those of some actions (or `noun.*`) that the organisation has events of.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        found = self._storage.search(present_search(organization_id, actions))
        return {name for name, bucket in found.present.items() if bucket.doc_count}

    def _settled(
        self,
        since: datetime | None,
        until: datetime | None,
        answer: Callable[[Sequence[Index]], Found],
    ) -> Found:
        """Answer of the indices of a window, anew while those that there are change meanwhile."""
        for _ in range(ATTEMPTS):
            listed, renewal = self._listing.current()
            try:
                found = answer(within(self._with_expected(listed), since, until))
            except IndexGoneError:
                self._listing.renew()
                continue
            if renewal is None or still_holds(listed, renewal.result()):
                return found
        raise PartitionsChangedError

    def _with_expected(self, listed: Sequence[Index]) -> list[Index]:
        names = {one.name for one in listed}
        return [*listed, *expected(names, datetime.now(UTC), self._index)]


class Asking:
    """One question under way, over indices that do not change meanwhile."""

    def __init__(
        self, storage: Storage, counts: Counts, query: Query, indices: Sequence[Index]
    ) -> None:
        self._storage = storage
        self._counts = counts
        self._query = query
        self._indices = indices
        unsteady = [one for one in indices if not one.steady]
        if len(unsteady) > OPEN_AT_MOST:
            # Patterns cannot be counted by their names.
            unsteady = [one for one in unsteady if not one.uuid]
        self._always = {one.name for one in unsteady}
        self._known = self._remembered()

    def page(self) -> Found:
        """Search until the page is full or nothing is left."""
        query = self._query
        size = min(query.limit + 1, MAX_PAGE_DEPTH - query.offset)
        start = -EVER
        if query.after is not None:
            start = place(query.after.timestamp_ns, newest_first=query.newest_first)
        wanted = query.offset + size
        guess = wanted
        while True:
            want = Want(events=wanted, start=start, newest_first=query.newest_first, guess=guess)
            choice = choose(self._indices, self._known, self._always, want)
            names = [one.name for one in choice.asked]
            found = self._search(names, size)
            hits = self._before(found.hits.hits, choice.limit)
            if len(hits) >= size or choice.limit == EVER:
                return msgspec.structs.replace(
                    found, hits=Hits(hits, self._total(names, found.hits.total))
                )
            if not self._count(set(names), 0):
                wanted *= 2
            guess = 1

    def _search(self, names: Sequence[str], size: int) -> Found:
        query = self._query
        search = list_search(query)
        # What lies before an offset each of them would fetch, too.
        is_costly = query.text is not None and not query.offset
        groups = apart(names, self._known) if is_costly else [names]
        if len(groups) <= 1:
            return self._storage.search(search, names)
        found = self._storage.search_apart(search, groups)
        hits = together((one.hits for one in found), size, newest_first=query.newest_first)
        return msgspec.structs.replace(found[0], hits=hits)

    def _before(self, hits: list[Hit], limit: int) -> list[Hit]:
        if limit == EVER:
            return hits
        newest_first = self._query.newest_first
        return [hit for hit in hits if place(hit.sort[1], newest_first=newest_first) < limit]

    def _total(self, asked: Sequence[str], total: Total) -> Total:
        there = set(asked)
        self._count(there, total.value)
        value = total.value + self._known_beside(there)
        if total.relation != "eq" or value > TOTAL_CAP:
            return Total(TOTAL_CAP, "gte")
        return Total(value, "eq")

    def _uncounted(self) -> list[Index]:
        passed = self._always | self._known.keys()
        uncounted = [one for one in self._indices if one.name not in passed]
        return in_order(uncounted, newest_first=self._query.newest_first)

    def _known_beside(self, asked: Collection[str]) -> int:
        return sum(count for name, count in self._known.items() if name not in asked)

    def _count(self, asked: set[str], total: int) -> bool:
        """Count where it is not known yet, until the total is beyond its cap.

        What was asked, too: the next question is then asked right away of all that fill its page.
        """
        rest = self._uncounted()
        total += self._known_beside(asked)
        counted = False
        while rest and total <= TOTAL_CAP:
            part, rest = rest[:COUNTED_AT_ONCE], rest[COUNTED_AT_ONCE:]
            names = [one.name for one in part]
            found = self._storage.search(count_search(self._query, len(names)), names).by_index
            counts = {name: found.get(name, 0) for name in names}
            self._known.update(counts)
            self._remember(part)
            total += sum(count for name, count in counts.items() if name not in asked)
            counted = True
        return counted

    def _questions(self) -> Mapping[bool, bytes]:
        """The question without its window, which is the same for many, and with it."""
        query = self._query
        free = replace(query, since=None, until=None)
        return {True: question(free), False: question(query)}

    def _remembered(self) -> dict[str, int]:
        steady = [one for one in self._indices if one.steady]
        if not steady:
            return {}
        kept = {whole: self._counts.of(key) for whole, key in self._questions().items()}
        found = {
            one.name: kept[holds_all_of(one, self._query.since, self._query.until)].get(one.steady)
            for one in steady
        }
        return {name: count for name, count in found.items() if count is not None}

    def _remember(self, indices: Sequence[Index]) -> None:
        for whole, key in self._questions().items():
            counts = {
                one.steady: self._known[one.name]
                for one in indices
                if one.steady and holds_all_of(one, self._query.since, self._query.until) == whole
            }
            if counts:
                self._counts.keep(key, counts)


def question(query: Query) -> bytes:
    """Return what stands for organisation and filters, and for nothing else."""
    return sha256(msgspec.json.encode([query.organization_id, filters(query)])).digest()


def instant_of(event_id: str) -> datetime | None:
    """Return when an id was made, if it is a UUIDv7 and tells (RFC 9562, section 5.7)."""
    identity = UUID(event_id)
    if identity.version != ID_VERSION:
        return None
    milliseconds = identity.int >> 80
    # Around it there must be room for the hint in what a date can hold.
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds < LATEST_HINT else None
