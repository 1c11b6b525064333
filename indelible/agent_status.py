"""The row of the agent in `indelible status`, by what the agent wrote about itself last."""

from datetime import datetime
from typing import Final

from rich.filesize import decimal

from agent import status as agent_status
from agent.health import Problem, find_notes, judge_cluster, judge_files
from audit_events.instant import parse_instant
from indelible.part import Part
from indelible.quantity import counted

PATHS_SHOWN: Final = 5
STALE_SECONDS: Final = 30.0
"""An agent that has written nothing for so long hangs, or was killed, or cannot write."""
_ALIVE: Final = (
    ", but its process {} lives: its state directory may be full or read-only, look at its log"
)


def judge_agent(found: agent_status.Status | None, now: datetime, pid: int | None = None) -> Part:
    """Judge what the agent wrote about itself last; `pid` is the process that is there now."""
    if found is None:
        return Part(name="agent", ok=False, summary="has not run here yet")
    age_seconds = (now - parse_instant(found.updated_at)).total_seconds()
    behind_seconds = 0.0
    if found.oldest_unshipped:
        oldest = parse_instant(found.oldest_unshipped)
        behind_seconds = max(0.0, (now - oldest).total_seconds())
    trouble = _agent_trouble(found, age_seconds, now, pid)
    lag = (
        f"{decimal(found.lag_bytes)} and {behind_seconds:.0f} s behind"
        if found.lag_bytes
        else "nothing waits"
    )
    losses = _losses(found.totals)
    return Part(
        name="agent",
        ok=not trouble,
        needs_look=bool(losses) or found.totals.stored_missing > 0,
        summary="; ".join(
            [
                *trouble,
                *losses,
                *_agent_notes(found, age_seconds, now),
                f"{counted(found.file_count, 'file')}, {lag}",
                *describe_sources(found.sources),
            ]
        ),
        figures=_agent_figures(found, behind_seconds),
    )


def _losses(totals: agent_status.Totals) -> list[str]:
    """Say what the chains told to be missing or altered since the agent started."""
    missing = totals.missing_events - totals.closed_events
    found = [f"{counted(missing, 'event')} missing"] if missing > 0 else []
    if totals.chain_breaks:
        found.append(counted(totals.chain_breaks, "broken chain"))
    where = "since its start (see `indelible search --organization _system`)"
    return [f"{' and '.join(found)} {where}"] if found else []


def describe_sources(sources: agent_status.SourcesStatus) -> list[str]:
    """Say how the processes that write events are; nothing where none has a heartbeat."""
    counts = {"alive": sources.alive, "closed": sources.closed, "silent": sources.silent_count}
    if not any(counts.values()):
        return []
    parts = [f"{count} {state}" for state, count in counts.items() if count or state == "alive"]
    shown = [
        f"silent since {one.since[:19]}Z: {one.service} on {one.host}, {one.path}"
        for one in sources.silent[:PATHS_SHOWN]
    ]
    rest = sources.silent_count - len(shown)
    more = [f"and {rest} silent more"] if rest and shown else []
    return ["; ".join([f"sources: {', '.join(parts)}", *shown, *more])]


def _agent_figures(
    found: agent_status.Status, behind_seconds: float
) -> dict[str, int | float | str | None]:
    totals = found.totals
    return {
        "state": found.state,
        "pid": found.pid,
        "updatedAt": found.updated_at,
        "files": found.file_count,
        "lagBytes": found.lag_bytes,
        "lagSeconds": round(behind_seconds, 1),
        "inFlight": found.in_flight,
        "waiting": found.waiting.outcome if found.waiting else None,
        "lastSuccessAt": found.last_success_at or None,
        "checkpointSavedAt": found.checkpoint_saved_at or None,
        "created": totals.created,
        "duplicates": totals.duplicates,
        "deadLetters": totals.dead_letters,
        "requests": sum(totals.requests.values()),
        "retries": totals.retries,
        "gaps": totals.gaps,
        "missingEvents": totals.missing_events,
        "chainBreaks": totals.chain_breaks,
        "reloads": totals.reloads,
        "sourcesAlive": found.sources.alive,
        "sourcesClosed": found.sources.closed,
        "sourcesSilent": found.sources.silent_count,
    }


def _agent_trouble(
    found: agent_status.Status, age_seconds: float, now: datetime, pid: int | None
) -> list[str]:
    trouble: list[str] = []
    if found.state != "running":
        trouble.append(f"{found.state} since {found.updated_at}")
    elif age_seconds < -STALE_SECONDS:
        trouble.append(f"silent since the clock was set back: it last wrote at {found.updated_at}")
    elif age_seconds > STALE_SECONDS:
        trouble.append(f"silent for {age_seconds:.0f} s" + (_ALIVE.format(pid) if pid else ""))
    else:
        trouble += [f"{one.reason} ({one.hint})" for one in judge_cluster(found, now)]
    trouble += _list_paths("cannot read", judge_files(found))
    if found.checkpoint_problem:
        trouble.append(f"checkpoint: {found.checkpoint_problem}")
    if found.trail_problem:
        trouble.append(f"trail: {found.trail_problem}")
    if found.dead_letter_problem:
        trouble.append(found.dead_letter_problem)
    return trouble


def _agent_notes(found: agent_status.Status, age_seconds: float, now: datetime) -> list[str]:
    """What leaves it up; of one that is not there, not what it waits for."""
    is_there = found.state == "running" and abs(age_seconds) <= STALE_SECONDS
    notes = find_notes(found, now)
    named = {"configuration_refused": "configuration refused: "}
    return [
        *(
            f"{named.get(note.what, '')}{note.reason}"
            for note in notes
            if not note.path and (is_there or note.what in named)
        ),
        *_list_paths("not unpacked:", [note for note in notes if note.path]),
    ]


def _list_paths(title: str, problems: list[Problem]) -> list[str]:
    lines = [f"{title} {one.path}: {one.reason}" for one in problems[:PATHS_SHOWN]]
    rest = len(problems) - PATHS_SHOWN
    return [*lines, f"and {rest} files more"] if rest > 0 else lines
