"""How far behind the agent is: for each file in bytes and by the age of its oldest unshipped line.

A line's age is told by its own timestamp. Where a line was read, it is known; where it was not read
yet (a backlog, backpressure), it is looked at in the file, once. A half line at the end of a file
is no line yet and has no age; nor has one that is no event.
"""

import os
from collections.abc import Iterable
from typing import Final

from agent.tail import Tail
from audit_events.envelope import decode_envelope
from audit_events.errors import LineError

LOOKS: Final = 1000
"""Files that are looked into at one time, at most; a look costs some 10 µs."""
LOOK_BYTES: Final = (1 << 12, 1 << 16)
"""Most lines end within the first; an event that ends beyond the second is over-long."""


class Lags:
    """Since when the files wait; the loop asks now and then."""

    def __init__(self) -> None:
        self._looked: dict[Tail, tuple[int, str]] = {}
        """What was found in files, and at which offset."""

    def measure(self, tails: Iterable[Tail]) -> dict[Tail, str]:
        """The timestamp of the oldest unshipped line of each file that lags, empty if unknown."""
        known, self._looked = self._looked, {}
        since: dict[Tail, str] = {}
        for tail in tails:
            read = next((part.since for part in tail.parts if part.since), "")
            if read:
                since[tail] = read
            elif tail.size > tail.settled:
                since[tail] = self._look(tail, known)
        return since

    def _look(self, tail: Tail, known: dict[Tail, tuple[int, str]]) -> str:
        before = known.get(tail)
        if before is not None and before[0] == tail.settled and before[1]:
            self._looked[tail] = before
            return before[1]
        if len(self._looked) >= LOOKS or tail.descriptor < 0:
            return ""
        found = tail.settled, _first_timestamp(tail.descriptor, tail.settled)
        self._looked[tail] = found
        return found[1]


def _first_timestamp(descriptor: int, offset: int) -> str:
    """The timestamp of the first event that begins at or after `offset`, empty without one."""
    for length in LOOK_BYTES:
        try:
            data = os.pread(descriptor, length, offset)
        except OSError:
            return ""
        for line in data.split(b"\n")[:-1]:
            try:
                return decode_envelope(line).timestamp
            except LineError:
                continue
        if len(data) < length:
            break
    return ""
