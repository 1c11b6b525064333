"""Events of one index, put where those of a source are found together: in unnamed files.

They lie in the index by organisation, and a chain goes by source. As many of them as a partition
may have do not fit in memory.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self

import msgspec

from indexer.chain_runs import StoredEvent

PART_EVENTS: Final = 50_000
"""Some 60 MB of usual events, which are held at a time."""
PARTS_LIMIT: Final = 512
"""So many files are open at a time; beyond it parts grow."""
HELD_EVENTS: Final = 10 * PART_EVENTS
"""A part may be larger where somebody saw to that, and is taken in pieces then."""
BUFFER_BYTES: Final = 128 << 10
"""Of each part in memory, before it goes into a file."""
_SEQ_BITS: Final = 12
"""Stretches of a source with so many events go together: one source may fill a partition."""
_LENGTH_BYTES: Final = 4
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredEvent).decode


class Spool:
    """A context: what was put in is gone behind it.

    Args:
        events: about how many will come.
    """

    def __init__(self, events: int) -> None:
        count = min(PARTS_LIMIT, 1 + events // PART_EVENTS)
        with ExitStack() as stack:
            self._parts = [
                stack.enter_context(SpooledTemporaryFile(BUFFER_BYTES)) for _ in range(count)
            ]
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the files."""
        self._stack.close()

    def add(self, event: StoredEvent) -> None:
        """Put an event in.

        Raises:
            OSError: there is no room for it.
        """
        place = hash((event.source_id, event.seq >> _SEQ_BITS)) % len(self._parts)
        packed = _encode(event)
        self._parts[place].write(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)

    def parts(self) -> Iterator[list[StoredEvent]]:
        """All that was put in, a part at a time.

        Raises:
            OSError: it cannot be read back.
        """
        for part in self._parts:
            part.seek(0, os.SEEK_SET)
            events: list[StoredEvent] = []
            while length := part.read(_LENGTH_BYTES):
                events.append(_decode(part.read(int.from_bytes(length, "big"))))
                if len(events) == HELD_EVENTS:
                    yield events
                    events = []
            yield events
