"""The row of what was found missing or altered in `indelible status`, by what is stored of it.

The agent's own row counts since the start of one agent. What is stored tells of all of them, and of
the lifecycle and the archive, whatever was started again since. Nobody has to acknowledge anything:
after `DAYS` a finding is past, and stays where it is recorded.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from agent.trail import ACTIONS
from audit_events.event import SYSTEM_ORGANIZATION
from audit_events.instant import format_instant
from indelible.configuration import Configuration
from indelible.part import Part
from indelible.quantity import counted
from indexer.client import connect, request_shape
from indexer.errors import IndexerError
from indexer.names import read_indices
from indexer.records import MISSING
from indexer.verification import VERIFIED
from webapi.aggregation import Number, instant_of

DAYS: Final = 7
LOSSES: Final[Mapping[str, str]] = {
    ACTIONS["gap"]: "gap",
    ACTIONS["break"]: "broken chain",
    ACTIONS["gone"]: "missing stored event",
    MISSING: "missing partition",
    VERIFIED: "damaged archive",
}
"""The actions that tell of what is to be looked at, and what one is called."""
FIGURES: Final[Mapping[str, str]] = {
    ACTIONS["gap"]: "gaps",
    ACTIONS["closed"]: "gapsClosed",
    ACTIONS["break"]: "chainBreaks",
    ACTIONS["gone"]: "storedMissing",
    MISSING: "partitionsMissing",
    VERIFIED: "damagedArchives",
}


class Told(Struct, frozen=True):
    """How many events tell of one thing, and when the newest one was recorded."""

    doc_count: int = 0
    newest: Number = Number()


class _Kinds(Struct, frozen=True):
    buckets: dict[str, Told] = {}


class _Aggregations(Struct, frozen=True):
    kinds: _Kinds = _Kinds()


class _Answer(Struct, frozen=True):
    aggregations: _Aggregations = _Aggregations()


def look_at_findings(configuration: Configuration, now: datetime) -> Part:
    """Ask the cluster what was recorded within `DAYS`."""
    path = f"/{read_indices(configuration.index)}/_search"
    # What is closed is left out, as nothing new is there; what fails is not.
    params = {"expand_wildcards": "open,hidden", "allow_partial_search_results": "false"}
    body = _question(now - timedelta(days=DAYS))
    try:
        with connect(configuration.connection, role="reader") as client:
            found = request_shape(
                client, "POST", path, _Answer, params=params, body=body, safe=True
            )
    except IndexerError as error:
        # The row of the indices says what to do.
        figures: dict[str, int | float | str | None] = {"state": "unknown"}
        return Part(name="findings", ok=False, summary=f"unknown: {error}", figures=figures)
    return judge_findings({} if found is None else found.aggregations.kinds.buckets)


def _question(since: datetime) -> dict[str, object]:
    kinds: dict[str, object] = {action: {"term": {"action": action}} for action in FIGURES}
    # One that found nothing is recorded too.
    damage = [{"term": {"action": VERIFIED}}, {"term": {"result": "failure"}}]
    kinds[VERIFIED] = {"bool": {"filter": damage}}
    scope = [
        {"term": {"organizationId": SYSTEM_ORGANIZATION}},
        {"range": {"timestamp": {"gte": format_instant(since)}}},
    ]
    newest = {"newest": {"max": {"field": "timestamp"}}}
    return {
        "size": 0,
        "query": {"bool": {"filter": scope}},
        "aggs": {"kinds": {"filters": {"filters": kinds}, "aggs": newest}},
    }


def judge_findings(told: Mapping[str, Told]) -> Part:
    """Judge what was recorded, by the action that tells of it. Pure."""
    counts = {action: told.get(action, Told()).doc_count for action in FIGURES}
    found = [action for action in LOSSES if counts[action]]
    moments = [at for action in found if (at := instant_of(told[action].newest)) is not None]
    newest = format_instant(max(moments)) if moments else None
    summary = f"nothing missing or altered was recorded in {DAYS} days"
    if found:
        losses = ", ".join(counted(counts[action], LOSSES[action]) for action in found)
        closed = counts[ACTIONS["closed"]]
        arrived = f"; {counted(closed, 'gap')} closed" if closed else ""
        actions = ",".join(found)
        summary = (
            f"{losses} recorded in {DAYS} days, the last one at {newest}{arrived} (see `indelible"
            f" search --organization {SYSTEM_ORGANIZATION} --since {DAYS}d --action {actions}`)"
        )
    return Part(
        name="findings",
        ok=True,
        needs_look=bool(found),
        summary=summary,
        figures={
            "days": DAYS,
            "newest": newest,
            **{figure: counts[action] for action, figure in FIGURES.items()},
        },
    )
