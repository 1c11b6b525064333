"""What the writers did so far, for whoever watches them: counts, and the trouble that lasts."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from indexer.alarm import Alarms, Trouble

DEAD_REASONS: Final = (
    "malformed",
    "over_long",
    "not_admitted",
    "refused",
    "conflict",
    "too_large",
)
"""Why a line is in the dead letter: no event; longer than a line may be; an event that no index
takes (too old, too far ahead, nested too deep); refused by the cluster; another event under a
stored id; alone too large for the cluster."""
ANSWERS: Final = ("ok", "retry", "blocked", "halted", "too_large", "none")
"""How a request ended: `ok` is an answer that says of each item what became of it; `none` is no
answer, or nothing that can be read as one."""

_REASON_OF_STATUS: Final = {None: "not_admitted", 409: "conflict", 413: "too_large"}


def dead_reason(status: int | None) -> str:
    """Why an event is dead that the writer buried, by the cluster's status (None: never asked)."""
    return _REASON_OF_STATUS.get(status, "refused")


class Snapshot(Struct, frozen=True):
    """The figures of one moment; instants are Unix seconds, 0 where it never happened."""

    requests: dict[str, int]
    dead: dict[str, int]
    last_answer: str
    last_success_at: float
    trouble: Trouble | None


class Figures:
    """Counts of one or several writers; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._last_answer = ""
        self._last_success_at = 0.0
        self.alarms = Alarms()

    def note_request(self, answer: str) -> None:
        """Count a request by how it ended (one of `ANSWERS`)."""
        with self._lock:
            self._requests[answer] += 1
            self._last_answer = answer
            if answer == "ok":
                self._last_success_at = time.time()

    def note_dead(self, reasons: Iterable[str]) -> None:
        """Count lines that went to the dead letter (each one of `DEAD_REASONS`)."""
        with self._lock:
            self._dead.update(reasons)

    def take(self) -> Snapshot:
        """The figures as they are now."""
        trouble = self.alarms.worst()
        with self._lock:
            return Snapshot(
                requests=dict(self._requests),
                dead=dict(self._dead),
                last_answer=self._last_answer,
                last_success_at=self._last_success_at,
                trouble=trouble,
            )
