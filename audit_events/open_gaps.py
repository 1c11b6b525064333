"""What is missing of chains so far, while lines are still to come: a late one may stand there.

An application that could not write an event keeps its place in the chain, and somebody appends the
line later (docs/applications.md, "Durability"). Whether it is that line shows by its hash, which
follows from the line before the gap, and by that of the line behind it.
"""

from typing import Final

from msgspec import Struct

from audit_events.chain import carried_hash, follows

LINES_BYTES: Final = 64 << 20
"""Of lines behind gaps that are held; a gap beyond that is told at once."""


class Gap(Struct, frozen=True):
    """Events `first` to `last` of a source, both included."""

    source_id: str
    first: int
    last: int
    previous: bytes
    """Hash of the event before."""
    after: bytes
    """The line of the event behind."""
    place: int
    """Where that stands, as the caller counts."""


class OpenGaps:
    """Gaps of many sources, and what fills them."""

    def __init__(self, lines_bytes: int = LINES_BYTES) -> None:
        self._room = lines_bytes
        self._gaps: dict[str, list[Gap]] = {}

    def add(self, gap: Gap) -> bool:
        """Remember it; False where there is no room, so that nothing will ever fill it."""
        if len(gap.after) > self._room:
            return False
        self._room -= len(gap.after)
        self._gaps.setdefault(gap.source_id, []).append(gap)
        return True

    def fill(self, source_id: str, seq: int, digest: str, line: bytes, place: int) -> bool | None:
        """Put a late line where it is missing.

        Args:
            source_id: of its source.
            seq: its own.
            digest: the hash that it carries.
            line: that stands late.
            place: where it does.

        Returns:
            Whether it fits its neighbours, as far as these are there; None where no such line is
            missing.
        """
        gaps = self._gaps.get(source_id, [])
        gap = next((one for one in gaps if one.first <= seq <= one.last), None)
        if gap is None:
            return None
        gaps.remove(gap)
        self._room += len(gap.after)
        own, fits = carried_hash(digest), True
        if seq > gap.first:
            self.add(Gap(source_id, gap.first, seq - 1, gap.previous, line, place))
        else:
            fits = follows(gap.previous, line)
        if seq < gap.last:
            self.add(Gap(source_id, seq + 1, gap.last, own, gap.after, gap.place))
        else:
            fits = fits and follows(own, gap.after)
        return fits

    def rest(self) -> list[Gap]:
        """What was filled by nothing, by place."""
        return sorted((gap for gaps in self._gaps.values() for gap in gaps), key=_by_place)


def _by_place(gap: Gap) -> int:
    return gap.place
