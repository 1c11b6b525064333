"""What the agent tells of the log itself, in the log: gaps, and chains that were broken.

Each finding becomes an event of organisation `_system`, appended with `audit_events` to a file of
its own below the state directory. The agent follows that file like any other, so the event is
chained, shipped once and stored like any other; no token of a tenant can see it.

The order of writes that loses no finding: a checkpoint holds it (`agent.findings`), then the event
is fsynced here, and only a checkpoint after that is without it. A crash in between, or a sync that
fails, tells it twice, as two events; a full disk leaves it waiting. The other way round a finding
could be lost.

The file is bounded: at `FILE_BYTES` it is renamed to `agent.log.1` (over the one before, whose end
must be settled by then), and what cannot be written waits, aggregated.
"""

import glob
import os
import socket
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from agent.findings import Finding, Findings, Kind, Range
from audit_events.envelope import LARGEST_SEQ
from audit_events.errors import SinkError
from audit_events.event import MAX_NAME_CHARACTERS, SYSTEM_ORGANIZATION
from audit_events.event_file import LOOK_INTERVAL_SECONDS
from audit_events.log import open_log
from indexer.durable import sync
from indexer.path_text import path_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

SERVICE: Final = "indelible-agent"
FILE_NAME: Final = "agent.log"
FILE_BYTES: Final = 4 << 20
ACTIONS: Final[dict[Kind, str]] = {
    "gap": "audit_log.gap_detected",
    "closed": "audit_log.gap_closed",
    "break": "audit_log.chain_broken",
    "silent": "audit_log.source_silent",
    "gone": "audit_log.event_missing",
    "behind": "audit_log.backlog_detected",
    "caught_up": "audit_log.backlog_cleared",
}
_HINTS: Final[dict[Kind, str]] = {
    "gap": "they were written and never became readable here; docs/operations.md says what to do",
    "closed": "what had been reported as missing has arrived, and is stored",
    "break": "the events are stored all the same; find out who changed the file",
    "silent": "its process was killed or hangs, or its host is gone: look there",
    "gone": "it was stored, and is not any more; docs/operations.md says what to do",
    "behind": "what was written is not all stored yet; `indelible status` says what waits, and why",
    "caught_up": "all that was written until some seconds ago is stored again",
}
SYNC_RETRY_SECONDS: Final = 1.0
"""After a sync that failed; then twice as long each time, as each attempt adds its events anew."""
LONGEST_RETRY_SECONDS: Final = 600.0

_log = structlog.get_logger("agent")

IsSettled = Callable[[os.stat_result], bool]


def directory_of(state_directory: str) -> str:
    """Where the trail lies."""
    return f"{state_directory.rstrip('/')}/events"


@lru_cache(maxsize=8)
def pattern(state_directory: str) -> str:
    """The glob of its files, which the agent follows besides those of the settings."""
    return f"{glob.escape(directory_of(state_directory))}/{FILE_NAME}*"


class Trail:
    """The agent's own audit log; nothing is made on the disk before there is something to tell.

    Args:
        state_directory: of the agent.
        is_settled: whether all that stands in a file is stored.
        host: defaults to the host's name.
    """

    def __init__(
        self, state_directory: Path, is_settled: IsSettled, *, host: str | None = None
    ) -> None:
        self.path = Path(directory_of(str(state_directory))) / FILE_NAME
        self.problem = ""
        """Why nothing can be recorded at the moment."""
        self._is_settled = is_settled
        self._host = host or socket.gethostname()
        self._events: FilteringBoundLogger | None = None
        self._failures = 0
        """Syncs in a row that failed."""
        self._next_try = 0.0

    def record(self, findings: Findings) -> bool:
        """Make events of all that waits; True when there are new ones.

        What is durable waits no more. What could not be written waits for the next call, and
        `problem` says why.
        """
        if not findings or time.monotonic() < self._next_try:
            return False
        written: list[Finding] = []
        try:
            if self._make_room():
                self._append(findings, written)
                self._note_problem("")
        except (SinkError, OSError) as error:
            self._note_problem(str(error))
        findings.drop(written)
        for finding in written:
            _tell(finding)
        return bool(written)

    def _append(self, findings: Iterable[Finding], written: list[Finding]) -> None:
        if self._events is None:
            self.path.parent.mkdir(mode=0o750, exist_ok=True)
            self._events = open_log(self.path, service=SERVICE, host=self._host, system=True)
        appended: list[Finding] = []
        try:
            for finding in findings:
                self._events.info(ACTIONS[finding.kind], **describe(finding, self._host))
                appended.append(finding)
        finally:
            # What is only in the kernel's memory could be lost with the machine.
            if appended:
                self._sync()
                written += appended

    def _sync(self) -> None:
        try:
            sync(self.path)
            sync(self.path.parent)
        except OSError:
            self._failures += 1
            wait = SYNC_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 32)
            self._next_try = time.monotonic() + min(LONGEST_RETRY_SECONDS, wait)
            raise
        self._failures = 0

    def _make_room(self) -> bool:
        """Whether something may be appended; a file that is full is renamed first."""
        try:
            if self.path.stat().st_size < FILE_BYTES:
                return True
        except FileNotFoundError:
            return True
        former = self.path.with_name(f"{FILE_NAME}.1")
        if former.exists() and not self._is_settled(former.stat()):
            self._note_problem(f"{former} is not settled yet, and {self.path} is full")
            return False
        self.path.replace(former)
        # Until then the log may still write to the renamed file; what is synced is the new one.
        time.sleep(LOOK_INTERVAL_SECONDS)
        return True

    def _note_problem(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.error(
                "findings_not_recorded",
                reason=problem,
                hint="they are kept and recorded as soon as that is possible",
            )
        self.problem = problem


def describe(finding: Finding, host: str) -> dict[str, object]:
    """The fields of the event that tells of a finding."""
    path = path_text(finding.path)
    context: dict[str, object] = {"host": host}
    if path:
        context["file"] = path
    context |= _DETAILS.get(finding.kind, _describe_range)(finding)
    if finding.partition:
        resource = {"type": "partition", "id": finding.partition}
    elif finding.backlog:
        resource = {"type": "backlog", "id": finding.backlog}
    elif finding.source_id:
        resource = {"type": "source", "id": finding.source_id}
    else:
        # So many sources at once that each of them is not told.
        context["sources"] = finding.sources
        resource = {"type": "file", "id": path[-MAX_NAME_CHARACTERS:]}
        if not path:
            resource = {"type": "host", "id": host}
    return {
        "organization_id": SYSTEM_ORGANIZATION,
        "actor": {"type": "system", "name": SERVICE},
        "resource": resource,
        "context": context,
    }


def _describe_range(finding: Finding) -> dict[str, object]:
    context: dict[str, object] = {"events": _exact(finding.events)}
    if finding.path:
        context["offset"] = _exact(finding.offset)
    if finding.source_id:
        context |= {
            "firstSeq": _exact(finding.first),
            "lastSeq": _exact(finding.last),
            "ranges": [_spell_range(one) for one in finding.ranges],
            "unlistedRanges": finding.unlisted,
        }
    return context


def _describe_silence(finding: Finding) -> dict[str, object]:
    if not finding.source_id:
        return {}
    return {
        "intervalSeconds": finding.interval_seconds,
        "lastSeq": _exact(finding.last),
        "service": finding.service,
        "silentSince": finding.heard_at,
        "sourceHost": finding.source_host,
    }


def _describe_gone(finding: Finding) -> dict[str, object]:
    return {"eventId": finding.event_id, "eventTimestamp": finding.timestamp}


def _describe_backlog(finding: Finding) -> dict[str, object]:
    return {"settledUntil": finding.timestamp} if finding.timestamp else {}


_DETAILS: Final[dict[Kind, Callable[[Finding], dict[str, object]]]] = {
    "silent": _describe_silence,
    "gone": _describe_gone,
    "behind": _describe_backlog,
    "caught_up": _describe_backlog,
}


def _tell(finding: Finding) -> None:
    is_news = finding.kind in {"closed", "behind", "caught_up"}
    report = _log.info if is_news else _log.error
    report(
        ACTIONS[finding.kind].partition(".")[2],
        **_told(finding),
        hint=_HINTS[finding.kind],
    )


def _told(finding: Finding) -> dict[str, object]:
    if finding.partition:
        return {"partition": finding.partition, "event_id": finding.event_id}
    if finding.backlog:
        return {"backlog": finding.backlog, "settled_until": finding.timestamp}
    return {
        "source_id": finding.source_id,
        "path": finding.path,
        "offset": finding.offset,
        "first_seq": finding.first,
        "last_seq": finding.last,
        "events": finding.events,
    }


def _spell_range(ends: Range) -> str:
    first, last = _exact(ends[0]), _exact(ends[1])
    return f"{first}" if first == last else f"{first}-{last}"


def _exact(number: int) -> int | str:
    """No `seq` is larger, but what gaps come to together may be; RFC 8785 has no such numbers."""
    return number if number <= LARGEST_SEQ else f"more than {LARGEST_SEQ}"
