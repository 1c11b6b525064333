"""What one read of a file gave, and the parts of it that are under way."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.identity import ANCHOR_BYTES
from audit_events.envelope import Envelope

if TYPE_CHECKING:
    from agent.tail import Tail

Lines = list[bytes]


class Run:
    """Lines without their newlines that stand one behind the other from `offset` on."""

    __slots__ = ("data", "lines", "offset")

    def __init__(self, offset: int, lines: Lines, data: bytes = b"") -> None:
        self.offset = offset
        self.lines = lines
        self.data = data
        """The same lines as they were read, each with its newline; empty when nobody has them."""


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


class Part:
    """Lines of one tail that travel in one batch: settled or not, as a whole."""

    __slots__ = ("anchor", "end", "is_torn", "settled", "since", "spans", "tail")

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

    def note(self, envelopes: Sequence[Envelope]) -> None:
        """Keep of these events which sequences they continue, and since when they wait."""
        if not envelopes:
            return
        self.since = self.since or envelopes[0].timestamp
        # By source: where many processes write one file, each line has another one than the last.
        spans = {span.source_id: span for span in self.spans}
        for envelope in envelopes:
            source = envelope.source
            source_id, seq = source.id, source.seq
            span = spans.get(source_id)
            if span is None or seq != span.last + 1:
                spans[source_id] = span = Span(source_id, seq, envelope.hash)
                self.spans.append(span)
            else:
                span.last = seq
                span.hash = envelope.hash
