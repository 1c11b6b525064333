"""What the log tells of itself, read for all organisations at once and kept for some seconds.

It is the same for all of them, as processes write events of many; what one of them is shown is
numbers and times alone.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from msgspec import Struct

from audit_events.event import SYSTEM_ORGANIZATION
from indexer.settings import IndexSettings
from webapi.losses import (
    TOLD,
    Loss,
    Place,
    Sides,
    losses_of,
    place_search,
    read_told,
    silent_of,
    window_of,
)
from webapi.pulses import (
    DAY,
    MOST_SOURCES,
    Heard,
    SourcesAnswer,
    interval_search,
    intervals_of,
    judge,
    live_of,
    pulse_search,
    pulses_of,
    quiet_of,
)
from webapi.query import Query
from webapi.reading import Reading

KEPT_SECONDS: Final = 10.0
MOST_TOLD: Final = 1000
"""Findings that are read, the newest; what is older is not told, and that there is some is."""
MOST_PLACED: Final = 200
"""Losses whose neighbours are asked for at once; the others lie anywhere before they were found."""


class Placed(Struct, frozen=True):
    """Something that is missing or altered, and between which instants; None: anywhere before."""

    loss: Loss
    after: datetime | None
    before: datetime


class LogView(Struct, frozen=True, kw_only=True):
    """What the log tells of itself.

    Args:
        as_of: when it was read.
        heard: what the heartbeats come to.
        silent_day: processes that fell silent within a day and were not heard since.
        losses: in the order in which they were found.
        has_older: whether there are findings that were not read.
    """

    as_of: datetime
    heard: Heard
    silent_day: int
    losses: Sequence[Placed]
    has_older: bool


class CompletenessReading:
    """Reads what the log tells of itself. Thread-safe.

    Args:
        reading: what is asked.
        index: what names of partitions mean.
        kept_seconds: how long an answer is kept.
        now: aware.
    """

    def __init__(
        self,
        reading: Reading,
        index: IndexSettings,
        *,
        kept_seconds: float = KEPT_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reading = reading
        self._index = index
        self._kept_seconds = kept_seconds
        self._now = now
        self._lock = Lock()
        self._kept: tuple[float, LogView] | None = None
        self._sides: dict[Place, Sides] = {}

    def look(self) -> LogView:
        """Return what the log tells of itself, at most `kept_seconds` old.

        Raises:
            UnavailableError, InternalError: the store does not answer as it should.
        """
        # One reads for all that wait.
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] >= self._kept_seconds:
                begun = time.monotonic()
                self._kept = begun, self._read(self._now())
            return self._kept[1]

    def _read(self, now: datetime) -> LogView:
        # First the findings: a gap that is told meanwhile would else be beside a later watermark.
        query = Query(organization_id=SYSTEM_ORGANIZATION, actions=TOLD, limit=MOST_TOLD)
        hits = self._reading.page(query).hits.hits
        told = read_told(hit.source for hit in hits[:MOST_TOLD])
        heard, silent_day = self._hear(silent_of(told), now)
        return LogView(
            as_of=now,
            heard=heard,
            silent_day=silent_day,
            losses=self._place(losses_of(told, self._index)),
            has_older=len(hits) > MOST_TOLD,
        )

    def _hear(self, silent: dict[str, datetime], now: datetime) -> tuple[Heard, int]:
        answer = self._reading.over(pulse_search(now), now - DAY, None).aggregated(SourcesAnswer)
        pulses = pulses_of(answer)
        live = live_of(pulses, silent)
        intervals: dict[str, float] = {}
        quiet = [one.source_id for one in quiet_of(live, now)]
        if quiet:
            found = self._reading.over(interval_search(quiet), now - DAY, None).hits.hits
            intervals = intervals_of(hit.source for hit in found)
        is_whole = len(answer.sources.buckets) < MOST_SOURCES
        heard = judge(pulses, silent, intervals, now, is_whole=is_whole)
        spoke = {one.source_id: one.heard_at for one in pulses}
        lately = [
            name for name, at in silent.items() if at > now - DAY and spoke.get(name, at) <= at
        ]
        return heard, len(lately)

    def _place(self, losses: Sequence[Loss]) -> list[Placed]:
        wanted = [one.place for one in losses if one.place is not None]
        # Neighbours may still arrive, so the newest are asked for anew until both are there.
        missing = [one for one in dict.fromkeys(reversed(wanted)) if not self._is_placed(one)]
        asked = missing[:MOST_PLACED]
        if asked:
            found = self._reading.over(place_search(asked), None, None).aggregated(dict[str, Sides])
            self._sides |= {one: found.get(str(at), Sides()) for at, one in enumerate(asked)}
        self._sides = {one: self._sides[one] for one in wanted if one in self._sides}
        nowhere = Sides()
        return [
            Placed(
                one, *window_of(one, self._sides.get(one.place, nowhere) if one.place else nowhere)
            )
            for one in losses
        ]

    def _is_placed(self, place: Place) -> bool:
        sides = self._sides.get(place)
        return sides is not None and None not in (sides.before.at.value, sides.behind.at.value)
