"""What the log tells of itself, read for all organisations at once and kept for some seconds.

It is the same for all of them, as processes write events of many; what one of them is shown is
numbers and times alone.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from msgspec import Struct

from audit_events.event import SYSTEM_ORGANIZATION
from audit_events.instant import parse_instant
from indexer.settings import IndexSettings
from webapi.errors import InternalError, UnavailableError
from webapi.losses import (
    OF_BACKLOGS,
    OF_LOSSES,
    OF_SILENCE,
    Loss,
    Place,
    Sides,
    Told,
    backlogs_of,
    losses_of,
    place_search,
    read_told,
    silent_of,
    window_of,
)
from webapi.pulses import (
    DAY,
    MOST_SOURCES,
    SETTLED,
    WEEK,
    Heard,
    SourcesAnswer,
    interval_search,
    intervals_of,
    judge,
    live_of,
    pulse_search,
    pulses_of,
    quiet_of,
    with_older,
)
from webapi.query import Query
from webapi.reading import Reading
from webapi.storage_answer import silent as unanswered

LATEST: Final = datetime.max.replace(tzinfo=UTC)
KEPT_SECONDS: Final = 10.0
OLDER_KEPT: Final = timedelta(hours=1)
"""How long it is kept who was heard before this day."""
GLANCE_SECONDS: Final = 1.0
"""So long a page waits for it that has all else that it shows."""
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
        backlogs: until when all is stored, by each agent that is behind.
        losses: in the order in which they were found.
        older_before: there may be findings that were not read, from before this; None: there are
            none.
    """

    as_of: datetime
    heard: Heard
    silent_day: int
    backlogs: Sequence[datetime] = ()
    losses: Sequence[Placed]
    older_before: datetime | None = None


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
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="completeness")
        self._looking: tuple[float, Future[LogView]] | None = None
        self._sides: dict[Place, Sides] = {}
        self._older: tuple[datetime, SourcesAnswer] | None = None

    def look(self) -> LogView:
        """Return what the log tells of itself, at most `kept_seconds` old.

        Raises:
            UnavailableError, InternalError: the store does not answer as it should.
        """
        return self._current()[1].result()

    def glance(self, wait_seconds: float | None = GLANCE_SECONDS) -> LogView | None:
        """Return the same, for whom it is not worth an error; None where it does not come.

        Args:
            wait_seconds: how long after it was begun it is waited for, None: for ever.
        """
        begun, looking = self._current()
        rest = None
        if wait_seconds is not None:
            rest = max(0.0, begun + wait_seconds - time.monotonic())
        try:
            return looking.result(rest)
        except (TimeoutError, UnavailableError, InternalError):
            return None

    def _current(self) -> "tuple[float, Future[LogView]]":
        # One reads for all that wait, and what it meets is told to all of them.
        with self._lock:
            if self._looking is None or self._is_over(*self._looking):
                self._looking = time.monotonic(), self._begin()
            return self._looking

    def _is_over(self, begun: float, looking: "Future[LogView]") -> bool:
        if not looking.done():
            return False
        is_old = time.monotonic() - begun >= self._kept_seconds
        return is_old or looking.exception() is not None

    def _begin(self) -> "Future[LogView]":
        try:
            return self._pool.submit(lambda: self._read(self._now()))
        except RuntimeError:
            # At a stop the interpreter ends all pools before the threads that still answer.
            ended: Future[LogView] = Future()
            ended.set_exception(unanswered())
            return ended

    def _read(self, now: datetime) -> LogView:
        # First the findings: a gap that is told meanwhile would else be beside a later watermark.
        told, older_before = self._told(OF_LOSSES, None)
        backlogs, unread_before = self._told(OF_BACKLOGS, now - WEEK)
        # Of whom a silence is not read, that one is late.
        silences, _ = self._told(OF_SILENCE, now - WEEK)
        heard, silent_day = self._hear(silent_of(silences), now, is_whole=unread_before is None)
        return LogView(
            as_of=now,
            heard=heard,
            silent_day=silent_day,
            backlogs=backlogs_of(backlogs),
            losses=self._place(losses_of(told, self._index)),
            older_before=older_before,
        )

    def _told(
        self, actions: Sequence[str], since: datetime | None
    ) -> tuple[list[Told], datetime | None]:
        """Return the newest findings, and before which instant there are more."""
        query = Query(
            organization_id=SYSTEM_ORGANIZATION,
            actions=tuple(actions),
            since=since,
            limit=MOST_TOLD,
        )
        hits = self._reading.page(query).hits.hits
        told = read_told(hit.source for hit in hits[:MOST_TOLD])
        if len(hits) <= MOST_TOLD:
            return told, None
        return told, parse_instant(told[0].timestamp) if told else LATEST

    def _hear(
        self, silent: dict[str, datetime], now: datetime, *, is_whole: bool
    ) -> tuple[Heard, int]:
        until = now - SETTLED
        answer = self._reading.over(pulse_search(now - DAY, until), now - DAY, until)
        lately, older = answer.aggregated(SourcesAnswer), self._hear_older(now)
        pulses = with_older(
            pulses_of(lately), (one for one in pulses_of(older) if not one.is_closed)
        )
        live = live_of(pulses, silent)
        intervals: dict[str, float] = {}
        quiet = [one.source_id for one in quiet_of(live, now)]
        if quiet:
            found = self._reading.over(interval_search(quiet), now - WEEK, None).hits.hits
            intervals = intervals_of(hit.source for hit in found)
        most = max(len(lately.sources.buckets), len(older.sources.buckets))
        heard = judge(pulses, silent, intervals, now, is_whole=is_whole and most < MOST_SOURCES)
        spoke = {one.source_id: one.heard_at for one in pulses}
        fell = [name for name, at in silent.items() if at > now - DAY and spoke.get(name, at) <= at]
        return heard, len(fell)

    def _hear_older(self, now: datetime) -> SourcesAnswer:
        """Return who was heard in the week before this day; that hardly changes."""
        if self._older is None or not timedelta() <= now - self._older[0] < OLDER_KEPT:
            since, until = now - WEEK, now - DAY + OLDER_KEPT
            found = self._reading.over(pulse_search(since, until), since, until)
            self._older = now, found.aggregated(SourcesAnswer)
        return self._older[1]

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
