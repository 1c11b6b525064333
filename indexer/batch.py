"""A batch: the lines that go to OpenSearch in one bulk request, framed as they come.

The hot path of the agent: no object for each line and one copy of its bytes, the one that is sent.
The lines stay the bytes that the emitter wrote; only `ingestedAt` is spliced in as the last key,
and the action line (`create` and nothing else) is put in front. What is asked
for rarely (one line, where it stood) is found again in those bytes.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final

from msgspec import Struct

from audit_events.terms import MAX_TERM_BYTES
from indexer.document_id import document_id, join_document_ids
from indexer.names import admitted_window, late_name, partition_characters, partition_name
from indexer.nesting import MAX_LEVELS, SHALLOW_LINE_BYTES, is_too_deep
from indexer.settings import IndexSettings
from indexer.width import is_too_wide

Line = bytes
"""One event as it was read, without its newline."""
Piece = bytes
Body = Sequence[Piece]
"""Pieces that are sent one behind the other; together they are megabytes, so nobody joins them."""

_MARK: Final = b"\xff"
"""Stands between two texts for a moment; neither ids nor names of indices can hold it."""
_but_last_byte: Final = itemgetter(slice(None, -1))


class _Run(Struct, frozen=True, gc=False):
    """Rows whose lines stood one behind the other in one file."""

    first_row: int
    count: int
    path: str
    offset: int
    text: bytes
    """Action line and document of each row."""


class Batch:
    """Lines in the order of their addition; row `i` is the same line in every column.

    Args:
        settings: decide on the partitions, and which timestamps are taken.
        ingested_at: canonical instant, written into the lines to come as `ingestedAt`.
    """

    __slots__ = (
        "_ceiling",
        "_floor",
        "_heads",
        "_partition_characters",
        "_runs",
        "_settings",
        "_tail",
        "bytes",
        "ids",
        "outside",
        "refused",
        "timestamps",
    )

    def __init__(self, settings: IndexSettings, ingested_at: str) -> None:
        self._settings = settings
        self._floor, self._ceiling = admitted_window(ingested_at, settings)
        self.stamp(ingested_at)
        self._partition_characters = partition_characters(settings)
        self._heads: dict[str, Piece] = {}
        self._runs: list[_Run] = []
        self.bytes = 0
        """Bytes of the lines as read, without newlines."""
        self.ids: list[str] = []
        self.timestamps: list[str] = []
        self.refused: dict[int, str] = {}
        """Rows that must not be sent, with the reason, fit for a dead letter."""
        self.outside: dict[int, str] = {}
        """The same for rows whose timestamp is not admitted now: they may be stored already."""

    def __len__(self) -> int:
        return len(self.ids)

    def extend(
        self,
        lines: Sequence[Line],
        ids: Sequence[str],
        timestamps: Sequence[str],
        path: str,
        offset: int,
    ) -> None:
        """Take lines that stand one behind the other in a file.

        Args:
            lines: JSON objects as read, without their newlines; they were checked by
                `audit_events.envelope`, and end with `}`.
            ids: of each event.
            timestamps: of each event, canonical.
            path: file that the lines were read from.
            offset: of the first line's first byte there.
        """
        if not lines:
            return
        first_row, lengths = len(self.ids), list(map(len, lines))
        earliest, latest = min(timestamps), max(timestamps)
        if earliest < self._floor or latest >= self._ceiling:
            self._note_outside(timestamps, first_row)
        if max(lengths) > SHALLOW_LINE_BYTES:
            self._refuse_costly(lines, lengths, first_row)
        heads = self._frame(ids, timestamps, earliest, latest)
        parts = [b""] * (2 * len(lines) + 1)
        parts[0:-1:2] = heads
        parts[1::2] = map(_but_last_byte, lines)
        parts[-1] = self._tail.encode()
        self._runs.append(_Run(first_row, len(lines), path, offset, b"".join(parts)))
        self.ids += ids
        self.timestamps += timestamps
        self.bytes += sum(lengths)

    def stamp(self, ingested_at: str) -> None:
        """Write this canonical instant into the lines to come; all are of one length."""
        self._tail = f',"ingestedAt":"{ingested_at}"}}\n'

    def body(self, rows: Sequence[int], *, late: bool = False) -> Body:
        """The body of a bulk request (NDJSON).

        Args:
            rows: which, ascending.
            late: into the indices of late events, and not into the partitions.
        """
        if not late and len(rows) == len(self.ids):
            return [run.text for run in self._runs]
        parts: list[Piece] = []
        for run, wanted in self._by_run(rows):
            pieces = run.text.split(b"\n")
            for row in wanted:
                at = 2 * (row - run.first_row)
                action = self._late_action(row) if late else pieces[at]
                parts += (action, b"\n", pieces[at + 1], b"\n")
        return [b"".join(parts)]

    def lines(self) -> list[Line]:
        """All lines as they were read; a pass over all bytes."""
        cut = len(self._tail) - 1
        return [
            document[:-cut] + b"}" for run in self._runs for document in run.text.split(b"\n")[1::2]
        ]

    def located(self, rows: Sequence[int]) -> list[tuple[str, int, Line]]:
        """Path, offset and line of these rows, ascending; a pass over the runs that hold them."""
        found: list[tuple[str, int, Line]] = []
        # A document is the line without its newline and with `ingestedAt`, which ends with one.
        longer = len(self._tail) - 2
        for run, wanted in self._by_run(rows):
            documents = run.text.split(b"\n")[1::2]
            lengths = [len(document) - longer + 1 for document in documents]
            offsets = list(accumulate(lengths, initial=run.offset))
            for row in wanted:
                line = documents[row - run.first_row][: -longer - 1] + b"}"
                found.append((run.path, offsets[row - run.first_row], line))
        return found

    def _frame(
        self, ids: Sequence[str], timestamps: Sequence[str], earliest: str, latest: str
    ) -> list[Piece]:
        """For each line, what stands before it: the end of the line before, and its action."""
        characters, tail = self._partition_characters, self._tail.encode()
        if earliest[:characters] == latest[:characters]:
            # Canonical instants sort as text: all are of one partition.
            head = self._head(earliest)
            between = b'"}}\n%b%b%b' % (_MARK, tail, head)
            text = b'%b%b"}}\n' % (head, join_document_ids(between, ids))
            return text.split(_MARK)
        stored_ids = join_document_ids(_MARK, ids).split(_MARK)
        actions = [
            b'%b%b"}}\n' % (self._head(timestamp), stored_id)
            for stored_id, timestamp in zip(stored_ids, timestamps, strict=True)
        ]
        return [actions[0], *(tail + action for action in actions[1:])]

    def _head(self, timestamp: str) -> Piece:
        key = timestamp[: self._partition_characters]
        head = self._heads.get(key)
        if head is None:
            name = partition_name(timestamp, self._settings)
            head = self._heads[key] = f'{{"create":{{"_index":"{name}","_id":"'.encode()
        return head

    def _late_action(self, row: int) -> Piece:
        name = late_name(self.timestamps[row], self._settings)
        return f'{{"create":{{"_index":"{name}","_id":"{document_id(self.ids[row])}"}}}}'.encode()

    def _note_outside(self, timestamps: Sequence[str], first_row: int) -> None:
        for row, timestamp in enumerate(timestamps, first_row):
            if timestamp < self._floor:
                days = self._settings.retention_days
                self.outside[row] = f"older than retention ({days} days)"
            elif timestamp >= self._ceiling:
                hours = self._settings.future_hours
                self.outside[row] = f"more than {hours} hours in the future"

    def _refuse_costly(self, lines: Sequence[Line], lengths: Sequence[int], first_row: int) -> None:
        long = [row for row, length in enumerate(lengths) if length > SHALLOW_LINE_BYTES]
        for row in long:
            if is_too_deep(lines[row]):
                self.refused[first_row + row] = f"nested deeper than {MAX_LEVELS} levels"
            elif is_too_wide(lines[row]):
                self.refused[first_row + row] = (
                    f"its context comes to more than {MAX_TERM_BYTES} bytes in the index"
                )

    def _by_run(self, rows: Sequence[int]) -> Iterator[tuple[_Run, Sequence[int]]]:
        start = 0
        for run in self._runs:
            end = start
            while end < len(rows) and rows[end] < run.first_row + run.count:
                end += 1
            if end > start:
                yield run, rows[start:end]
            start = end
