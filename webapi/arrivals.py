"""Events in the order in which they arrived, so that whoever reads on misses none.

`ingestedAt` is no such order: agents stamp it by their own clocks, before they ship, and a request
that has to be sent again arrives long after its stamp. What is one is the number that a shard gives
each event when it takes it (`_seq_no`). Two things keep a later number from being found before an
earlier one:

* Several requests are under way at once. The shard's *global checkpoint* is the number up to which
  all are done, on every copy; none of those can be taken back or given to another event.
* What is done is found only after the next refresh, which is late on a busy node. So a checkpoint
  counts once it is old enough, and a refresh that began after it has ended (`webapi.settlement`).

A page therefore ends at the newest checkpoint that this process saw that long ago, by its own
monotonic clock; no other clock plays a part. A process that was not asked lately saw none, and says
that there is more. A place is, for each index, the number up to which it was read. A sealed index
that was read to its end is one entry of a few bytes. One that it does not know is read whole.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from indexer.names import journal_name
from indexer.settings import IndexSettings
from webapi.errors import IndexGoneError, PartitionsChangedError
from webapi.listing import SETTLED_REFRESHES, Listing
from webapi.query import Clause, Query, ScopedSearch, any_of, filters
from webapi.settlement import Missed, Samples, Settled
from webapi.storage import Storage
from webapi.storage_answer import Checkpoint, Hit
from webapi.timeline import Index

ATTEMPTS: Final = 5
NOTHING_READ: Final = -1
WHOLE: Final = 1 << 62
"""Beyond every number."""
KEY_CHARACTERS: Final = 8
"""Of the uuid of an index, which is random: 48 bits."""
STRETCHES_AT_ONCE: Final = 100
"""Each is two clauses, of which a search may have 1,024."""
PRIMARY_SECONDS: Final = 5.0
"""An index that is made gets its primary in less, on a busy cluster too."""


class Place(Struct, frozen=True, array_like=True):
    """How far somebody has read.

    Args:
        read: the number up to which an index was read, by the beginning of its uuid.
        done: those that are sealed and were read to their end.
        since: events with an earlier `ingestedAt` are left out of what was there when the reading
            began; None once all of that has been read.
        there: by the beginning of its uuid the number up to which an index that was not sealed was
            there then.
    """

    read: dict[str, int] = {}
    done: frozenset[str] = frozenset()
    since: str | None = None
    there: dict[str, int] = {}


class Stretch(Struct, frozen=True):
    """What is to be read of one index: the numbers in `(read, bound]`.

    Args:
        name: of the index.
        key: what stands for it in a place.
        read: the number up to which it was read.
        bound: the number up to which it can be read.
        copy: in which of its copies; the primary, where that is empty.
    """

    name: str
    key: str
    read: int
    bound: int
    copy: str = ""


class Arrived(Struct, frozen=True):
    """One page, where the next one begins, and whether to ask again for what may be there."""

    hits: list[Hit]
    place: Place
    more: bool


class Arrivals:
    """Reads events by their arrival. Thread-safe.

    Args:
        storage: what is asked.
        index: names of the indices.
        settled_refreshes: how many refresh intervals a checkpoint has to be old.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        storage: Storage,
        index: IndexSettings,
        settled_refreshes: int = SETTLED_REFRESHES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._index = index
        # How many documents there are is nothing that a place goes by.
        self._listing = Listing(
            storage.list_indices,
            lambda _names: {},
            storage.refresh,
            index,
            clock,
            settled_refreshes=settled_refreshes,
        )
        settled_seconds = settled_refreshes * index.refresh_interval_seconds
        self._samples = Samples(settled_seconds, clock)
        self._missed = Missed(settled_seconds + PRIMARY_SECONDS, clock)

    def now(self) -> Place:
        """Return the place behind all that has arrived.

        Raises:
            UnavailableError, InternalError: as `Storage.checkpoints`.
        """
        listed, found = self._look()
        return Place(
            read={key_of(one.uuid): one.number for one in found.values()},
            done=frozenset(key_of(one.uuid) for one in listed if one.sealed),
        )

    def since(self, instant: str) -> Place:
        """Return the place where all that is there since an instant is still to be read.

        Raises:
            UnavailableError, InternalError: as `Storage.checkpoints`.
        """
        return Place(since=instant, there=self.now().read)

    def page(self, query: Query, place: Place) -> Arrived:
        """Return the next events behind a place, at most `query.limit`.

        Raises:
            UnavailableError, InternalError: as `Storage.search`.
        """
        for _ in range(ATTEMPTS):
            listed, found = self._look()
            place = reopened(place, listed)
            try:
                self._prove(found)
                settled = self._samples.settled()
                stretches = stretches_of(place, listed, found, settled)
                held_back = holds_back(place, listed, found, settled)
                arrived = self._read(query, place, stretches, alive(listed, found))
            except IndexGoneError:
                continue
            # What arrived after a reading by instant began is a page of its own.
            more = arrived.more or held_back or place.since is not None
            is_open = not arrived.more and not may_be_sealed(place, listed)
            return Arrived(arrived.hits, opened(arrived.place) if is_open else arrived.place, more)
        raise PartitionsChangedError

    def _look(self) -> tuple[Sequence[Index], Mapping[str, Checkpoint]]:
        for _ in range(ATTEMPTS):
            listed = self._listing.renew()
            written = [one.name for one in listed if not one.sealed]
            try:
                found = self._storage.checkpoints([*written, f"{journal_name(self._index)}*"])
            except IndexGoneError:
                continue
            self._missed.judge(set(written) - found.keys())
            self._samples.keep(found)
            return listed, found
        raise PartitionsChangedError

    def _prove(self, found: Mapping[str, Checkpoint]) -> None:
        """Have a primary refresh of which nobody knows whether it has; most do it by themselves.

        What is in the memory of a writer will be refreshed, and then another refresh proves it.
        """
        unproven = self._samples.unproven()
        asked = {
            name: one for name, one in found.items() if one.uuid in unproven and not one.pending
        }
        for copy in {one.copy for one in asked.values()}:
            names = [name for name, one in asked.items() if one.copy == copy]
            ended = self._storage.refresh(names, copy)
            self._samples.prove([asked[name] for name in ended])

    def _read(
        self, query: Query, place: Place, stretches: Sequence[Stretch], there: frozenset[str]
    ) -> Arrived:
        hits: list[Hit] = []
        read = dict(place.read)
        rest = portions(stretches)
        while rest and len(hits) < query.limit:
            some, *rest = rest
            size = query.limit - len(hits)
            search = arrival_search(query, place.since, some, size)
            names = [one.name for one in some]
            found = self._storage.search(search, names, copy=some[0].copy).hits.hits
            hits += found
            read |= marks_behind(some, found, is_full=len(found) == size)
            if len(found) == size:
                return Arrived(hits, trimmed(place, read, there), more=True)
        whole = {one.key for one in stretches if one.bound == WHOLE}
        behind = msgspec.structs.replace(place, done=place.done | whole)
        left = {key: number for key, number in read.items() if key not in whole}
        return Arrived(hits, trimmed(behind, left, there), more=False)


def key_of(uuid: str) -> str:
    """Return what stands for an index in a place."""
    return uuid[:KEY_CHARACTERS]


def reopened(place: Place, listed: Iterable[Index]) -> Place:
    """Return a place that takes nothing for done that takes events again.

    It may be sealed once more before they are read.
    """
    written = {key_of(one.uuid) for one in listed if not one.blocked}
    return msgspec.structs.replace(place, done=place.done - written)


def stretches_of(
    place: Place,
    listed: Iterable[Index],
    found: Mapping[str, Checkpoint],
    settled: Settled,
) -> list[Stretch]:
    """Return what can be read behind a place, index by index.

    Args:
        place: how far was read.
        listed: all indices that have a span.
        found: those that may be written, and the journal, with their uuids.
        settled: up to where all can be found, and in which copy.
    """
    blocked = {one.uuid for one in listed if one.blocked}
    stretches = [
        Stretch(one.name, key_of(one.uuid), place.read.get(key_of(one.uuid), NOTHING_READ), WHOLE)
        for one in listed
        if one.sealed and key_of(one.uuid) not in place.done
    ]
    for name, one in sorted(found.items()):
        key = key_of(one.uuid)
        if key in place.done and one.uuid in blocked:
            continue
        read = place.read.get(key, NOTHING_READ)
        bound = settled.numbers.get(one.uuid, NOTHING_READ)
        if bound > read:
            copy = settled.copies.get(one.uuid, "")
            stretches.append(Stretch(name, key, read, bound, copy))
    return stretches if place.since is None else opening(place, stretches)


def portions(stretches: Iterable[Stretch]) -> list[list[Stretch]]:
    """Return what is asked for at once: stretches of one copy, and not too many.

    A node that was cut off from the others takes its copy for the primary until it learns better,
    and answers with what it has. So the very copy is asked of which it is known how far it is,
    whatever the node that is asked for the search takes for the primary.
    """
    by_copy: dict[str, list[Stretch]] = {}
    for one in stretches:
        by_copy.setdefault(one.copy, []).append(one)
    return [
        some[begin : begin + STRETCHES_AT_ONCE]
        for some in by_copy.values()
        for begin in range(0, len(some), STRETCHES_AT_ONCE)
    ]


def opening(place: Place, stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return what of some stretches was there when a reading by instant began.

    No clock counts for what arrived later, so it is not read together with that.
    """
    cut = [
        msgspec.structs.replace(one, bound=min(one.bound, place.there.get(one.key, unknown)))
        for one in stretches
        # All of one that was sealed was there; one that was made since was not.
        for unknown in [WHOLE if one.bound == WHOLE else NOTHING_READ]
    ]
    return [one for one in cut if one.bound > one.read]


def opened(place: Place) -> Place:
    """Return a place that goes by no instant any more, once all that was there has been read."""
    if any(place.read.get(key, NOTHING_READ) < number for key, number in place.there.items()):
        return place
    return Place(read=place.read, done=place.done)


def may_be_sealed(place: Place, listed: Iterable[Index]) -> bool:
    """Tell whether an index may have been sealed where a reading by instant began, so there whole.

    Another process knows it for sealed only when it has seen it blocked for long enough.
    """
    known = place.done | place.there.keys()
    return any(one.blocked and not one.sealed and key_of(one.uuid) not in known for one in listed)


def holds_back(
    place: Place, listed: Iterable[Index], found: Mapping[str, Checkpoint], settled: Settled
) -> bool:
    """Tell whether there may be more behind a place, as old as you like, that nobody can tell yet.

    So it is of one that does not say how far it is. The first three are those of `stretches_of`.
    """
    if any(not one.sealed and one.name not in found for one in listed):
        return True
    blocked = {one.uuid for one in listed if one.blocked}
    return any(
        one.number > place.read.get(key_of(one.uuid), NOTHING_READ)
        and one.uuid not in settled.recent
        and not (key_of(one.uuid) in place.done and one.uuid in blocked)
        for one in found.values()
    )


def arrival_search(
    query: Query, since: str | None, stretches: Sequence[Stretch], size: int
) -> ScopedSearch:
    """Return the search of what lies in some stretches, by number and then by index."""
    clauses = [*filters(query), any_of([_stretch(one) for one in stretches])]
    if since is not None:
        clauses.append({"range": {"ingestedAt": {"gte": since}}})
    order: list[Clause] = [{"organizationId": "asc"}, {"_seq_no": "asc"}, {"_index": "asc"}]
    return ScopedSearch(
        organization_id=query.organization_id,
        filters=clauses,
        rest={"size": size, "sort": order, "track_total_hits": False},
    )


def marks_behind(
    stretches: Sequence[Stretch], hits: Sequence[Hit], *, is_full: bool
) -> dict[str, int]:
    """Return up to where each index was read, if these hits were answered.

    They are in the order of (number, name). A page that is not full ends all stretches; a full one
    ends at its last event, and what stands before that in an index has been read.
    """
    if not is_full:
        return {one.key: one.bound for one in stretches}
    _, number, name = hits[-1].sort
    return {
        one.key: max(one.read, min(one.bound, number if one.name <= str(name) else number - 1))
        for one in stretches
    }


def alive(listed: Iterable[Index], found: Mapping[str, Checkpoint]) -> frozenset[str]:
    """Return the keys of all indices there are."""
    uuids = [one.uuid for one in listed] + [one.uuid for one in found.values()]
    return frozenset(map(key_of, uuids))


def trimmed(place: Place, read: Mapping[str, int], there: frozenset[str]) -> Place:
    """Return a place without what is no longer there."""
    return Place(
        read={key: number for key, number in read.items() if key in there},
        done=place.done & there,
        since=place.since,
        there={key: number for key, number in place.there.items() if key in there},
    )


def _stretch(one: Stretch) -> Clause:
    bounds: dict[str, int] = {"gt": one.read}
    if one.bound != WHOLE:
        bounds["lte"] = one.bound
    within: list[Clause] = [{"term": {"_index": one.name}}, {"range": {"_seq_no": bounds}}]
    return {"bool": {"filter": within}}
