"""`/completeness`: whether anything of a window is known to be missing, and what may still come.

A list says what there is. Whether that is all says the log itself: processes number what they write
and say when they live, agents tell of what does not arrive, and the lifecycle of what is gone. An
organisation learns numbers and times of that, as processes write events of many; which hosts it is
about is the operator's to know.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from flask import Response, request
from msgspec import Struct

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi import parameters
from webapi.answered import Moment, Verdict
from webapi.answering import answer_json, record_read
from webapi.audit_log import PATH, blueprint
from webapi.completeness_reading import LATEST, LogView, Placed
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.export_file import ExportCompleteness
from webapi.kinds import asks
from webapi.losses import Kind
from webapi.parameters import Parameter
from webapi.parts import parts
from webapi.query import EARLIEST, Query
from webapi.request import read_pairs
from webapi.request_reading import Pairs, RequestReading

MILLISECOND: Final = timedelta(milliseconds=1)
MOST_LOSSES: Final = 100
"""Of the losses that concern the window, the newest are told one by one."""


class KnownLoss(Struct, frozen=True, rename="camel", kw_only=True):
    """Events of the log that are missing, or were altered; whose they are nobody can say.

    Args:
        kind: `gap`: they were written and never arrived. `altered`: they are not what was written.
            `event_missing`: they were stored, and are not any more. `partition_missing`: so is a
            whole partition, which had not to go.
        events: how many; 0 where nobody can say.
        after: they come after this instant; null: nobody can say.
        before: and before this one, or right then.
        found_at: when that was recorded.
    """

    kind: Kind
    events: int
    after: Moment | None
    before: Moment
    found_at: Moment


class Completeness(Struct, frozen=True, rename="camel", kw_only=True):
    """What is known of how complete a window is.

    Args:
        verdict: `gaps`: something of the window is known to be missing or altered. `lagging`:
            nothing is, but processes that should have been heard were not, or an agent is behind,
            so that more may come.
            `unknown`: nothing is, but no process says that it lives. `complete`: nothing is, and
            all that live are heard; what is newer than `completeUntil` may be on its way.
        since: the window, as it was asked for; null: from the beginning.
        until: its end, not included; null: until now.
        as_of: when that was looked up, at most ten seconds ago.
        complete_until: all processes that live were heard of since, and no agent is behind, so what
            happened before it has arrived, or is told as missing. Null where nobody can say.
        processes: how many live: were heard within a week, and neither ended nor fell silent.
        late_processes: how many of them should have been heard since.
        late_agents: how many agents say that they have not shipped all that they should have.
        silent_processes: how many were killed or hang: they fell silent within a day, without a
            last line, and all that they wrote has arrived.
        losses: what of the window is missing or altered, the newest findings first, 100 at most.
        losses_total: how many there are.
        losses_relation: `gte` where the log has older findings than are looked at.
    """

    verdict: Verdict
    since: Moment | None
    until: Moment | None
    as_of: Moment
    complete_until: Moment | None
    processes: int
    late_processes: int
    late_agents: int
    silent_processes: int
    losses: list[KnownLoss]
    losses_total: int
    losses_relation: Literal["eq", "gte"]


SHAPES: Final = (Completeness,)

PARAMETERS: Final[Mapping[str, Parameter[object]]] = parameters.by_name(
    parameters.SINCE, parameters.UNTIL
)


@blueprint.get("/completeness")
@asks("list")
def show_completeness() -> Response:
    """Answer what is known of how complete a window is."""
    pairs = read_pairs(request.query_string)
    since, until = read_window(pairs)
    found = judge_window(parts().completeness_reading.look(), since, until)
    record_read(pairs, events=0)
    return answer_json(found)


def read_window(pairs: Pairs) -> tuple[datetime | None, datetime | None]:
    """Return the window that a request asks for.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, PARAMETERS)
    since, until = reading.single(parameters.SINCE), reading.single(parameters.UNTIL)
    reading.refuse_unless_before(since, until)
    reading.finish()
    return since, until


def judge_window(view: LogView, since: datetime | None, until: datetime | None) -> Completeness:
    """Return what the log tells of a window `[since, until)`. Pure."""
    start, end = since or EARLIEST, until or LATEST
    losses = [one for one in view.losses if _meets(one, start, end)]
    heard = view.heard
    return Completeness(
        verdict=_verdict(view, start, end, is_lossy=bool(losses)),
        since=_instant(since),
        until=_instant(until),
        as_of=format_instant(view.as_of),
        complete_until=_instant(_complete_until(view)),
        processes=heard.live,
        late_processes=heard.late,
        late_agents=len(view.backlogs),
        silent_processes=view.silent_day,
        losses=[_known(one) for one in losses[: -MOST_LOSSES - 1 : -1]],
        losses_total=len(losses),
        losses_relation="gte" if _has_unread(view, start) else "eq",
    )


def _meets(placed: Placed, start: datetime, end: datetime) -> bool:
    span = placed.loss.span
    # A partition ends right before its end; a heartbeat is known to the millisecond, rounded down.
    rest = timedelta() if span is not None and span.start < span.end else MILLISECOND
    return (placed.after or EARLIEST) < end and placed.before + rest > start


def vouch(view: LogView | None, query: Query) -> ExportCompleteness:
    """Return what an export says of the time that it is of; without a view nobody knows. Pure."""
    if view is None:
        return ExportCompleteness(verdict="unknown", complete_until=None, losses=0)
    found = judge_window(view, query.since, query.until)
    return ExportCompleteness(
        verdict=found.verdict, complete_until=found.complete_until, losses=found.losses_total
    )


def _verdict(view: LogView, start: datetime, end: datetime, *, is_lossy: bool) -> Verdict:
    heard = view.heard
    if is_lossy:
        return "gaps"
    awaited = view.backlogs if heard.late_since is None else (*view.backlogs, heard.late_since)
    if min(awaited, default=LATEST) < end:
        return "lagging"
    if not heard.known or not heard.is_whole or _has_unread(view, start):
        return "unknown"
    return "complete"


def _has_unread(view: LogView, start: datetime) -> bool:
    # What was found before lies before.
    return view.older_before is not None and start < view.older_before


def _complete_until(view: LogView) -> datetime | None:
    until = view.heard.complete_until
    if until is None or EARLIEST in view.backlogs:
        return None
    return min(until, *view.backlogs) if view.backlogs else until


def _known(placed: Placed) -> KnownLoss:
    return KnownLoss(
        kind=placed.loss.kind,
        events=placed.loss.events,
        after=_instant(placed.after),
        before=format_instant(placed.before),
        found_at=format_instant(placed.loss.found_at),
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/completeness`."""
    described = operation(
        "showCompleteness",
        "Whether anything of a window is known to be missing or altered, and up to when all that"
        " was recorded has arrived. It is about the log as a whole, whose processes write events of"
        " many organisations: numbers and times, no names. It rests on what applications and agents"
        " told; what proves an export is `/heads`.",
        "Completeness",
        QUESTION_CODES,
        [describe_parameter(parameter) for parameter in PARAMETERS.values()],
    )
    return {f"{PATH}/completeness": described}
