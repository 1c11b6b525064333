"""Events that come after their partition was sealed: where they go. Pure.

A partition whose seal age has passed (`due_before`) is *due*. Its events take these steps:

    LOOK_LATE    is it in the index of late events already? then it was shipped before a crash
    PARTITION    `create` in its partition, which usually takes it still
    LOOK_SEALED  that was refused, as the partition is sealed: was it stored before the seal?
    LATE         `create` in the index of late events, whose name follows from the event alone

An event that is not due has but PARTITION. LOOK_LATE makes this hold where a seal is lifted again
(a restore, an operator): what is in the one index never gets into the other.

An event whose timestamp is not admitted is sent nowhere, but looked for (OUTSIDE_LATE, OUTSIDE):
read again after a kill, while the clock of this host is wrong, it may be one that is stored. Only
one that is in neither index is refused.

Sealed is: refused with a write or read-only block that somebody set, *and* due. A full disk has a
block of its own (12), and an operator's block on a partition that is not due is no seal: both are
waited for. The ids of the blocks stand in the reason of the refusal (tried on 3.4.0: "blocked by:
[FORBIDDEN/8/index write (api)];"), so the writer's role need not read settings, and what is judged
is what refused. A reason that reads otherwise is no seal, which is the side that loses nothing.

Due is by the clock of this host. If it is behind, the writer waits where it need not, with an
alarm. If it is ahead, nothing happens until somebody blocks a partition that is not due; its events
then go to the index of late events, where every question finds them as well.
"""

import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Final

from audit_events.instant import format_instant, parse_instant
from indexer.answer import ItemError
from indexer.names import partition_characters
from indexer.settings import IndexSettings

SEAL_BLOCKS: Final = frozenset({"5", "8"})
"""`index.blocks.read_only` and `index.blocks.write` (`IndexMetadata` of OpenSearch)."""
REMEMBERED_SECONDS: Final = 300.0
"""A seal is believed for so long without asking; a sealed partition may be opened by a restore."""
_START_OF_DAY: Final = "T00:00:00.000000Z"
_FIRST_DAY: Final = "-01"
_blocks = re.compile(r"[\[ ][A-Z_]+/(\d+)/").findall


class Step(Enum):
    """What is done next with a row."""

    LOOK_LATE = "look late"
    PARTITION = "partition"
    LOOK_SEALED = "look sealed"
    LATE = "late"
    OUTSIDE_LATE = "outside late"
    OUTSIDE = "outside"


LOOKS: Final = (Step.LOOK_LATE, Step.LOOK_SEALED, Step.OUTSIDE_LATE, Step.OUTSIDE)
IN_LATE: Final = (Step.LOOK_LATE, Step.LATE, Step.OUTSIDE_LATE)
"""Steps that are about the index of late events; the others are about the partition."""
AFTER_LOOK: Final = {
    Step.LOOK_LATE: Step.PARTITION,
    Step.LOOK_SEALED: Step.LATE,
    Step.OUTSIDE_LATE: Step.OUTSIDE,
}
"""The step of a row that was looked for and is not there."""


def due_before(now: str, settings: IndexSettings) -> str:
    """The canonical instant before which an event's partition is due to be sealed at `now`.

    A partition is due `seal_days` after its end. So the one in which `now - seal_days` lies is the
    first that is not, and its start is the answer.
    """
    aged = format_instant(parse_instant(now) - timedelta(days=settings.seal_days))
    start = aged[: partition_characters(settings)]
    return f"{start}{_FIRST_DAY if settings.partition == 'month' else ''}{_START_OF_DAY}"


def is_sealed(error: ItemError, timestamp: str, due: str) -> bool:
    """Whether an item that was refused as blocked met a seal.

    Args:
        error: of an item that is `Outcome.BLOCKED`.
        timestamp: of its event.
        due: see `due_before`.
    """
    return (
        timestamp < due
        and error.type == "cluster_block_exception"
        and not SEAL_BLOCKS.isdisjoint(_blocks(error.reason))
    )


class Seals:
    """Partitions that were found sealed a short while ago. Thread-safe."""

    def __init__(
        self, settings: IndexSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._characters = partition_characters(settings)
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def remember(self, timestamp: str) -> None:
        """The partition of this instant refused as a sealed one does."""
        with self._lock:
            self._until[timestamp[: self._characters]] = self._clock() + REMEMBERED_SECONDS

    def knows(self, timestamp: str) -> bool:
        """Whether the partition of this instant is believed to be sealed."""
        span = timestamp[: self._characters]
        with self._lock:
            until = self._until.get(span)
            if until is not None and self._clock() >= until:
                del self._until[span]
                return False
            return until is not None

    def first_step(self, timestamp: str, due: str) -> Step:
        """The step that an event begins with."""
        if timestamp >= due:
            return Step.PARTITION
        return Step.LOOK_SEALED if self.knows(timestamp) else Step.LOOK_LATE
