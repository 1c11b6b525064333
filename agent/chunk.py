"""What one read of a file gave, and the parts of it that are under way."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agent.identity import ANCHOR_BYTES
from audit_events.envelope import Columns

if TYPE_CHECKING:
    from agent.tail import Tail

Lines = list[bytes]


class Run:
    """Lines without their newlines that stand one behind the other from `offset` on."""

    __slots__ = ("lines", "offset")

    def __init__(self, offset: int, lines: Lines) -> None:
        self.offset = offset
        self.lines = lines


class OverLong:
    """A line beyond the limit: only where it was, how long, and its digest are known."""

    __slots__ = ("length", "offset", "sha256")

    def __init__(self, offset: int, length: int, digest: str) -> None:
        self.offset = offset
        self.length = length
        self.sha256 = digest


Piece = Run | OverLong


class Chunk:
    """What one read gave: whole lines, in order, and how to mark any end of line among them."""

    __slots__ = ("_base", "_before", "_data", "end", "is_torn", "pieces", "tail")

    def __init__(
        self, tail: "Tail", pieces: list[Piece], *, end: int, data: bytes, base: int, before: bytes
    ) -> None:
        self.tail = tail
        self.pieces = pieces
        self.end = end
        self._data = data
        self.is_torn = not data
        """Whether it is the half line at the end of a file."""
        self._base = base
        self._before = before

    def anchor(self, end: int) -> bytes:
        """The bytes just before `end`, which is an end of line among these."""
        reach = end - self._base
        if reach >= ANCHOR_BYTES:
            return self._data[reach - ANCHOR_BYTES : reach]
        return (self._before + self._data[:reach])[-ANCHOR_BYTES:]


class Span:
    """Events of one source whose `seq` follow each other; `hash` is that of the last."""

    __slots__ = ("first", "hash", "last", "source_id")

    def __init__(self, source_id: str, seq: int, hash_text: str) -> None:
        self.source_id = source_id
        self.first = seq
        self.last = seq
        self.hash = hash_text


class Sign(NamedTuple):
    """What a source says of itself: that it lives, or (without an interval) that it ends."""

    source_id: str
    seq: int
    interval_seconds: float
    service: str
    host: str


class Stretch:
    """What one source has among events that were read together; columns, in their order."""

    __slots__ = ("hashes", "is_unbroken", "rows", "seqs", "source_id")

    def __init__(
        self, source_id: str, rows: Sequence[int], seqs: Sequence[int], hashes: Sequence[str]
    ) -> None:
        self.source_id = source_id
        self.rows = rows
        self.seqs = seqs
        self.hashes = hashes
        self.is_unbroken = list(seqs) == list(range(seqs[0], seqs[0] + len(seqs)))
        """Whether each `seq` follows the one before it."""

    def sequences(self) -> Iterable[tuple[int, int, str]]:
        """First and last `seq`, and the hash of the last, of events that follow each other."""
        if self.is_unbroken:
            return [(self.seqs[0], self.seqs[-1], self.hashes[-1])]
        return zip(self.seqs, self.seqs, self.hashes, strict=True)


def by_source(columns: Columns) -> list[Stretch]:
    """One stretch for each source: where processes share a file their lines alternate."""
    source_ids, seqs, hashes = columns.source_ids, columns.seqs, columns.hashes
    if len(set(source_ids)) == 1:
        return [Stretch(source_ids[0], range(len(seqs)), seqs, hashes)]
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, source_id in enumerate(source_ids):
        rows[source_id].append(row)
    return [
        Stretch(source_id, own, [*map(seqs.__getitem__, own)], [*map(hashes.__getitem__, own)])
        for source_id, own in rows.items()
    ]


class Part:
    """Lines of one tail that travel in one batch: settled or not, as a whole."""

    __slots__ = ("anchor", "end", "is_torn", "settled", "signs", "since", "spans", "tail")

    def __init__(self, tail: "Tail") -> None:
        self.tail = tail
        self.end = 0
        self.is_torn = False
        """Whether it ends in the middle of a line, because nobody is going to complete it."""
        self.anchor = b""
        """Bytes just before `end`."""
        self.settled = False
        self.since = ""
        """Timestamp of its first event."""
        self.spans: list[Span] = []
        self.signs: dict[str, Sign] = {}
        """The last of each source with which it says that it lives, or that it ends."""

    def note(self, columns: Columns, stretches: Iterable[Stretch]) -> None:
        """Keep of these events which sequences they continue, and since when they wait."""
        if not columns.ids:
            return
        self.since = self.since or columns.timestamps[0]
        spans = {span.source_id: span for span in self.spans}
        for stretch in stretches:
            source_id = stretch.source_id
            for first, last, hash_text in stretch.sequences():
                span = spans.get(source_id)
                if span is None or first != span.last + 1:
                    spans[source_id] = span = Span(source_id, first, hash_text)
                    self.spans.append(span)
                span.last = last
                span.hash = hash_text
