"""Whether the agent lives and whether it does its work, judged by what the loop showed last: pure.

*Healthy* is a loop that turns; it is restarted otherwise. *Ready* is one that ships: a cluster that
halts it is no reason for a restart, but for somebody to look. What is worth knowing and leaves it
ready is a *note*. `/readyz` and `indelible status` both go by what is decided here.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from agent.errors import LOOK_AT_STATE
from agent.status import Status, Waiting
from agent.unreadable import is_archive
from audit_events.instant import parse_instant

TURN_SECONDS: Final = 10.0
"""The loop turns several times a second; a slow disk may hold it up for some."""
RETRY_SECONDS: Final = 60.0
"""A cluster that is restarted is back within that."""
PATHS_SHOWN: Final = 20

_WAITING: Final = {
    "halted": (
        "the cluster refuses this agent",
        "check credentials and roles, and `indelible indices apply`; the data is kept",
    ),
    "blocked": (
        "the cluster takes nothing for now",
        "free disk, or take off the block (of index or cluster) or the pipeline; the data is kept",
    ),
    "retry": (
        "the cluster has not answered as it should for a while",
        "look at the cluster; it is tried again until it succeeds",
    ),
}


class Problem(Struct, frozen=True, omit_defaults=True):
    """What is wrong, where, and what to do."""

    what: str
    reason: str = ""
    path: str = ""
    hint: str = ""


def judge(status: Status | None, turned_seconds: float, now: datetime) -> list[Problem]:
    """Why the agent is not ready; empty when it is.

    Args:
        status: what it showed last, None before the first time.
        turned_seconds: since the loop turned last.
        now: aware.
    """
    if status is None:
        return [Problem("starting")]
    problems: list[Problem] = []
    if status.state != "running":
        problems.append(Problem(status.state))
    if turned_seconds > TURN_SECONDS:
        problems.append(
            Problem(
                "loop_stuck",
                f"it has not turned for {turned_seconds:.0f} s",
                hint="look at the disks that its files and its state are on",
            )
        )
    problems += _judge_disk(status)
    problems += judge_cluster(status, now)
    return problems + judge_files(status)[:PATHS_SHOWN]


def _judge_disk(status: Status) -> list[Problem]:
    """What it has to keep and cannot write."""
    found = (
        Problem(
            "checkpoint_not_saved",
            status.checkpoint_problem,
            hint=f"nothing more is read until it can be; {LOOK_AT_STATE}",
        ),
        Problem(
            "findings_not_recorded",
            status.trail_problem,
            hint=f"gaps are kept until they can be recorded; {LOOK_AT_STATE}",
        ),
        Problem(
            "dead_letter_not_written",
            status.dead_letter_problem,
            hint=f"what waits for it is neither lost nor settled; {LOOK_AT_STATE}",
        ),
    )
    return [one for one in found if one.reason]


def judge_files(status: Status) -> list[Problem]:
    """The files that it should read and cannot; archives are told by `find_notes`."""
    return [
        Problem("file_unreadable", reason, path, "let the agent's user read it")
        for path, reason in status.unreadable.items()
        if not is_archive(reason)
    ]


def find_notes(status: Status, now: datetime) -> list[Problem]:
    """What is worth knowing although the agent is ready."""
    notes: list[Problem] = []
    if status.config_problems:
        notes.append(
            Problem(
                "configuration_refused",
                "; ".join(status.config_problems),
                hint="the one before goes on; correct it and send SIGHUP again",
            )
        )
    if status.totals.stored_missing:
        notes.append(
            Problem(
                "event_missing",
                f"stored once, and not any more: {status.totals.stored_missing} of the events"
                " that are asked for again",
                hint="a partition was taken away or replaced, or it is another cluster; search"
                " organization _system for audit_log.event_missing",
            )
        )
    waiting, seconds = status.waiting, _waiting_seconds(status, now)
    if waiting is not None and _may_pass(waiting, seconds):
        reason = f"no answer as it should be: {waiting.error_type}"
        if waiting.error_type == "no_answer":
            reason = "no answer of the cluster"
        hint = "it is tried again until it succeeds"
        notes.append(Problem("cluster_retry", f"{reason} for {seconds:.0f} s", hint=hint))
    notes += [
        Problem("archive_unread", reason, path, "restore it, compress by gzip, or match it not")
        for path, reason in status.unreadable.items()
        if is_archive(reason)
    ]
    return notes


def judge_cluster(status: Status, now: datetime) -> list[Problem]:
    """What is wrong with the cluster as the agent sees it; empty while that may pass."""
    waiting, seconds = status.waiting, _waiting_seconds(status, now)
    if waiting is None or _may_pass(waiting, seconds):
        return []
    reason, hint = _WAITING[waiting.outcome]
    return [
        Problem(
            f"cluster_{waiting.outcome}",
            f"{reason}: {waiting.error_type}, for {seconds:.0f} s",
            hint=hint,
        )
    ]


def _waiting_seconds(status: Status, now: datetime) -> float:
    if status.waiting is None:
        return 0.0
    return max(0.0, (now - parse_instant(status.waiting.since)).total_seconds())


def _may_pass(waiting: Waiting, seconds: float) -> bool:
    return waiting.outcome == "retry" and seconds < RETRY_SECONDS
