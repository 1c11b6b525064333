"""The lines of a shipment that are no events, as the records that the dead letter gets of them.

A record has its path, reason and time, which is some 200 bytes: one for each line of a file of
one-letter lines were a hundred times that file. So short ones that stand side by side are a *run*,
which is one record with all of their bytes.
"""

from typing import Final

from indexer.batch import Line
from indexer.dead_letter import Refusal

SHORT_BYTES: Final = 256
"""No event is shorter, so none of them has an id by which somebody could look for it."""


class _Run:
    """Bytes of one file from `offset` up to, and without, the newline that ends the last line."""

    __slots__ = ("lines", "offset", "path", "reason", "text", "time")

    def __init__(self, path: str, offset: int, line: bytes, reason: str, time: str) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        self.time = time
        self.text = bytearray(line)
        self.lines = 1

    def record(self) -> Refusal:
        is_single = self.lines == 1
        return Refusal(
            path=self.path,
            offset=self.offset,
            reason=self.reason,
            time=self.time,
            line=bytes(self.text),
            lines=self.lines,
            length_bytes=None if is_single else len(self.text),
        )


class Refusals:
    """Takes lines in their order; `records` are what is to be buried."""

    __slots__ = ("_records", "_run", "bytes", "lines")

    def __init__(self) -> None:
        self._records: list[Refusal] = []
        self._run: _Run | None = None
        self.lines = 0
        """How many were refused."""
        self.bytes = 0
        """Bytes of those that are held."""

    @property
    def records(self) -> list[Refusal]:
        """One for each run, and for each line that is in none; none of them grows any more."""
        self._end_run()
        return self._records

    def add(self, record: Refusal) -> None:
        """Take a line that is a record of its own."""
        self._end_run()
        self._records.append(record)
        self.lines += 1

    def add_line(
        self, path: str, offset: int, line: Line, reason: str, time: str, *, blank: int
    ) -> None:
        """Take a line that is no event.

        Args:
            path: of its file.
            offset: of its first byte there.
            line: without its newline.
            reason: why it is none.
            time: canonical instant of now.
            blank: empty lines right before it; inside of a run they are bytes like others.
        """
        run, begins = self._run, offset - blank
        is_next = run is not None and run.path == path and run.offset + len(run.text) + 1 == begins
        if len(line) > SHORT_BYTES or not is_next:
            self._end_run()
        if self._run is None:
            self._run = _Run(path, offset, line, reason, time)
        else:
            self._run.text += b"\n" * (blank + 1) + line
            self._run.lines += 1
            self.bytes += blank
        if len(line) > SHORT_BYTES:
            self._end_run()
        self.lines += 1
        self.bytes += len(line)

    def _end_run(self) -> None:
        if self._run is not None:
            self._records.append(self._run.record())
            self._run = None
