"""Whether all that was written arrives, and as it was written: from a settled part to an event.

A gap or a broken chain holds nothing up: the events are shipped all the same. What is found waits
in `findings`, which every checkpoint holds, until the trail has recorded it. So each step survives
a crash: what is missing is in the checkpoint with its source, then among the findings, then an
event that is fsynced; and a break is found while reading, before a checkpoint can be past it. A
finding is recorded only when a checkpoint holds it: what was told as a gap is then known to have
been told, whatever comes, and closes the gap when it arrives.
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from agent.backlog import Backlog
from agent.chain import Break
from agent.checkpoint import Checkpoint
from agent.findings import Finding, Findings, Kind, find
from agent.follow import Follower
from agent.silence import Silences, tell_silence
from agent.sources import Gap, Horizon, Sources, Spot
from agent.status import Totals
from agent.tail import Tail
from agent.trail import Trail
from agent.witness import Missing, Witness, tell_gone
from indexer.settings import IndexSettings

GRACE_SECONDS: Final = 2.0
"""How long what is missing may take to show up in another file, at least."""
RECALL_SECONDS: Final = 20.0
"""How long the end waits for what was asked of the cluster, which has just answered."""


class Integrity:
    """Sources, what is wrong with them, and the record of it; the loop owns it.

    Args:
        loaded: the checkpoint that the agent begins with.
        directory: the state directory.
        follower: asked what could be read, and what of the trail is settled.
        totals: what is settled and what is missing is counted there.
        now: monotonic.
        index: which event is stored where.
    """

    def __init__(
        self,
        loaded: Checkpoint,
        directory: Path,
        follower: Follower,
        totals: Totals,
        now: float,
        *,
        index: IndexSettings,
    ) -> None:
        self.sources = Sources(loaded.sources, now, loaded.forgotten)
        self.findings = Findings(loaded.findings)
        self.unsaved = False
        """Whether something was found that no checkpoint holds yet; whoever saves one says so."""
        self.trail = Trail(directory, follower.is_settled)
        self.silences = Silences(loaded.pulses, now)
        self.witness = Witness(loaded.witnessed, index, now)
        self.backlog = Backlog(loaded.backlog, follower)
        self._follower = follower
        self._totals = totals
        self._horizon: Horizon | None = None

    def settle(self, tails: Iterable[Tail]) -> None:
        """Move each file over its longest settled prefix, and its sources with it."""
        now, unix_seconds = time.monotonic(), int(time.time())
        for tail in tails:
            start = tail.settled
            for part in tail.advance():
                spot = Spot(tail.path, start)
                for span in part.spans:
                    self.sources.settle(span, now, unix_seconds, spot)
                    self.silences.hear(span, now, unix_seconds, tail.path)
                for sign in part.signs.values():
                    self.silences.note(sign, now, unix_seconds, tail.path)
                self._totals.settled_bytes += part.end - start
                start = part.end
        # Usually none; what was settled may tell at once of more than is kept for later.
        self._note_gaps(-math.inf)
        for closed in self.sources.take_closed():
            self._totals.closed_events += closed.last - closed.first + 1
            self._note("closed", closed)

    def take(self, breaks: list[Break]) -> None:
        """Take over what was found while reading."""
        for one in breaks:
            self._add(find("break", one.source_id, (one.seq, one.seq), one.path, one.offset))
        breaks.clear()

    def look(self, now: float, poll_interval_seconds: float) -> None:
        """Find the gaps: what is missing still when all is settled that could be read then."""
        grace = max(GRACE_SECONDS, 2 * poll_interval_seconds)
        if self._horizon is None:
            noticed = self.sources.oldest_missing()
            if noticed is not None and now - noticed >= grace:
                self._horizon = Horizon(self._follower, now)
        if self._horizon is not None and self._horizon.is_passed():
            self._note_gaps(self._horizon.taken - grace)
            self._horizon = None

    def listen(self, now: float, patterns: Sequence[str]) -> None:
        """Find the sources that fell silent, once all is settled that could be read."""
        # Told without its name, a source would be waited for as if it lived.
        room = self.findings.room
        for source_id, pulse in self.silences.look(now, patterns, self._follower, room):
            self._totals.silent_sources += 1
            self._add(tell_silence(source_id, pulse))

    def measure(self, now: float, *, tells: bool = True) -> None:
        """Find a backlog, and its end; where not `tells`, its end alone."""
        finding = self.backlog.look(now, int(time.time()), tells=tells)
        if finding is not None:
            self._add(finding)

    def recall(self, now: float, missing: Missing) -> None:
        """Find what was stored and is not any more, and ask for it again when it is time."""
        self._take_gone()
        self.witness.look(now, missing)

    def look_at_all(self) -> None:
        """Find what is missing now that all that is there is settled, and nothing more awaited."""
        self._note_gaps(math.inf)
        self.witness.wait(RECALL_SECONDS)
        self._take_gone()

    def record(self) -> bool:
        """Tell what was found, once a checkpoint holds it; True when there are events to ship."""
        return not self.unsaved and self.trail.record(self.findings)

    def _note_gaps(self, until: float) -> None:
        for gap in self.sources.take_gaps(until):
            self._totals.gaps += 1
            self._totals.missing_events += gap.last - gap.first + 1
            self._note("gap", gap)

    def _take_gone(self) -> None:
        for partition, event in self.witness.take().items():
            self._totals.stored_missing += 1
            self._add(tell_gone(partition, event))

    def _note(self, kind: Kind, gap: Gap) -> None:
        self._add(find(kind, gap.source_id, (gap.first, gap.last), gap.path, gap.offset))

    def _add(self, finding: Finding) -> None:
        self.findings.add(finding)
        self.unsaved = True
