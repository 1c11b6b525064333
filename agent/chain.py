"""Whether what was read is all that was written: the `seq` of each source, and its hashes.

A source numbers its events without a gap, but they need not be read in that order: after a rotation
its older events stand in one file and its newer ones in another, and both are read at once. So a
range that is skipped is *missing* at first, and a gap only when everything that could be read when
it was noticed has been settled and it is missing still (`Horizon`). Only settled events count here:
what is lost between reading and storing shows too.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from agent.checkpoint import SourceState
from agent.chunk import Span
from agent.tail import Tail
from audit_events.chain import decode_hash, genesis, verify_line
from audit_events.envelope import Envelope

SOURCES_LIMIT: Final = 4096
"""Sources that are remembered; beyond it the one that was quiet longest is forgotten."""
MISSING_LIMIT: Final = 256
"""Missing ranges that are kept for one source; beyond it the oldest is told as a gap at once."""


class Gap(Struct, frozen=True):
    """Events `first` to `last` of a source were never read."""

    source_id: str
    first: int
    last: int


class _Source:
    __slots__ = ("hash", "missing", "seq", "touched")

    def __init__(self, state: SourceState | None, now: float) -> None:
        self.seq = state.seq if state else -1
        self.hash = state.hash if state else ""
        self.touched = state.touched if state else 0
        missing = state.missing if state else ()
        # What is missing, and when (monotonic) it was noticed.
        self.missing: list[tuple[int, int, float]] = [(first, last, now) for first, last in missing]

    def state(self) -> SourceState:
        missing = tuple((first, last) for first, last, _ in self.missing)
        return SourceState(seq=self.seq, hash=self.hash, touched=self.touched, missing=missing)


class Sources:
    """What is settled of each source, in the order in which it was settled."""

    def __init__(self, states: dict[str, SourceState], now: float) -> None:
        self._sources = {name: _Source(state, now) for name, state in states.items()}
        self._overdue: list[Gap] = []
        self._gapped = {name for name, source in self._sources.items() if source.missing}

    def settle(self, span: Span, now: float, unix_seconds: int) -> None:
        """Take events that are settled."""
        source = self._sources.get(span.source_id)
        if source is None:
            source = self._sources[span.source_id] = _Source(None, now)
        source.touched = unix_seconds
        self._forget()
        if span.first > source.seq + 1:
            source.missing.append((source.seq + 1, span.first - 1, now))
            self._gapped.add(span.source_id)
            if len(source.missing) > MISSING_LIMIT:
                first, last, _ = source.missing.pop(0)
                self._overdue.append(Gap(span.source_id, first, last))
        elif span.first <= source.seq and source.missing:
            source.missing = _without(source.missing, span.first, span.last)
        if span.last > source.seq:
            source.seq, source.hash = span.last, span.hash

    def oldest_missing(self) -> float | None:
        """When the oldest range that is missing now was noticed, None if none is."""
        times = [noticed for name in self._gapped for _, _, noticed in self._sources[name].missing]
        return min(times, default=None)

    def take_gaps(self, until: float) -> list[Gap]:
        """The ranges noticed before `until` that are missing still; each is told once."""
        gaps, self._overdue = self._overdue, []
        for name in sorted(self._gapped):
            source = self._sources[name]
            due = [one for one in source.missing if one[2] <= until]
            gaps += [Gap(name, first, last) for first, last, _ in due]
            source.missing = [one for one in source.missing if one[2] > until]
            if not source.missing:
                self._gapped.discard(name)
        return gaps

    def last(self, source_id: str) -> tuple[int, str] | None:
        """The highest settled `seq` of a source and its hash."""
        source = self._sources.get(source_id)
        return (source.seq, source.hash) if source else None

    def states(self) -> dict[str, SourceState]:
        """What the checkpoint keeps."""
        return {name: source.state() for name, source in self._sources.items()}

    def _forget(self) -> None:
        if len(self._sources) > SOURCES_LIMIT:
            quiet = min(self._sources, key=lambda name: self._sources[name].touched)
            del self._sources[quiet]
            self._gapped.discard(quiet)


class Links:
    """Verifies the hash of each event against the one read before it from the same source.

    Where that one was not read just before (rotation, a gap), the event is not verified: the
    verifier of what is stored does it in order.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._read: dict[str, tuple[int, bytes]] = {}

    def holds(self, envelope: Envelope, line: bytes) -> bool:
        """Whether this line follows the one before it; True too where that one is unknown."""
        source_id, seq = envelope.source.id, envelope.source.seq
        previous = self._previous(source_id, seq)
        digest = None if previous is None else verify_line(previous, line)
        if len(self._read) >= SOURCES_LIMIT and source_id not in self._read:
            self._read.clear()
        self._read[source_id] = (seq, digest or _carried(envelope.hash))
        return previous is None or digest is not None

    def _previous(self, source_id: str, seq: int) -> bytes | None:
        if seq == 0:
            return genesis(source_id)
        read = self._read.get(source_id)
        if read is not None and read[0] == seq - 1:
            return read[1] or None
        settled = self._sources.last(source_id)
        if settled is not None and settled[0] == seq - 1:
            return _carried(settled[1]) or None
        return None


class Horizon:
    """What could be read at one instant; `is_passed` when all of it is settled."""

    def __init__(self, tails: Iterable[Tail], now: float) -> None:
        self.taken = now
        self._targets = {
            tail: max(tail.size, tail.position)
            for tail in tails
            if tail.settled < max(tail.size, tail.position)
        }

    def is_passed(self) -> bool:
        """Whether every file is settled up to where it ended then, or is gone."""
        for tail, target in list(self._targets.items()):
            # The bytes of a half line at the end stay unsettled for as long as it is half.
            # If their writer takes them back, the file ends before it.
            is_read = tail.position >= min(target, tail.size) or tail.descriptor < 0
            if tail.settled >= target or (is_read and tail.is_settled):
                del self._targets[tail]
        return not self._targets


def _without(
    missing: list[tuple[int, int, float]], first: int, last: int
) -> list[tuple[int, int, float]]:
    """The ranges without what lies in [first, last]."""
    left: list[tuple[int, int, float]] = []
    for low, high, noticed in missing:
        if high < first or low > last:
            left.append((low, high, noticed))
            continue
        if low < first:
            left.append((low, first - 1, noticed))
        if high > last:
            left.append((last + 1, high, noticed))
    return left


def _carried(text: str) -> bytes:
    try:
        return decode_hash(text)
    except ValueError:
        return b""
