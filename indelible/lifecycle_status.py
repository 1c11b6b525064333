"""The row of the lifecycle in `indelible status`: whether what is due is done.

down       work is due and nobody does it; the last round had a problem; a partition that had to
stay is gone, or one is closed and cannot be looked after
ok         nothing is due, or somebody is at it
unknown    this host's users may not look; that is no reason to be down
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from audit_events.instant import parse_instant
from indelible.configuration import Configuration
from indelible.part import Part
from indelible.quantity import counted
from indexer.client import connect
from indexer.control import Control, ControlDocument
from indexer.errors import IndexerError, NoAnswerError, RefusedError
from indexer.hold import Hold
from indexer.journal import Journal
from indexer.mode import resolve
from indexer.names import index_kind
from indexer.outlook import look_ahead
from indexer.plan import Observed, Plan, plan
from indexer.policy import read_all
from indexer.records import MISSING
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import span_of

SHOWN: Final = 3
ROUNDS: Final = 2
"""Nobody ended a round for so many intervals, and the lease besides: nobody takes any."""
GRACE: Final = timedelta(minutes=1)
_RESTORE: Final = (
    "find out who (audit_log.partition_missing), and `indelible archive restore` where there is a"
    " copy"
)


class Seen(Struct, frozen=True, kw_only=True):
    """What a row is judged by."""

    plans: tuple[Plan, ...]
    control: Control | None
    """None where nobody ever had the lease."""
    missing: tuple[str, ...] = ()
    """Recorded as gone before their time, not back since, and still to be kept."""
    mode: str = "worm"


def look_at_lifecycle(configuration: Configuration, now: datetime) -> Part:
    """Ask the cluster what is due and who is at it; a few requests, however much there is."""
    lifecycle = configuration.lifecycle
    try:
        seen = _look(configuration, now)
    except RefusedError as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return _unknown(f"unknown, as this host may not look: {error}", ok=True)
        return _unknown(f"unknown: {error}; {error.hint}", ok=False)
    except NoAnswerError as error:
        # The row of the indices says the rest.
        return _unknown(f"unknown: {error}", ok=False)
    except IndexerError as error:
        return Part(name="lifecycle", ok=False, summary=f"{error}; {error.hint}")
    return judge_lifecycle(seen, lifecycle, now)


def _unknown(summary: str, *, ok: bool) -> Part:
    return Part(name="lifecycle", ok=ok, summary=summary, figures={"state": "unknown"})


def _look(configuration: Configuration, now: datetime) -> Seen:
    index, lifecycle = configuration.index, configuration.lifecycle
    with connect(configuration.connection, role="lifecycle") as client:
        outlook = look_ahead(client, None, index, lifecycle, now)
        found = ControlDocument(client, index).read()
        gone = {
            event.resource.id
            for event in Journal(client, index).read((MISSING,))
            if event.resource is not None
        }
    here = {observed.name for observed, _ in outlook.partitions}
    resolved = resolve(lifecycle, outlook.mode)
    return Seen(
        plans=tuple(planned for _, planned in outlook.partitions),
        control=None if found is None else found[0],
        missing=find_missing(gone - here, index, resolved, outlook.holds, now),
        mode=outlook.mode.name,
    )


def find_missing(
    names: Iterable[str],
    index: IndexSettings,
    lifecycle: LifecycleSettings,
    holds: Sequence[Hold],
    now: datetime,
) -> tuple[str, ...]:
    """Of partitions that are gone, those that would still be kept: the rest is past."""
    of_events, of_late = read_all(index, lifecycle)
    found: list[str] = []
    for name in sorted(names):
        kind = index_kind(name, index) or "events"
        gone = Observed(name=name, kind=kind, span=span_of(name, index), exists=False)
        policy = of_late if kind == "late" else of_events
        planned = plan(gone, policy, index, lifecycle, holds=holds, now=now)
        if planned.state == "missing":
            found.append(name)
    return tuple(found)


def judge_lifecycle(seen: Seen, lifecycle: LifecycleSettings, now: datetime) -> Part:
    """Judge what was seen. Pure."""
    control = seen.control or Control()
    due = [one.name for one in seen.plans if one.next_step is not None]
    missing = sorted({*seen.missing, *(one.name for one in seen.plans if one.state == "missing")})
    closed = [one.name for one in seen.plans if one.state == "closed"]
    last = control.last_round
    trouble = _idle(control, due, lifecycle, now)
    if last is not None and last.problems:
        problems = counted(last.problems, "problem")
        trouble.append(f"the last round had {problems}: {last.what}; next: {last.hint}")
    if missing:
        trouble.append(f"deleted by hand before their time: {_names(missing)}; next: {_RESTORE}")
    if closed:
        trouble.append(f"closed by hand: {_names(closed)}; next: open them (POST <index>/_open)")
    odd = [one.name for one in seen.plans if one.state in ("blocked", "unknown")]
    notes = [f"{len(due)} due" if due else "nothing is due"]
    if odd:
        notes.append(f"not as planned: {_names(odd)} (`indelible indices plan`)")
    notes.append("no round ended yet" if last is None else f"last round {last.ended_at}")
    if control.holder:
        notes.append(f"{control.holder} has the lease")
    if lifecycle.signing_key_file is None:
        notes.append("no lifecycle.signing_key_file is set here: what this host seals has no head")
    return Part(
        name="lifecycle",
        ok=not trouble,
        summary="; ".join([*trouble, *notes]),
        figures={
            "mode": seen.mode,
            "holder": control.holder or None,
            "renewedAt": control.renewed_at or None,
            "lastRoundAt": None if last is None else last.ended_at,
            "problems": 0 if last is None else last.problems,
            "due": len(due),
            "missing": len(missing),
            "held": sum(one.state == "held" for one in seen.plans),
        },
    )


def _idle(
    control: Control, due: list[str], lifecycle: LifecycleSettings, now: datetime
) -> list[str]:
    """Work is due and nobody is at it, or whoever is comes to no end."""
    patience = (
        timedelta(seconds=lifecycle.interval_seconds * ROUNDS + lifecycle.lease_seconds) + GRACE
    )
    renewed, ended = _instant(control.renewed_at), None
    if control.last_round is not None:
        ended = _instant(control.last_round.ended_at)
    # What lies further ahead was written before a clock was set back.
    if control.holder and renewed is not None and abs(now - renewed) < patience:
        return []
    newest = ended or renewed
    if not due or (newest is not None and abs(now - newest) < patience):
        return []
    since = "nobody ever looked"
    if newest is not None:
        since = f"nobody looked since {newest:%Y-%m-%d %H:%M} UTC"
    is_due, them = ("is due", "it") if len(due) == 1 else ("are due", "them")
    what = f"{counted(len(due), 'partition')} {is_due} ({_names(due)}), and {since} after {them}"
    return [f"{what}; next: run `indelible lifecycle run`, and see its log"]


def _instant(text: str) -> datetime | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None


def _names(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown
