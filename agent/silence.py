"""Which sources live, which ended, and which fell silent: nothing heard, and no last line.

A source tells its interval by its first heartbeat. It is silent when nothing of it was settled for
`INTERVALS` of them although all that could be read is settled; that is told once, and anew only
after it spoke again. Nobody is accused for our own slowness:

* What counts is when an event of it was settled, on this agent's monotonic clock, so an old line of
  a backlog is a sign of life, and no clock that jumps makes silence. After a start everybody has
  their time from the beginning.
* Of the time between two looks at most an interval counts. A machine that stood still, as a virtual
  one does while it is moved, did so with its sources, and they have to come to a word again.
* While anything that was there is not settled (backlog, a cluster that does not answer), nothing is
  claimed (`Horizon`); nor of a source whose file is no longer followed or cannot be read.

A source without heartbeats (another emitter, or switched off) is not judged. Bounded: the one that
was quiet longest is forgotten first, and after a day whoever is closed or silent.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from agent.checkpoint import PulseState
from agent.chunk import Sign, Span
from agent.discover import may_match
from agent.findings import Finding
from agent.sources import SOURCES_LIMIT, Horizon, Readable
from agent.status import SilentSource, SourcesStatus
from agent.unreadable import Unreadable
from audit_events.event import SOURCE_HEARTBEAT, SYSTEM_ORGANIZATION
from audit_events.instant import format_instant
from indexer.path_text import path_text

INTERVALS: Final = 3
KEPT_SECONDS: Final = 86_400
"""How long a source that is closed or silent is shown."""
SILENT_SHOWN: Final = 20
TEXT_CHARACTERS: Final = 200
"""Of a service's or host's name that are kept."""


class _Context(Struct, frozen=True):
    interval: Annotated[float, Meta(ge=1, le=86_400)] = msgspec.field(name="intervalSeconds")


class _Source(Struct, frozen=True):
    id: str
    seq: int
    service: str
    host: str


class _SignLine(Struct, frozen=True):
    action: str
    organization_id: str = msgspec.field(name="organizationId")
    source: _Source
    context: msgspec.Raw = msgspec.Raw(b"{}")


_decode: Final = msgspec.json.Decoder(_SignLine).decode
_decode_context: Final = msgspec.json.Decoder(_Context).decode


def read_sign(line: bytes) -> Sign | None:
    """What a source says of itself in this line; None for what only looks like it."""
    try:
        found = _decode(line)
        is_heartbeat = found.action == SOURCE_HEARTBEAT
        interval = _decode_context(found.context).interval if is_heartbeat else 0.0
    except msgspec.MsgspecError:
        return None
    if found.organization_id != SYSTEM_ORGANIZATION:
        return None
    source = found.source
    service, host = source.service[:TEXT_CHARACTERS], source.host[:TEXT_CHARACTERS]
    return Sign(source.id, source.seq, interval, service, host)


class Files(Readable, Protocol):
    """What is asked of the follower."""

    unreadable: Unreadable


def is_followed(path: str, patterns: Sequence[str], files: Files) -> bool:
    """Whether what is written there now is read; errs on yes, as a rotated file has a name too.

    A glob may match it, or a file of the same directory is followed.
    """
    if path in files.unreadable:
        return False
    directory = path.rpartition("/")[0]
    return may_match(path, patterns) or any(
        tail.path.rpartition("/")[0] == directory for tail in files.contents()
    )


class _Pulse:
    __slots__ = ("heard", "state")

    def __init__(self, state: PulseState, now: float) -> None:
        self.state = state
        self.heard = now
        """Monotonic."""


class Silences:
    """The sources that told their interval, the one that was quiet longest first.

    Args:
        states: from the checkpoint.
        now: monotonic.
    """

    def __init__(self, states: dict[str, PulseState], now: float) -> None:
        self._pulses = {name: _Pulse(state, now) for name, state in states.items()}
        self._horizon: Horizon | None = None
        self._looked = now

    def hear(self, span: Span, now: float, unix_seconds: int, path: str) -> None:
        """Take events that are settled."""
        pulse = self._pulses.pop(span.source_id, None)
        if pulse is None:
            return
        # As the one that was heard last; whatever comes after a last line, the source lives.
        self._pulses[span.source_id] = pulse
        pulse.heard = now
        state = pulse.state
        is_newer = span.last > state.seq
        pulse.state = msgspec.structs.replace(
            state,
            seq=max(span.last, state.seq),
            heard=unix_seconds,
            path=path,
            is_closed=state.is_closed and not is_newer,
            is_silent=state.is_silent and not is_newer,
        )

    def note(self, sign: Sign, now: float, unix_seconds: int, path: str) -> None:
        """Take what a source says of itself, after `hear` took the events around it."""
        known = self._pulses.pop(sign.source_id, None)
        state = known.state if known else PulseState(seq=sign.seq, heard=unix_seconds, path=path)
        if sign.interval_seconds:
            state = msgspec.structs.replace(
                state,
                interval_seconds=sign.interval_seconds,
                service=sign.service,
                host=sign.host,
            )
        elif sign.seq >= state.seq:
            state = msgspec.structs.replace(state, is_closed=True)
        self._pulses[sign.source_id] = _Pulse(state, now)
        if len(self._pulses) > SOURCES_LIMIT:
            del self._pulses[next(iter(self._pulses))]

    def look(
        self, now: float, patterns: Sequence[str], files: Files, most: int = SOURCES_LIMIT
    ) -> list[tuple[str, PulseState]]:
        """The sources that fell silent, each once.

        Args:
            now: monotonic.
            patterns: the globs that are followed.
            files: those that they match.
            most: so many can be told by name now; the others are found by the next look.
        """
        self._forgive(now)
        if self._horizon is None and self._find_due(now, patterns, files):
            self._horizon = Horizon(files, now)
        if self._horizon is None or not self._horizon.is_passed():
            return []
        due = self._find_due(self._horizon.taken, patterns, files)[:most]
        self._horizon = None
        for name in due:
            pulse = self._pulses[name]
            pulse.state = msgspec.structs.replace(pulse.state, is_silent=True)
        return [(name, self._pulses[name].state) for name in due]

    def _forgive(self, now: float) -> None:
        passed, self._looked = now - self._looked, now
        for pulse in self._pulses.values():
            still = passed - pulse.state.interval_seconds
            if still > 0:
                pulse.heard = min(now, pulse.heard + still)

    def _find_due(self, now: float, patterns: Sequence[str], files: Files) -> list[str]:
        return [
            name
            for name, pulse in self._pulses.items()
            if is_due(pulse.state, now - pulse.heard)
            and is_followed(pulse.state.path, patterns, files)
        ]

    def states(self) -> dict[str, PulseState]:
        """What the checkpoint keeps."""
        return {name: pulse.state for name, pulse in self._pulses.items()}

    def summarise(self) -> SourcesStatus:
        """How they are; who ended or fell silent longer than a day ago is forgotten."""
        oldest = int(datetime.now(UTC).timestamp()) - KEPT_SECONDS
        for name, pulse in list(self._pulses.items()):
            state = pulse.state
            if (state.is_closed or state.is_silent) and state.heard < oldest:
                del self._pulses[name]
        states = [(name, pulse.state) for name, pulse in self._pulses.items()]
        silent = [(name, state) for name, state in states if state.is_silent]
        closed = sum(state.is_closed for _, state in states)
        return SourcesStatus(
            alive=len(states) - len(silent) - closed,
            closed=closed,
            silent_count=len(silent),
            silent=tuple(_describe(name, state) for name, state in silent[:SILENT_SHOWN]),
        )


def is_due(state: PulseState, quiet_seconds: float) -> bool:
    """Whether so long a silence is to be told."""
    is_told = state.is_closed or state.is_silent
    return not is_told and 0 < INTERVALS * state.interval_seconds < quiet_seconds


def tell_silence(source_id: str, state: PulseState) -> Finding:
    """The finding about a source that fell silent."""
    return Finding(
        "silent",
        source_id,
        state.path,
        0,
        state.seq,
        state.seq,
        0,
        service=state.service,
        source_host=state.host,
        interval_seconds=state.interval_seconds,
        heard_at=_instant(state.heard),
    )


def _describe(source_id: str, state: PulseState) -> SilentSource:
    path = path_text(state.path)
    return SilentSource(source_id, state.service, state.host, path, _instant(state.heard))


def _instant(unix_seconds: int) -> str:
    return format_instant(datetime.fromtimestamp(unix_seconds, UTC))
