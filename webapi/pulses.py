"""Who lives and has been heard, by the heartbeats that are stored: up to when the log is complete.

A process says every `heartbeat_seconds` that it lives (`audit_events.heartbeat`), as an event of
its own chain. When that is stored, so is all that the process recorded before, or it is told as a
gap. So nothing more comes from before the oldest of the newest heartbeats of all that live: that
instant is the log's low watermark.

Whoever ended, or was told by an agent to be silent, has nothing more to send: an agent tells so
only when all that the process wrote is stored. Only events of `_system` are read, never a tenant's.
Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from audit_events.event import SOURCE_CLOSED, SOURCE_HEARTBEAT, SYSTEM_ORGANIZATION
from audit_events.instant import format_instant
from webapi.aggregation import Number, Terms, instant_of
from webapi.query import ScopedSearch, any_action, event_order

DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
"""Who was not heard for so long is waited for no more: an agent may be down over a long weekend."""
INTERVALS: Final = 3
"""So many heartbeats that do not come make a process late, as for the agent."""
SETTLED: Final = timedelta(seconds=15)
"""A heartbeat may be stored seconds before what stands ahead of it; so long it says nothing, and by
then an agent has told of what did not come."""
SLACK: Final = timedelta(seconds=30)
"""What shipping and refreshing may take beside the intervals, and that it says nothing yet."""
DEFAULT_INTERVAL_SECONDS: Final = 60.0
"""Of `configure()`, where a process's own is not asked for."""
MOST_SOURCES: Final = 10_000
MOST_ASKED: Final = 100
"""So many processes are asked for their own interval, those that were heard last."""


class Pulse(Struct, frozen=True):
    """A process that says when it lives.

    Args:
        source_id: which one.
        heard_at: the timestamp of its newest heartbeat.
        is_closed: its last line came after that.
    """

    source_id: str
    heard_at: datetime
    is_closed: bool = False


class Heard(Struct, frozen=True, kw_only=True):
    """What all of them come to.

    Args:
        known: how many were heard within a day, or live.
        live: how many of them neither ended nor fell silent.
        late: how many of these should have been heard since.
        complete_until: from before it nothing more comes; None where nobody was heard.
        late_since: what came after it may be missing; None where nobody is late.
        is_whole: False where there are more than can be told apart.
    """

    known: int
    live: int
    late: int
    complete_until: datetime | None
    late_since: datetime | None
    is_whole: bool = True


class _Closed(Struct, frozen=True):
    at: Number = Number()


class _Bucket(Struct, frozen=True):
    key: str
    heard: Number = Number()
    closed: _Closed = _Closed()


class SourcesAnswer(Struct, frozen=True):
    """What `pulse_search` is answered."""

    sources: Terms[_Bucket] = Terms()


class _Context(Struct, frozen=True, rename="camel"):
    interval_seconds: Annotated[float, Meta(ge=1, le=86_400)]


class _Source(Struct, frozen=True):
    id: str


class _Heartbeat(Struct, frozen=True):
    source: _Source
    context: _Context


def pulse_search(since: datetime, until: datetime | None = None) -> ScopedSearch:
    """Return the search for the newest heartbeat, and last line, of each process of a time."""
    newest = {"at": {"max": {"field": "timestamp"}}}
    return ScopedSearch(
        organization_id=SYSTEM_ORGANIZATION,
        filters=[
            any_action((SOURCE_HEARTBEAT, SOURCE_CLOSED)),
            {"range": {"timestamp": _window(since, until)}},
        ],
        rest={
            "size": 0,
            "track_total_hits": False,
            "aggs": {
                "sources": {
                    "terms": {"field": "source.id", "size": MOST_SOURCES},
                    "aggs": {
                        "heard": {"max": {"field": "timestamp"}},
                        "closed": {"filter": any_action((SOURCE_CLOSED,)), "aggs": newest},
                    },
                }
            },
        },
    )


def _window(since: datetime, until: datetime | None) -> dict[str, str]:
    end = {} if until is None else {"lt": format_instant(until)}
    return {"gte": format_instant(since), **end}


def pulses_of(answer: SourcesAnswer) -> list[Pulse]:
    """Return what the answer says of each process, who was heard last first."""
    pulses: list[Pulse] = []
    for bucket in answer.sources.buckets:
        heard, closed = instant_of(bucket.heard), instant_of(bucket.closed.at)
        if heard is not None:
            # Whoever goes on after its last line says so by a heartbeat after it.
            pulses.append(Pulse(bucket.key, heard, closed is not None and closed >= heard))
    return sorted(pulses, key=lambda one: one.heard_at, reverse=True)


def with_older(pulses: Sequence[Pulse], older: Iterable[Pulse]) -> list[Pulse]:
    """Return what is known of each process, who was heard last first.

    Args:
        pulses: all that were heard lately.
        older: those of before that did not end then.
    """
    lately = {one.source_id for one in pulses}
    return [*pulses, *(one for one in older if one.source_id not in lately)]


def interval_search(source_ids: Sequence[str]) -> ScopedSearch:
    """Return the search for the newest heartbeat of each of some processes."""
    return ScopedSearch(
        organization_id=SYSTEM_ORGANIZATION,
        filters=[any_action((SOURCE_HEARTBEAT,)), {"terms": {"source.id": list(source_ids)}}],
        rest={
            "size": len(source_ids),
            "track_total_hits": False,
            "collapse": {"field": "source.id"},
            "sort": event_order(),
            "_source": ["source.id", "context.intervalSeconds"],
        },
    )


def intervals_of(heartbeats: Iterable[bytes | Raw]) -> dict[str, float]:
    """Return each one's interval in seconds; what no heartbeat of ours says is left out."""
    intervals: dict[str, float] = {}
    for line in heartbeats:
        try:
            found = msgspec.json.decode(line, type=_Heartbeat)
        except msgspec.MsgspecError:
            continue
        intervals.setdefault(found.source.id, found.context.interval_seconds)
    return intervals


def live_of(pulses: Sequence[Pulse], silent: Mapping[str, datetime]) -> list[Pulse]:
    """Return those that neither ended nor fell silent.

    Args:
        pulses: all that were heard.
        silent: when an agent told of a process that it fell silent.
    """
    return [
        one
        for one in pulses
        if not one.is_closed
        and not (one.source_id in silent and silent[one.source_id] > one.heard_at)
    ]


def quiet_of(live: Sequence[Pulse], now: datetime) -> list[Pulse]:
    """Return those that would be late with the default interval, so are asked for their own."""
    return [one for one in live if _is_late(one, DEFAULT_INTERVAL_SECONDS, now)][:MOST_ASKED]


def judge(
    pulses: Sequence[Pulse],
    silent: Mapping[str, datetime],
    intervals: Mapping[str, float],
    now: datetime,
    *,
    is_whole: bool = True,
) -> Heard:
    """Return what the heartbeats come to.

    Args:
        pulses: all that were heard within a day, and those of the week that did not end.
        silent: as of `live_of`.
        intervals: in seconds, of those whose own was asked for.
        now: aware.
        is_whole: whether all of them are among `pulses`.
    """
    live = live_of(pulses, silent)
    late = [
        one
        for one in live
        if _is_late(one, intervals.get(one.source_id, DEFAULT_INTERVAL_SECONDS), now)
    ]
    # A clock that is ahead vouches for no time that has not come.
    everybody = [now] if pulses else []
    lately = [one for one in pulses if one.heard_at > now - DAY]
    return Heard(
        known=max(len(lately), len(live)),
        live=len(live),
        late=len(late),
        complete_until=min((*everybody, *(one.heard_at for one in live)), default=None),
        late_since=min((one.heard_at for one in late), default=None),
        is_whole=is_whole,
    )


def _is_late(pulse: Pulse, interval_seconds: float, now: datetime) -> bool:
    return now - pulse.heard_at > INTERVALS * timedelta(seconds=interval_seconds) + SLACK
