"""Whether what was read is all that was written: the `seq` of each source.

A source numbers its events without a gap, but they need not be read in that order: after a rotation
its older events stand in one file and its newer ones in another, and both are read at once. So a
range that is skipped is *missing* at first, and a gap only when everything that could be read when
it was noticed has been settled and it is missing still (`Horizon`). A gap that was told is
remembered for a while: what arrives of it after all (a file that was restored) closes it. Only
settled events count here: what is lost between reading and storing shows too.

Everything is bounded. The source that was quiet longest is forgotten first, and what is missing of
it is told at once. A forgotten source that writes again cannot be told from one whose beginning was
lost; `forgotten` keeps the newest id that was forgotten (UUIDv7: ids sort by the start of their
process), so a source that is younger is certainly new and its missing beginning a gap, and an older
one goes on where it is met.
"""

from itertools import chain
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from agent.archives import Search
from agent.checkpoint import SourceState
from agent.chunk import Span
from agent.content import Unpacked
from agent.tail import Tail

SOURCES_LIMIT: Final = 4096
"""Sources that are remembered; beyond it the one that was quiet longest is forgotten."""
MISSING_LIMIT: Final = 64
"""Missing ranges that are kept for one source; beyond it the oldest is told as a gap at once. Of
what was told as many are kept."""
INCOMPLETE_LIMIT: Final = 256
"""Sources of which something is missing, or was told; beyond it as above."""


class Spot(NamedTuple):
    """A place in a file: what is meant stands there or behind."""

    path: str
    offset: int


NOWHERE: Final = Spot("", 0)


class Gap(Struct, frozen=True):
    """Events `first` to `last` of a source were never read, or, once told so, were read later."""

    source_id: str
    first: int
    last: int
    path: str = ""
    offset: int = 0


class _Missing(NamedTuple):
    first: int
    last: int
    noticed: float
    """Monotonic."""
    spot: Spot


class _Source:
    __slots__ = ("hash", "kept", "missing", "seq", "told", "touched")

    def __init__(self, state: SourceState, now: float) -> None:
        self.seq = state.seq
        self.hash = state.hash
        self.touched = state.touched
        self.kept: SourceState | None = None
        """What `state` returned last, until something changes."""
        spot = Spot(state.path, state.offset)
        self.missing = [_Missing(first, last, now, spot) for first, last in state.missing]
        self.told = [_Missing(first, last, now, spot) for first, last in state.told]

    def state(self) -> SourceState:
        """Cheap while nothing changes: thousands of quiet sources are in every checkpoint."""
        if self.kept is None:
            self.kept = self._make_state()
        return self.kept

    def _make_state(self) -> SourceState:
        spot = self.missing[0].spot if self.missing else NOWHERE
        return SourceState(
            seq=self.seq,
            hash=self.hash,
            touched=self.touched,
            missing=tuple((one.first, one.last) for one in self.missing),
            told=tuple((one.first, one.last) for one in self.told),
            path=spot.path,
            offset=spot.offset,
        )


class Sources:
    """What is settled of each source, in the order in which it was settled.

    Args:
        states, forgotten: from the checkpoint.
        now: monotonic.
    """

    def __init__(self, states: dict[str, SourceState], now: float, forgotten: str = "") -> None:
        self._sources = {name: _Source(state, now) for name, state in states.items()}
        self.forgotten = forgotten
        self._overdue: list[Gap] = []
        self._closed: list[Gap] = []
        # Names alone, the oldest first; a dictionary as a set that keeps its order.
        self._gapped = {name: None for name, one in self._sources.items() if one.missing}
        self._told = {name: None for name, one in self._sources.items() if one.told}

    def settle(self, span: Span, now: float, unix_seconds: int, spot: Spot = NOWHERE) -> None:
        """Take events that are settled; `spot` is where they were read."""
        source = self._take_up(span, now)
        source.touched = unix_seconds
        source.kept = None
        self._forget(unix_seconds)
        if span.first > source.seq + 1:
            source.missing.append(_Missing(source.seq + 1, span.first - 1, now, spot))
            self._gapped.setdefault(span.source_id)
            self._bound_missing(span.source_id)
        elif span.first <= source.seq:
            self._fill(source, span, spot)
        if span.last > source.seq:
            source.seq, source.hash = span.last, span.hash

    def oldest_missing(self) -> float | None:
        """When the oldest range that is missing now was noticed, None if none is."""
        times = (one.noticed for name in self._gapped for one in self._sources[name].missing)
        return min(times, default=None)

    def take_gaps(self, until: float) -> list[Gap]:
        """The ranges noticed before `until` that are missing still; each is told once."""
        for name in sorted(self._gapped):
            self._tell(name, [one for one in self._sources[name].missing if one.noticed <= until])
        gaps, self._overdue = self._overdue, []
        return gaps

    def take_closed(self) -> list[Gap]:
        """What arrived since the last call of ranges that had been told as gaps."""
        closed, self._closed = self._closed, []
        return closed

    def last(self, source_id: str) -> tuple[int, str] | None:
        """The highest settled `seq` of a source and its hash."""
        source = self._sources.get(source_id)
        return (source.seq, source.hash) if source else None

    def states(self) -> dict[str, SourceState]:
        """What the checkpoint keeps, the source that was quiet longest first."""
        return {name: source.state() for name, source in self._sources.items()}

    def _take_up(self, span: Span, now: float) -> _Source:
        """The source, as the one that was heard last."""
        name = span.source_id
        source = self._sources.pop(name, None)
        if source is None:
            # Where a beginning may have been seen and forgotten, nothing is claimed about it.
            seq = -1 if name > self.forgotten else span.first - 1
            source = _Source(SourceState(seq=seq, hash="", touched=0), now)
        self._sources[name] = source
        return source

    def _fill(self, source: _Source, span: Span, spot: Spot) -> None:
        if source.missing:
            source.missing, _ = _split(source.missing, span.first, span.last)
            if not source.missing:
                self._gapped.pop(span.source_id, None)
            # What arrives in the middle of a range leaves two.
            self._bound_missing(span.source_id)
        if source.told:
            told, filled = _split(source.told, span.first, span.last)
            source.told = told[-MISSING_LIMIT:]
            self._closed += [
                Gap(span.source_id, first, last, spot.path, spot.offset) for first, last in filled
            ]
            if not source.told:
                self._told.pop(span.source_id, None)

    def _tell(self, name: str, due: list[_Missing]) -> None:
        """These ranges are gaps."""
        if not due:
            return
        source = self._sources[name]
        self._overdue += [
            Gap(name, one.first, one.last, one.spot.path, one.spot.offset) for one in due
        ]
        source.kept = None
        source.missing = [one for one in source.missing if one not in due]
        source.told = [*source.told, *due][-MISSING_LIMIT:]
        self._told.setdefault(name)
        if not source.missing:
            self._gapped.pop(name, None)
        if len(self._told) > INCOMPLETE_LIMIT:
            oldest = next(iter(self._told))
            self._sources[oldest].told.clear()
            self._sources[oldest].kept = None
            del self._told[oldest]

    def _bound_missing(self, name: str) -> None:
        missing = self._sources[name].missing
        if len(missing) > MISSING_LIMIT:
            self._tell(name, missing[:-MISSING_LIMIT])
        if len(self._gapped) > INCOMPLETE_LIMIT:
            oldest = next(iter(self._gapped))
            self._tell(oldest, self._sources[oldest].missing)

    def _forget(self, unix_seconds: int) -> None:
        if len(self._sources) <= SOURCES_LIMIT:
            return
        quiet = next(iter(self._sources))
        self._tell(quiet, self._sources[quiet].missing)
        self._told.pop(quiet, None)
        del self._sources[quiet]
        # An id that is no UUIDv7, or lies about its time, must not make all others look old.
        self.forgotten = max(self.forgotten, min(quiet, _newest_id(unix_seconds)))


class Readable(Protocol):
    """What is asked of the follower."""

    def contents(self) -> list[Tail]:
        """Every file that is followed, and what is not settled."""
        ...

    def searches(self) -> set[Search]:
        """Archives that are unpacked up to where they are read on, and so no contents yet."""
        ...


class Horizon:
    """What could be read at one instant; `is_passed` when all of it is settled."""

    def __init__(self, files: Readable, now: float) -> None:
        self.taken = now
        self._files = files
        self._searches = files.searches()
        self._targets = self._aim()

    def is_passed(self) -> bool:
        """Whether every file is settled up to where it ended then, or is gone."""
        if self._searches:
            self._searches &= self._files.searches()
            if self._searches:
                return False
            self._targets = self._aim()
        for tail, target in list(self._targets.items()):
            # The bytes of a half line at the end stay unsettled for as long as it is half.
            # If their writer takes them back, the file ends before it.
            is_read = tail.position >= min(target, tail.size) or tail.descriptor < 0
            is_settled = tail.settled >= target or (is_read and tail.is_settled)
            if is_settled and not _may_unpack_more(tail):
                del self._targets[tail]
        return not self._targets

    def _aim(self) -> dict[Tail, int]:
        ends = {tail: max(tail.size, tail.position) for tail in self._files.contents()}
        return {
            tail: end for tail, end in ends.items() if tail.settled < end or _may_unpack_more(tail)
        }


def _may_unpack_more(tail: Tail) -> bool:
    """Whether the size of an archive is still a guess, which may be a tenth of what it unpacks."""
    return tail.has_more and tail.descriptor >= 0 and isinstance(tail.content, Unpacked)


def _split(
    ranges: list[_Missing], first: int, last: int
) -> tuple[list[_Missing], list[tuple[int, int]]]:
    """The ranges without what lies in [first, last], and what of them lies there."""
    if all(one.last < first or one.first > last for one in ranges):
        return ranges, []
    left = list(chain.from_iterable(_without(one, first, last) for one in ranges))
    inside = [(max(one.first, first), min(one.last, last)) for one in ranges]
    return left, [(low, high) for low, high in inside if low <= high]


def _without(one: _Missing, first: int, last: int) -> list[_Missing]:
    """What is left of one range: nothing, all of it, or a piece at either end."""
    pieces = (
        one._replace(last=min(one.last, first - 1)),
        one._replace(first=max(one.first, last + 1)),
    )
    return [piece for piece in pieces if piece.first <= piece.last]


def _newest_id(unix_seconds: int) -> str:
    """What sorts behind every UUIDv7 that was made up to that second."""
    milliseconds = f"{(unix_seconds + 1) * 1000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
