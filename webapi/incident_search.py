"""The two searches of an incident, and the shapes of their answers. Pure.

The first is over the window: a page of its events, and what they are made of. The second is over
the window and the days before it, and counts just what the first found; so its counts are exact.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from webapi.aggregation import Number, TermBucket, Terms, terms
from webapi.histogram import FoundHistogram, Interval, histogram_aggregation
from webapi.participants import (
    FIELDS,
    TIMES,
    Dimension,
    FoundParticipants,
    Keys,
    TimedBucket,
    participant_aggregations,
)
from webapi.people import ACTOR, Key, PeopleAnswer, people_aggregation
from webapi.query import Clause, Query, ScopedSearch, between, filters, list_search

DAYS_BEFORE: Final = 30
USED: Final[tuple[Dimension, ...]] = ("ip", "userAgent")
"""What of each actor is listed."""
PAIRS: Final = 20
"""How many of each."""
SHARD_PAIRS: Final = 200
"""How many of each are looked for in the days before: those with most events in the window. With
50 actors these are 20,000 buckets; OpenSearch refuses an answer of more than 65,535."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that both searches are about.

    Args:
        query: filters, and the page of events, oldest first.
        since: its first instant, included.
        until: its last instant, not included.
    """

    query: Query
    since: datetime
    until: datetime

    @property
    def before(self) -> datetime:
        """Where the days before it begin."""
        return self.since - timedelta(days=DAYS_BEFORE)

    @property
    def free(self) -> Query:
        """The filters without the window."""
        return replace(self.query, since=None, until=None)


class FoundWindow(FoundParticipants, frozen=True, rename="camel"):
    """The answer to `window_search`."""

    histogram: FoundHistogram = FoundHistogram()


class PairBucket(TermBucket, frozen=True, rename={"user_agent": "userAgent"}):
    """The events of one actor, by address and by user agent."""

    ip: Terms[TimedBucket] = Terms()
    user_agent: Terms[TimedBucket] = Terms()


class FoundSpan(FoundParticipants, frozen=True, rename={"user_agent": "userAgent"}):
    """Counts of one span of time; `doc_count` is of all its events, `first` their first."""

    doc_count: int = 0
    first: Number = Number()
    pairs: PeopleAnswer[PairBucket] = PeopleAnswer()


class FoundComparison(Struct, frozen=True):
    """The answer to `comparison_search`.

    Args:
        here: of the window and the filters: pairs alone.
        any: of the days before, whatever the filters are.
        same: of the days before and the filters; absent where there are no filters.
    """

    here: FoundSpan = FoundSpan()
    any: FoundSpan = FoundSpan()
    same: FoundSpan | None = None

    @property
    def like(self) -> FoundSpan:
        """The days before, under the filters of the question."""
        return self.any if self.same is None else self.same


def window_search(window: Window, interval: Interval) -> ScopedSearch:
    """Return the search of a page of events and of counts over all of them."""
    page = list_search(window.query)
    counted = {
        **participant_aggregations(TIMES),
        "histogram": histogram_aggregation(interval, window.query.catalogue),
    }
    rest = {**page.rest, "track_total_hits": True, "aggs": counted}
    return ScopedSearch(organization_id=page.organization_id, filters=page.filters, rest=rest)


def comparison_search(window: Window, keys: Keys, listed: Collection[Key]) -> ScopedSearch:
    """Return the search that compares a window with the days before.

    Args:
        window: which.
        keys: what took part.
        listed: the actors whose addresses and user agents are wanted.
    """
    same = filters(window.free)
    days = between(window.before, window.since)
    counted = participant_aggregations(only=keys)
    times: dict[str, object] = {one: _pairs(FIELDS[one]) for one in USED}
    seen: dict[str, object] = {
        one: terms(FIELDS[one], SHARD_PAIRS, include=list(keys[one])[:SHARD_PAIRS])
        for one in USED
        if keys[one]
    }
    here = [between(window.since, window.until), *same]
    spans: dict[str, object] = {
        "here": _span(here, {"pairs": people_aggregation(ACTOR, len(listed), times, listed)}),
        "any": _span(
            [days],
            {
                **counted,
                "first": TIMES["first"],
                "pairs": people_aggregation(ACTOR, len(listed), seen, listed),
            },
        ),
    }
    if same:
        spans["same"] = _span([days, *same], counted)
    return ScopedSearch(
        organization_id=window.query.organization_id,
        filters=[between(window.before, window.until)],
        rest={"size": 0, "track_total_hits": False, "aggs": spans},
    )


def _span(clauses: Sequence[Clause], counted: Mapping[str, object]) -> dict[str, object]:
    return {"filter": {"bool": {"filter": list(clauses)}}, "aggs": counted}


def _pairs(field: str) -> dict[str, object]:
    fewer = {"field": field, "size": PAIRS, "shard_size": SHARD_PAIRS}
    return {"terms": fewer, "aggs": TIMES}
