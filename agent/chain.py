"""Whether what was read is what was written: the hash of each event, on the way.

Gaps in `seq` are the business of `agent.sources`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.chunk import Stretch
from agent.sources import SOURCES_LIMIT, Sources
from audit_events.chain import carried_hash, genesis, verify_line, verify_run


class Break(NamedTuple):
    """An event that does not follow from the one before it, and where it stands."""

    source_id: str
    seq: int
    path: str
    offset: int


class Links:
    """Verifies the hash of each event against the one read before it from the same source.

    Where that one was not read just before (rotation, a gap), the event is not verified: the
    verifier of what is stored does it in order.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._read: dict[str, tuple[int, bytes]] = {}

    def find_broken(self, lines: Sequence[bytes], stretches: Iterable[Stretch]) -> list[int]:
        """The rows that do not follow the one before them, where that one is known."""
        broken: list[int] = []
        for stretch in stretches:
            is_all = len(stretch.rows) == len(lines)
            own = lines if is_all else [lines[row] for row in stretch.rows]
            broken += self._broken(own, stretch)
        return sorted(broken)

    def _broken(self, lines: Sequence[bytes], stretch: Stretch) -> list[int]:
        """Of one source; `lines` are those of the stretch."""
        source_id = stretch.source_id
        if stretch.is_unbroken:
            previous = self._previous(source_id, stretch.seqs[0])
            last = verify_run(previous, lines, stretch.hashes) if previous else None
            if last is not None:
                self._remember(source_id, stretch.seqs[-1], last)
                return []
        rows = zip(stretch.rows, lines, stretch.seqs, stretch.hashes, strict=True)
        return [
            row
            for row, line, seq, hash_text in rows
            if not self._holds(line, source_id, seq, hash_text)
        ]

    def _holds(self, line: bytes, source_id: str, seq: int, hash_text: str) -> bool:
        previous = self._previous(source_id, seq)
        digest = None if previous is None else verify_line(previous, line)
        self._remember(source_id, seq, digest or carried_hash(hash_text))
        return previous is None or digest is not None

    def _remember(self, source_id: str, seq: int, digest: bytes) -> None:
        if len(self._read) >= SOURCES_LIMIT and source_id not in self._read:
            self._read.clear()
        self._read[source_id] = (seq, digest)

    def _previous(self, source_id: str, seq: int) -> bytes | None:
        if seq == 0:
            return genesis(source_id)
        read = self._read.get(source_id)
        if read is not None and read[0] == seq - 1:
            return read[1] or None
        settled = self._sources.last(source_id)
        if settled is not None and settled[0] == seq - 1:
            return carried_hash(settled[1]) or None
        return None
