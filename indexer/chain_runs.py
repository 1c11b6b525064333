"""The chains of many sources, in whatever order their events come: what holds, and what does not.

Events that are stored are read in the order in which they lie, by partition and time, and a
source's need not be in that order: clocks are set, late events lie in an index of their own. So of
each source there are runs, parts of its chain that hold in themselves. An event goes on with one,
stands before one, or joins two; what is between two in the end is missing. Where all is well there
is one run of a source, and of that the hash of its last event alone. Pure.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from audit_events.chain import carried_hash, follows, genesis

SOURCES_LIMIT: Final = 200_000
"""Sources that are remembered, some 85 MB; beyond it the one quiet longest is not."""
HEADS_BYTES: Final = 64 << 20
"""Of first events of runs that are held; without room what is before one is told missing at once,
and nothing will fill it."""

JUDGED: Final = 8
"""Of events that stand in one place so many are held against as many of the next: it is each
against each, and whoever has the writer's password can store a million of them."""


class StoredEvent(Struct, frozen=True, gc=False, array_like=True):
    """An event where it is stored."""

    index: str
    source_id: str
    seq: int
    id: str
    timestamp: str
    hash: str
    line: bytes


class Break(Struct, frozen=True):
    """An event that is not what belongs there.

    `altered`: it does not follow; it, or the one before it, is not what was hashed. `twice`: it, or
    another event, has that place already.
    """

    kind: Literal["altered", "twice"]
    event: StoredEvent


class Missing(Struct, frozen=True):
    """Events `first` to `last` of a source, both included, that did not come."""

    source_id: str
    first: int
    last: int
    since: str
    """When the event before them happened."""
    after: StoredEvent
    """The one behind them, perhaps without its line."""


Flaw = Break | Missing


class _Run(Struct):
    """A part of a chain that holds, from `first` to `last`."""

    first: int
    last: int
    digest: bytes
    """Hash of its last event."""
    since: str
    """When that happened."""
    head: StoredEvent | None
    """Its first event, where one may come before it; without the line where there was no room."""


_source_of: Final = attrgetter("source_id")
_seq_of: Final = attrgetter("seq")
_place_of: Final = attrgetter("source_id", "seq")
_first_of: Final = attrgetter("first")


class ChainRuns:
    """What was read of each source so far."""

    def __init__(
        self, *, sources_limit: int = SOURCES_LIMIT, heads_bytes: int = HEADS_BYTES
    ) -> None:
        self._limit = sources_limit
        self._room = heads_bytes
        self._runs: OrderedDict[str, list[_Run]] = OrderedDict()
        self.sources = 0
        """How many were seen; one that was forgotten and speaks again counts again."""
        self.forgotten = 0
        """How many are no longer known, as there were too many."""

    def take(self, events: Iterable[StoredEvent]) -> Iterator[Flaw]:
        """Take some events, in any order; the more at once, the fewer runs there are meanwhile."""
        for source_id, own in groupby(sorted(events, key=_place_of), key=_source_of):
            if source_id not in self._runs:
                self.sources += 1
            runs = self._runs.setdefault(source_id, [])
            self._runs.move_to_end(source_id)
            places = [list(same) for _, same in groupby(own, key=_seq_of)]
            for same, behind in zip(places, [*places[1:], []], strict=True):
                yield from self._place(runs, same, behind)
        while len(self._runs) > self._limit:
            _, runs = self._runs.popitem(last=False)
            self._room += sum(_size(run) for run in runs)
            self.forgotten += 1
            yield from _between(runs)

    def missing(self) -> list[Missing]:
        """What is between the runs of each source."""
        return [gap for runs in self._runs.values() for gap in _between(runs)]

    def beginnings(self) -> Iterator[StoredEvent]:
        """The first event of each source that begins behind `seq` 0."""
        for runs in self._runs.values():
            if runs and runs[0].head is not None:
                yield runs[0].head

    def _place(
        self, runs: list[_Run], same: Sequence[StoredEvent], behind: Sequence[StoredEvent]
    ) -> Iterator[Flaw]:
        """Put the events of one `seq` where they belong; `behind` them are those of the next."""
        seq = same[0].seq
        # As a rule there is one run, and this goes on with it.
        at = len(runs) if runs and runs[-1].last < seq else bisect_right(runs, seq, key=_first_of)
        before = runs[at - 1] if at else None
        if before is not None and seq <= before.last:
            yield from (Break("twice", one) for one in same)
            return
        previous = None
        if seq == 0:
            previous = genesis(same[0].source_id)
        elif before is not None and before.last == seq - 1:
            previous = before.digest
        event, *others = same if len(same) == 1 else _choose(previous, same, behind)
        yield from (Break("twice", one) for one in others)
        if previous is not None and not follows(previous, event.line):
            yield Break("altered", event)
        if before is not None and before.last == seq - 1:
            _append(before, event)
            run = before
        else:
            gap = self._begin(runs, at, event)
            if gap is not None:
                yield gap
            run = runs[at] if gap is None else runs[at - 1]
        yield from self._join(runs, run)

    def _begin(self, runs: list[_Run], at: int, event: StoredEvent) -> Missing | None:
        """Begin a run; what is missing before it where there is no room for one."""
        head = event if event.seq else None
        if head is not None and len(head.line) > self._room:
            if at:
                gap = _gap(runs[at - 1], head)
                _append(runs[at - 1], head)
                return gap
            head = replace(head, line=b"")
        run = _Run(event.seq, event.seq, carried_hash(event.hash), event.timestamp, head)
        runs.insert(at, run)
        self._room -= _size(run)
        return None

    def _join(self, runs: list[_Run], run: _Run) -> Iterator[Flaw]:
        """Make one of this run and the next, where they touch."""
        at = bisect_right(runs, run.first, key=_first_of)
        if at == len(runs) or runs[at].first != run.last + 1:
            return
        next_ = runs.pop(at)
        self._room += _size(next_)
        head = next_.head
        if head is not None and head.line and not follows(run.digest, head.line):
            yield Break("altered", head)
        run.last, run.digest, run.since = next_.last, next_.digest, next_.since


def _choose(
    previous: bytes | None, same: Sequence[StoredEvent], behind: Sequence[StoredEvent]
) -> list[StoredEvent]:
    """Events of one place, the one first that its neighbours vouch for."""

    def is_behind(event: StoredEvent) -> bool:
        return previous is not None and follows(previous, event.line)

    def is_before(event: StoredEvent) -> bool:
        own = carried_hash(event.hash)
        return any(follows(own, one.line) for one in behind[:JUDGED])

    ordered = sorted(same, key=is_behind, reverse=True)
    return [*sorted(ordered[:JUDGED], key=is_before, reverse=True), *ordered[JUDGED:]]


def _between(runs: Sequence[_Run]) -> Iterator[Missing]:
    for before, run in pairwise(runs):
        if run.head is not None:
            yield _gap(before, run.head)


def _gap(before: _Run, after: StoredEvent) -> Missing:
    return Missing(after.source_id, before.last + 1, after.seq - 1, before.since, after)


def _append(run: _Run, event: StoredEvent) -> None:
    run.last, run.since, run.digest = event.seq, event.timestamp, carried_hash(event.hash)


def _size(run: _Run) -> int:
    return 0 if run.head is None else len(run.head.line)
