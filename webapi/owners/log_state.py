"""The state of the log, as far as the store tells an organisation of it.

Of its own events: how many a day, the oldest, how old events are when they arrive. Of the log as a
whole, which all organisations share: partitions, and *numbers* of sources that spoke, fell silent,
or have gaps. Names of hosts and services are the operator's, and no tenant sees them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from audit_events.event import SOURCE_CLOSED, SOURCE_HEARTBEAT, SYSTEM_ORGANIZATION
from audit_events.instant import format_instant, parse_instant
from indexer.records import MISSING
from indexer.settings import IndexSettings
from indexer.span import Span, span_of
from indexer.verification import VERIFIED
from webapi.aggregation import Counted, Number, TermBucket, Terms, instant_of, terms
from webapi.event_values import read_parts
from webapi.facet_counts import FacetQuestion, facets_of
from webapi.histogram import INTERVALS
from webapi.listing import Listed
from webapi.losses import BREAK, GAP, GAP_CLOSED, SILENT
from webapi.query import Query, ScopedSearch, any_action, any_result
from webapi.reading import Reading

DAYS: Final = 30
SAMPLE: Final = 100
"""So many of the newest events tell how old events are when they arrive."""
MOST_INDICES: Final = 2000

WATCHED: Final = (
    *(SOURCE_HEARTBEAT, SOURCE_CLOSED, SILENT),
    *(GAP, GAP_CLOSED, BREAK, MISSING, VERIFIED),
)


class Day(Struct, frozen=True):
    """How many events one day had (UTC)."""

    date: str
    count: int


class PartitionState(Struct, frozen=True):
    """One index of events, and how many of the organisation's are in it."""

    name: str
    span: Span | None
    sealed: bool
    events: int


class Arrival(Struct, frozen=True):
    """How old events were when they were shipped, in seconds, over the newest of them.

    Args:
        events: how many are counted.
        newest_at: when the last one was shipped.
    """

    events: int
    median_seconds: Annotated[float, Meta(ge=0)]
    most_seconds: Annotated[float, Meta(ge=0)]
    newest_at: datetime


class Health(Struct, frozen=True, kw_only=True):
    """What the log says of itself, in numbers."""

    heartbeats_hour: int = 0
    closed_day: int = 0
    silent_day: int = 0
    gaps: int = 0
    gaps_closed: int = 0
    breaks: int = 0
    missing: int = 0
    checks: int = 0
    damage: int = 0
    """How many of the checks found some."""


class LogState(Struct, frozen=True, kw_only=True):
    """All of it."""

    days: list[Day]
    total: int
    oldest: datetime | None
    arrival: Arrival | None
    partitions: list[PartitionState]
    health: Health


class _Times(Struct, frozen=True, rename="camel"):
    timestamp: str = ""
    ingested_at: str | None = None

    @property
    def moments(self) -> tuple[datetime, datetime] | None:
        """When it happened and when it was shipped; None where one of them does not say."""
        try:
            return parse_instant(self.timestamp), parse_instant(self.ingested_at or "")
        except ValueError:
            return None


class _Held(Struct, frozen=True):
    indices: Terms[TermBucket] = Terms()
    oldest: Number = Number()


class _Counted(Struct, frozen=True):
    actions: Terms[TermBucket] = Terms()

    def of(self, action: str) -> int:
        return next((one.doc_count for one in self.actions.buckets if one.key == action), 0)


class _Actions(Struct, frozen=True):
    hour: _Counted = _Counted()
    day: _Counted = _Counted()
    month: _Counted = _Counted()
    damage: Counted = Counted()


def read_log_state(
    reading: Reading,
    listed: Mapping[str, Listed],
    index: IndexSettings,
    organization_id: str,
    now: datetime,
) -> LogState:
    """Return the state of the log for an organisation.

    Args:
        reading: what is asked.
        listed: the indices that there are.
        index: what their names mean.
        organization_id: whose events are counted.
        now: aware.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    held = reading.over(_held_search(organization_id), None, None)
    counts = held.aggregated(_Held)
    newest = reading.page(Query(organization_id=organization_id, limit=SAMPLE))
    return LogState(
        days=_days(reading, organization_id, now),
        total=held.hits.total.value,
        oldest=instant_of(counts.oldest),
        arrival=arrival_of([hit.source for hit in newest.hits.hits[:SAMPLE]]),
        partitions=partitions_of(
            listed, {one.key: one.doc_count for one in counts.indices.buckets}, index
        ),
        health=_health(reading, now),
    )


def partitions_of(
    listed: Mapping[str, Listed], counts: Mapping[str, int], index: IndexSettings
) -> list[PartitionState]:
    """Return the indices, those of the newest events first. Pure."""
    found = [
        PartitionState(name, span_of(name, index), one.write == "true", counts.get(name, 0))
        for name, one in listed.items()
    ]
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(
        found, key=lambda one: (one.span.start if one.span else never, one.name), reverse=True
    )


def arrival_of(events: Sequence[bytes | Raw]) -> Arrival | None:
    """Return how old events were when they arrived; None where none says. Pure."""
    moments = [read_parts(event, _Times).moments for event in events]
    pairs = [one for one in moments if one is not None]
    if not pairs:
        return None
    # An application's clock may be ahead of the agent's.
    ages = [max(0.0, (shipped - happened).total_seconds()) for happened, shipped in pairs]
    return Arrival(len(ages), median(ages), max(ages), max(shipped for _, shipped in pairs))


def _days(reading: Reading, organization_id: str, now: datetime) -> list[Day]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    query = Query(
        organization_id=organization_id,
        since=today - timedelta(days=DAYS - 1),
        until=today + timedelta(days=1),
    )
    question = FacetQuestion(names=("histogram",), values=1, interval=INTERVALS["1d"])
    found = facets_of(reading, query, question).histogram
    if found is msgspec.UNSET:
        return []
    return [Day(bucket.since[:10], bucket.count) for bucket in reversed(found.buckets)]


def _held_search(organization_id: str) -> ScopedSearch:
    return ScopedSearch(
        organization_id=organization_id,
        rest={
            "size": 0,
            "track_total_hits": True,
            "aggs": {
                "indices": {"terms": {"field": "_index", "size": MOST_INDICES}},
                "oldest": {"min": {"field": "timestamp"}},
            },
        },
    )


def _health(reading: Reading, now: datetime) -> Health:
    since = now - timedelta(days=DAYS)
    damage = [any_action((VERIFIED,)), any_result(("failure",))]
    spans = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=DAYS)}
    search = ScopedSearch(
        organization_id=SYSTEM_ORGANIZATION,
        filters=[any_action(WATCHED), _after(since)],
        rest={
            "size": 0,
            "track_total_hits": False,
            "aggs": {
                "damage": {"filter": {"bool": {"filter": damage}}},
                **{
                    name: {
                        "filter": _after(now - span),
                        "aggs": {"actions": terms("action", len(WATCHED))},
                    }
                    for name, span in spans.items()
                },
            },
        },
    )
    found = reading.over(search, since, None).aggregated(_Actions)
    return Health(
        heartbeats_hour=found.hour.of(SOURCE_HEARTBEAT),
        closed_day=found.day.of(SOURCE_CLOSED),
        silent_day=found.day.of(SILENT),
        gaps=found.month.of(GAP),
        gaps_closed=found.month.of(GAP_CLOSED),
        breaks=found.month.of(BREAK),
        missing=found.month.of(MISSING),
        checks=found.month.of(VERIFIED),
        damage=found.damage.doc_count,
    )


def _after(instant: datetime) -> dict[str, object]:
    return {"range": {"timestamp": {"gte": format_instant(instant)}}}


def most_of(days: Iterable[Day]) -> int:
    """Return how many events the busiest day had. Pure."""
    return max((day.count for day in days), default=0)
