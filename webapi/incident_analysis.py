"""What happened around a moment: the events, who and what took part, and what is unusual of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_events.instant import format_instant
from webapi.aggregation import instant_of
from webapi.cursor import next_cursor
from webapi.histogram import Interval, read_histogram, sensible
from webapi.incident_comparison import before_of, covered, unusual_of
from webapi.incident_participants import ParticipantLists
from webapi.incident_search import (
    FoundComparison,
    FoundWindow,
    Window,
    comparison_search,
    window_search,
)
from webapi.incident_shapes import Incident, IncidentEvent
from webapi.participants import DIMENSIONS, AnyKey, Dimension, Keys
from webapi.people import Key
from webapi.query import Query, unix_ns
from webapi.reading import Reading
from webapi.storage_answer import Hit

DEFAULT_VALUES: Final = 10
MAX_VALUES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentQuestion:
    """What is asked.

    Args:
        window: filters, page and window.
        origin: where distances are from.
        values: how many participants of each kind are listed.
        interval: of the histogram; None for a sensible one.
    """

    window: Window
    origin: datetime
    values: int = DEFAULT_VALUES
    interval: Interval | None = None


def incident_of(reading: Reading, question: IncidentQuestion, cursor_key: bytes) -> Incident:
    """Return a page of the events of a window, and what all of it is made of.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    window, values = question.window, question.values
    interval = question.interval or sensible(window.since, window.until)
    found = reading.over(window_search(window, interval), window.since, window.until)
    counted = found.aggregated(FoundWindow)
    keys = keys_of(counted, window.query)
    listed = [key for key in keys["actor"] if isinstance(key, Key)][:values]
    search = comparison_search(window, keys, listed)
    compared = reading.over(search, window.before, window.until).aggregated(FoundComparison)
    days = history(reading, window, compared)
    before = before_of(window, compared, days)
    hits, total = found.hits.hits[: window.query.limit], found.hits.total.value
    lists = ParticipantLists(
        reading, window, values, hits=hits, counted=counted, compared=compared, before=before
    )
    unusual = None
    if before.enough:
        unusual = unusual_of(window, total, counted, compared.like, days)
    return Incident(
        origin=format_instant(question.origin),
        since=format_instant(window.since),
        until=format_instant(window.until),
        total=total,
        limit=window.query.limit,
        next_cursor=next_cursor(window.query, found, cursor_key),
        events=[_distant(hit, question.origin) for hit in hits],
        histogram=read_histogram(interval, counted.histogram, window.since, window.until),
        actors=lists.actors(),
        targets=lists.targets(),
        resources=lists.resources(),
        ip_addresses=lists.used("ip"),
        user_agents=lists.used("userAgent"),
        before=before,
        unusual=unusual,
    )


def keys_of(counted: FoundWindow, query: Query) -> Keys:
    """Return what took part, with every id under which the actions may be stored."""
    found: dict[Dimension, list[AnyKey]] = {
        one: list(counted.of(one).buckets) for one in DIMENSIONS
    }
    stored = [
        name for bucket in counted.action.buckets for name in query.catalogue.names_of(bucket.key)
    ]
    return {**found, "action": list(dict.fromkeys(stored))}


def history(reading: Reading, window: Window, compared: FoundComparison) -> timedelta:
    """Return how much of the days before a window the organisation has a history of.

    Raises:
        UnavailableError, InternalError: as `Storage.search`.
    """
    older = reading.has_before(window.query.organization_id, window.before)
    return covered(window, instant_of(compared.any.first), older=older)


def _distant(hit: Hit, origin: datetime) -> IncidentEvent:
    return IncidentEvent((hit.sort[1] - unix_ns(origin)) / 1_000_000, hit.source)
