"""A batch: the lines that go to OpenSearch in one bulk request, as columns.

Columns of plain values and not an object for each line: this is the hot path of the agent. The
lines stay the bytes that the emitter wrote; only `ingestedAt` is spliced in as the last key, and
the action line (`create` and nothing else, DESIGN.md section 4) is put in front.
"""

from collections.abc import Sequence

from indexer.names import admitted_window, late_name, partition_characters, partition_name
from indexer.nesting import MAX_LEVELS, nesting_levels
from indexer.settings import IndexSettings

Line = bytes
"""One event as it was read, without its newline."""
Body = bytes


class Batch:
    """Lines in the order of their addition; row `i` is the same line in every column.

    Args:
        settings: decide on the partitions, and which timestamps are taken.
        ingested_at: canonical instant, written into every line as `ingestedAt`.
    """

    __slots__ = (
        "_ceiling",
        "_floor",
        "_heads",
        "_partition_characters",
        "_settings",
        "_tail",
        "bytes",
        "ids",
        "lines",
        "offsets",
        "paths",
        "refused",
        "timestamps",
    )

    def __init__(self, settings: IndexSettings, ingested_at: str) -> None:
        self._settings = settings
        self._floor, self._ceiling = admitted_window(ingested_at, settings)
        self._tail = f',"ingestedAt":"{ingested_at}"}}\n'.encode()
        self._partition_characters = partition_characters(settings)
        self._heads: dict[str, str] = {}
        self.bytes = 0
        """Bytes of the lines as read, without newlines."""
        self.ids: list[str] = []
        self.timestamps: list[str] = []
        self.lines: list[Line] = []
        self.paths: list[str] = []
        self.offsets: list[int] = []
        self.refused: dict[int, str] = {}
        """Rows that must not be sent, with the reason, fit for a dead letter."""

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, event_id: str, timestamp: str, line: Line, path: str, offset: int) -> None:
        """Take one line.

        Args:
            event_id: the event's `id`; like `timestamp` it was checked by `decode_envelope`.
            timestamp: canonical instant.
            line: one JSON object as read, without its newline; anything that does not end with
                `}` is a ValueError, as `ingestedAt` could not be spliced in.
            path: file that the line was read from.
            offset: of the line's first byte there.
        """
        if not line.endswith(b"}"):
            raise ValueError("the line does not end with the end of an object")
        if not self._floor <= timestamp < self._ceiling:
            self.refused[len(self.lines)] = self._reason_outside(timestamp)
        if line.count(b"{") + line.count(b"[") > MAX_LEVELS and nesting_levels(line) > MAX_LEVELS:
            self.refused[len(self.lines)] = f"nested deeper than {MAX_LEVELS} levels"
        self.ids.append(event_id)
        self.timestamps.append(timestamp)
        self.lines.append(line)
        self.paths.append(path)
        self.offsets.append(offset)
        self.bytes += len(line)

    def body(self, rows: Sequence[int], *, late: bool = False) -> Body:
        """The body of a bulk request (NDJSON) with these rows, in this order.

        Args:
            rows: which.
            late: into the indices of late events, and not into the partitions.
        """
        if late:
            return b"".join(
                f'{{"create":{{"_index":"{late_name(self.timestamps[row], self._settings)}",'
                f'"_id":"{self.ids[row]}"}}}}\n'.encode()
                + self.lines[row][:-1]
                + self._tail
                for row in rows
            )
        heads, tail = self._heads, self._tail
        ids, timestamps, lines = self.ids, self.timestamps, self.lines
        characters = self._partition_characters
        parts: list[Body] = []
        append = parts.append
        for row in rows:
            timestamp = timestamps[row]
            head = heads.get(timestamp[:characters])
            if head is None:
                head = heads[timestamp[:characters]] = self._head(timestamp)
            append(f'{head}{ids[row]}"}}}}\n'.encode())
            append(lines[row][:-1])
            append(tail)
        return b"".join(parts)

    def _head(self, timestamp: str) -> str:
        name = partition_name(timestamp, self._settings)
        return f'{{"create":{{"_index":"{name}","_id":"'

    def _reason_outside(self, timestamp: str) -> str:
        if timestamp < self._floor:
            return f"older than retention ({self._settings.retention_days} days)"
        return f"more than {self._settings.future_hours} hours in the future"
