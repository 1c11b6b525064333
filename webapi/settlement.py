"""Up to which number all that an index took can be found, as this process sees it.

A number that a primary told (`Checkpoint`) counts once it is old enough, and a refresh that began
after it has ended there. Two that ended since are a proof, as the second began after the first; or
one that was asked for since. That nothing is in the memory of the writer is none: a flush, and a
`GET` of an event that is new, empty that and let nothing be found.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Final

from msgspec import Struct

from webapi.errors import UnavailableError
from webapi.storage_answer import Checkpoint

SAMPLE_SECONDS: Final = 0.5
SAMPLES: Final = 240


class Settled(Struct, frozen=True):
    """By uuid the number up to which all can be found.

    Args:
        numbers: as the newest checkpoint says that counts.
        recent: the uuids of which that one is at most twice as old as it has to be.
        copies: by uuid the copy (`Checkpoint.copy`) in which it can be found; of others nobody
            knows.
    """

    numbers: Mapping[str, int]
    recent: frozenset[str]
    copies: Mapping[str, str] = {}


class Samples:
    """The checkpoints that were seen lately. Thread-safe.

    Args:
        settled_seconds: how old one has to be, so that all up to it can be found.
        clock: seconds, monotonic.
    """

    def __init__(self, settled_seconds: float, clock: Callable[[], float]) -> None:
        self._settled_seconds = settled_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, Mapping[str, Checkpoint]]] = deque(maxlen=SAMPLES)
        self._proven: Mapping[str, Checkpoint] = {}

    def keep(self, found: Mapping[str, Checkpoint]) -> None:
        """Remember what was answered just now."""
        seen = {one.uuid: one for one in found.values()}
        with self._lock:
            now = self._clock()
            is_new = not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS
            if is_new or copies_of(seen) != copies_of(self._newest()):
                self._samples.append((now, seen))

    def prove(self, refreshed: Iterable[Checkpoint]) -> None:
        """Take checkpoints that were answered before a refresh that has ended."""
        with self._lock:
            newest = self._newest()
            kept = {key: one for key, one in self._proven.items() if key in newest}
            self._proven = {**kept, **{one.uuid: one for one in refreshed}}

    def settled(self) -> Settled:
        """Return up to which numbers all can be found, and of which indices that is no old news."""
        found: dict[str, int] = {}
        recent: set[str] = set()
        with self._lock:
            until = self._until()
            for at, seen in self._old_enough():
                numbers = {key: one.number for key, one in seen.items() if self._is_found(one)}
                found.update(numbers)
                if at >= until - self._settled_seconds:
                    recent.update(numbers)
            copies = copies_of(self._newest())
        return Settled(found, frozenset(recent), copies)

    def unproven(self) -> frozenset[str]:
        """Return the uuids that have an old enough number of which nobody knows."""
        with self._lock:
            last: dict[str, Checkpoint] = {}
            for _, seen in self._old_enough():
                last.update(seen)
            return frozenset(key for key, one in last.items() if not self._is_found(one))

    def _until(self) -> float:
        return self._clock() - self._settled_seconds

    def _old_enough(self) -> Iterator[tuple[float, Mapping[str, Checkpoint]]]:
        until = self._until()
        return takewhile(lambda sample: sample[0] <= until, self._samples)

    def _newest(self) -> Mapping[str, Checkpoint]:
        return self._samples[-1][1] if self._samples else {}

    def _is_found(self, one: Checkpoint) -> bool:
        now = self._newest().get(one.uuid)
        if now is None:
            return False
        proven = self._proven.get(one.uuid)
        # Another copy, which became the primary, has refreshed as often as it did, and when it did.
        is_proven = proven is not None and proven.copy == now.copy and proven.number >= one.number
        return is_proven or (now.copy == one.copy and now.refreshes >= one.refreshes + 2)


def copies_of(seen: Mapping[str, Checkpoint]) -> Mapping[str, str]:
    """Return which copy is the primary, by uuid."""
    return {uuid: one.copy for uuid, one in seen.items()}


class Missed:
    """The indices that do not tell how far they are, and since when. Thread-safe.

    One that is being made has no primary for a moment; one that has lost it may keep events back
    for ever, which must not look like quiet.

    Args:
        patience_seconds: how long that may be.
        clock: seconds, monotonic.
    """

    def __init__(self, patience_seconds: float, clock: Callable[[], float]) -> None:
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}

    def judge(self, missing: Collection[str]) -> None:
        """Take what is missing now.

        Raises:
            UnavailableError: something is for too long.
        """
        now = self._clock()
        with self._lock:
            self._since = {name: self._since.get(name, now) for name in missing}
            lost = [one for one, at in self._since.items() if now - at > self._patience_seconds]
        if lost:
            raise UnavailableError(
                "storage_incomplete", f"{len(lost)} parts of the index have no primary"
            )
