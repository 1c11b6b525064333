"""Trouble that lasts is logged when it begins and when it ends, and not at every attempt."""

import threading

import structlog

from indexer.answer import ItemError, Outcome

_log = structlog.get_logger("indexer")

MESSAGES = {
    Outcome.RETRY: "bulk_retrying",
    Outcome.BLOCKED: "bulk_blocked",
    Outcome.HALTED: "bulk_halted",
}
HINTS = {
    Outcome.RETRY: "it is tried again until it succeeds; look at the cluster if this lasts",
    Outcome.BLOCKED: "the data is kept; free disk in the cluster, or lift the block of the index",
    Outcome.HALTED: "the data is kept; check credentials and roles, and `indelible indices apply`",
}


class Alarms:
    """Which trouble is going on, and which batches it holds up. Thread-safe.

    Two batches that meet the same trouble raise one alarm; it ends when neither is held up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[Outcome, str], set[int]] = {}

    def begin(self, batch: int, outcome: Outcome, error: ItemError) -> None:
        """Note that `batch` (any number of its own) waits because of this."""
        key = (outcome, error.type)
        with self._lock:
            new = key not in self._held
            self._held.setdefault(key, set()).add(batch)
        if not new:
            return
        # The reason of the cluster speaks of users and indices here, never of an event's content.
        report = _log.warning if outcome is Outcome.RETRY else _log.error
        report(MESSAGES[outcome], error_type=error.type, reason=error.reason, hint=HINTS[outcome])

    def end(self, batch: int) -> None:
        """Note that `batch` waits for nothing any more."""
        with self._lock:
            ended: list[tuple[Outcome, str]] = []
            for key, batches in list(self._held.items()):
                batches.discard(batch)
                if not batches:
                    del self._held[key]
                    ended.append(key)
        for outcome, error_type in ended:
            _log.info("bulk_resumed", after=MESSAGES[outcome], error_type=error_type)
