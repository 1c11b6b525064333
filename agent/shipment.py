"""From lines to what travels in one bulk request, and back to how far each file is settled.

The hot path of the agent: lines are decoded and checked a read at a time, and nothing is kept of
them but the body of the request. Only a read with a line that is no event is gone through one by
one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog
from msgspec import Struct

from agent.chain import Break, Links
from agent.chunk import Chunk, OverLong, Part, Piece, Run, by_source
from agent.refusals import Refusals
from agent.settings import AgentSettings
from agent.silence import read_sign
from agent.tail import Tail
from audit_events.envelope import Columns, Envelope, decode_envelope, read_columns, to_columns
from audit_events.errors import LineError
from audit_events.instant import format_instant
from indexer.batch import Batch
from indexer.dead_letter import Refusal
from indexer.settings import IndexSettings

_log = structlog.get_logger("agent")


class Counters(Struct):
    """What was read since the agent started."""

    lines: int = 0
    bytes: int = 0
    empty_lines: int = 0
    malformed_lines: int = 0
    over_long_lines: int = 0
    chain_breaks: int = 0


class Shipment:
    """Lines of one or many files that are settled together.

    `refusals` has the lines that are no events; they go to the dead letter before anything here
    counts as settled. `parts` are the places in files that move when it is.
    """

    __slots__ = ("batch", "opened", "parts", "refusals")

    def __init__(self, batch: Batch, opened: float) -> None:
        self.batch = batch
        self.opened = opened
        self.refusals = Refusals()
        self.parts: list[Part] = []

    @property
    def bytes(self) -> int:
        """Bytes of lines that it holds."""
        return self.batch.bytes + self.refusals.bytes


class Loader:
    """Fills shipments with chunks; a full one moves to `ready`.

    Args:
        settings: `batch_bytes`, `batch_events`.
        index: decides on partitions.
        links: verifies hashes, None to leave that.
        instant: the canonical instant of now, for `ingestedAt`.
    """

    def __init__(
        self,
        settings: AgentSettings,
        index: IndexSettings,
        links: Links | None = None,
        instant: Callable[[], str] = lambda: format_instant(datetime.now(UTC)),
    ) -> None:
        self._settings = settings
        self._index = index
        self._links = links
        self._instant = instant
        self._open: Shipment | None = None
        self.ready: deque[Shipment] = deque()
        self.counters = Counters()
        self.breaks: list[Break] = []
        """What `links` found since the owner took it."""

    @property
    def opened(self) -> float | None:
        """When (monotonic) the shipment was begun that is being filled, None without one."""
        return self._open.opened if self._open else None

    def load(self, chunk: Chunk, now: float) -> None:
        """Take all lines of a chunk; a batch may end between any two of them."""
        shipment, part = self._begin(chunk.tail, now)
        for piece in self._cut(chunk.pieces):
            if self._room() <= 0:
                part.anchor = chunk.anchor(part.end)
                self.close()
                shipment, part = self._begin(chunk.tail, now)
            if isinstance(piece, OverLong):
                self._refuse_over_long(piece, shipment, part)
            else:
                self._take(piece, shipment, part)
        part.end = chunk.end
        part.is_torn = chunk.is_torn
        part.anchor = chunk.anchor(part.end)
        # Full to the last line too: the next chunk must not begin with a part of none here, whose
        # end would be nowhere.
        if shipment.bytes >= self._settings.batch_bytes or self._room() <= 0:
            self.close()

    def close(self) -> None:
        """Send off what there is."""
        if self._open:
            self.ready.append(self._open)
            self._open = None

    def _room(self) -> int:
        """How many lines the open batch still takes."""
        held = len(self._open.batch) + self._open.refusals.lines if self._open else 0
        return self._settings.batch_events - held

    def _cut(self, pieces: list[Piece]) -> Iterator[Piece]:
        """The same pieces, none with more lines than there is room for when it is taken."""
        for piece in pieces:
            if isinstance(piece, OverLong) or len(piece.lines) <= self._room():
                yield piece
                continue
            offset, start = piece.offset, 0
            while start < len(piece.lines):
                room = self._room()
                count = room if room > 0 else self._settings.batch_events
                lines = piece.lines[start : start + count]
                yield Run(offset, lines)
                offset += sum(map(len, lines)) + len(lines)
                start += count

    def _begin(self, tail: Tail, now: float) -> tuple[Shipment, Part]:
        if self._open is None:
            self._open = Shipment(Batch(self._index, self._instant()), now)
        else:
            # A batch stays open for a while: no line is to look shipped before it was written.
            self._open.batch.stamp(self._instant())
        part = Part(tail)
        tail.parts.append(part)
        self._open.parts.append(part)
        return self._open, part

    def _take(self, run: Run, shipment: Shipment, part: Part) -> None:
        """Add lines to the batch; what is no event is refused, and the rest goes on."""
        columns = read_columns(run.lines)
        if columns is not None:
            size = self._add(run.offset, run.lines, columns, shipment, part)
        else:
            size = self._sort(run, shipment, part)
        part.end = run.offset + size
        self.counters.lines += len(run.lines)
        self.counters.bytes += size

    def _add(
        self, offset: int, lines: list[bytes], columns: Columns, shipment: Shipment, part: Part
    ) -> int:
        """Add events that stand one behind the other; returns how many bytes they take there."""
        path, batch = part.tail.path, shipment.batch
        held_bytes = batch.bytes
        batch.extend(lines, columns.ids, columns.timestamps, path, offset)
        stretches = by_source(columns)
        part.note(columns, stretches)
        for row in columns.signs:
            sign = read_sign(lines[row])
            if sign is not None:
                part.signs[sign.source_id] = sign
        if self._links is not None:
            for row in self._links.find_broken(lines, stretches):
                self.counters.chain_breaks += 1
                stands_at = offset + sum(map(len, lines[:row])) + row
                source_id, seq = columns.source_ids[row], columns.seqs[row]
                self.breaks.append(Break(source_id, seq, path, stands_at))
        return batch.bytes - held_bytes + len(lines)

    def _sort(self, run: Run, shipment: Shipment, part: Part) -> int:
        """One line by the other: there is one at least among them that is no event."""
        path, offset = part.tail.path, run.offset
        refused: list[tuple[int, str]] = []
        events: list[bytes] = []
        envelopes: list[Envelope] = []
        start, blank, instant = offset, 0, self._instant()
        for line in run.lines:
            found = _decode(line) if line else None
            if isinstance(found, Envelope):
                events.append(line)
                envelopes.append(found)
            elif events:
                self._add(start, events, to_columns(envelopes), shipment, part)
                events, envelopes = [], []
            if isinstance(found, str):
                shipment.refusals.add_line(path, offset, line, found, instant, blank=blank)
                refused.append((offset, found))
            blank = 0 if line else blank + 1
            offset += len(line) + 1
            start = start if events else offset
        if events:
            self._add(start, events, to_columns(envelopes), shipment, part)
        self.counters.empty_lines += run.lines.count(b"")
        self.counters.malformed_lines += len(refused)
        _tell_refused(path, refused)
        return offset - run.offset

    def _refuse_over_long(self, piece: OverLong, shipment: Shipment, part: Part) -> None:
        path = part.tail.path
        part.end = piece.offset + piece.length + 1
        self.counters.lines += 1
        self.counters.over_long_lines += 1
        self.counters.bytes += piece.length + 1
        shipment.refusals.add(
            Refusal(
                path=path,
                offset=piece.offset,
                reason=f"longer than {self._settings.max_line_bytes} bytes",
                time=self._instant(),
                length_bytes=piece.length,
                sha256=piece.sha256,
            )
        )
        _log.warning("line_too_long", path=path, offset=piece.offset, length=piece.length)


def _decode(line: bytes) -> Envelope | str:
    """The envelope of a line, or why it is no event."""
    try:
        return decode_envelope(line)
    except LineError as error:
        return error.reason


def _tell_refused(path: str, refused: list[tuple[int, str]]) -> None:
    """One entry a read: a file of garbage must not fill the agent's own log."""
    if refused:
        offset, reason = refused[0]
        _log.warning(
            "lines_refused",
            path=path,
            count=len(refused),
            first_offset=offset,
            first_reason=reason,
            hint="they are in the dead letter: `indelible dead-letter list`",
        )
