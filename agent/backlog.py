"""Whether what could be read some seconds ago is stored: if not, the agent says so in the log.

While there is a backlog, what is stored of a source need not be all before its newest event: of two
files the newer is read first, and a batch may be stored but for what its partition refuses. So a
heartbeat alone does not say that all before it has arrived; no word of a backlog beside it does.

What was written until the last horizon that passed is stored: that instant is told. It is told
again from time to time, as whoever reads waits for no agent that is gone for good.
"""

from typing import Final, Literal

import msgspec

from agent.checkpoint import BacklogState
from agent.findings import Finding
from agent.sources import Horizon, Readable
from audit_events.identifier import new_uuid7
from audit_events.instant import format_unix_ns

DELAY_SECONDS: Final = 5
"""So long shipping may take without a word."""
REPEAT_SECONDS: Final = 3600.0


class Backlog:
    """What is known of it; the loop owns it.

    Args:
        state: from the checkpoint.
        files: asked what could be read.
    """

    def __init__(self, state: BacklogState, files: Readable) -> None:
        self.state = state
        self._files = files
        self._horizon: Horizon | None = None
        self._taken_at = 0
        self._told: float | None = None

    def look(self, now: float, unix_seconds: int, *, tells: bool = True) -> Finding | None:
        """Return what is to be told: that there is a backlog, or that there is none any more.

        Args:
            now: monotonic.
            unix_seconds: the same instant.
            tells: whether a backlog is told; that it is cleared always is.
        """
        if unix_seconds < self.state.settled:
            # The clock was set back.
            self.state = msgspec.structs.replace(self.state, settled=unix_seconds)
        if self._horizon is None:
            self._horizon, self._taken_at = Horizon(self._files, now), unix_seconds
        took = now - self._horizon.taken
        if self._horizon.is_passed():
            self._horizon = None
            self.state = msgspec.structs.replace(self.state, settled=self._taken_at)
            # Where each takes so long, it is the same backlog.
            return self._clear() if took < DELAY_SECONDS else None
        is_due = tells and self._is_due(took, now, unix_seconds)
        return self._tell(now, unix_seconds) if is_due else None

    def _is_due(self, took: float, now: float, unix_seconds: int) -> bool:
        if self.state.id and self._told is not None:
            return now - self._told >= REPEAT_SECONDS
        # After a start it is known at once that nothing was shipped since.
        was_away = 0 < self.state.settled <= unix_seconds - DELAY_SECONDS
        return took >= DELAY_SECONDS or was_away

    def _tell(self, now: float, unix_seconds: int) -> Finding:
        self._told = now
        if not self.state.id:
            self.state = msgspec.structs.replace(self.state, id=new_uuid7(unix_seconds * 10**9))
        return _finding("behind", self.state)

    def _clear(self) -> Finding | None:
        if not self.state.id:
            return None
        finding = _finding("caught_up", self.state)
        self.state, self._told = msgspec.structs.replace(self.state, id=""), None
        return finding


def _finding(kind: Literal["behind", "caught_up"], state: BacklogState) -> Finding:
    since = format_unix_ns(state.settled * 10**9) if state.settled else ""
    return Finding(kind, "", "", 0, 0, 0, 0, backlog=state.id, timestamp=since)
