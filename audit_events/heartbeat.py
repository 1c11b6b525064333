"""Silence that counts: a source says that it lives, and that it ends.

    audit_log.source_heartbeat   every `heartbeat_seconds`, whatever else is recorded; the first one
                                 of a source that recorded something comes after a quarter of that
    audit_log.source_closed      the last line of a process that ended as it should

Both are events of the source itself, so they carry its next `seq`: a reader that has the last line
knows that nothing behind it is missing. A process that was killed has no last line, and after its
last heartbeat it is silent. A busy source says it too: so the heartbeats alone, which are events of
no tenant, tell up to when all sources have been heard (`webapi.completeness`).

A process that called `configure()` is a source after its first interval, even if it records
nothing. One that ends before and records nothing leaves no line: importing an application in a
script is no reason for one. A forked child is a source from its first event on.

One daemon thread a process looks after all of its logs, `LOOKS` times an interval. It costs an
event nothing: it looks at `seq`. A child of a fork starts its own with its first event. None is
left to write while the interpreter ends: `atexit` stops it first.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from audit_events.draft import Draft, DraftRules, draft_event
from audit_events.event import (
    HEARTBEAT_INTERVAL_KEY,
    SOURCE_CLOSED,
    SOURCE_HEARTBEAT,
    SYSTEM_ORGANIZATION,
)
from audit_events.tally import counts

LOOKS: Final = 4
"""Looks an interval: between two heartbeats lie an interval and a quarter at most."""
JOIN_SECONDS: Final = 2.0
"""How long the end of a process waits for a heartbeat that is being written."""
_RULES: Final = DraftRules(system=True)


class Speaker(Protocol):
    """What is asked of a log."""

    @property
    def source_id(self) -> str:
        """Of the events that come now."""
        ...

    @property
    def service(self) -> str:
        """As it stands in `source.service`."""
        ...

    @property
    def seq(self) -> int:
        """Of the next event, so how many were written."""
        ...

    def speak(self, draft: Draft) -> None:
        """Append an event of the log itself; raises what `msg` raises."""
        ...


@dataclass(slots=True)
class Beat:
    """What is known of one source: pure, `now` is monotonic."""

    interval_seconds: float
    is_opened_here: bool
    """Whether this very process opened the log, and did not inherit it by a fork."""
    said: float
    """When it said that it lives; at first, when it was looked at first."""
    is_announced: bool = False
    """Whether its interval was told."""
    closed_seq: int = -1
    """What came next when its last line was written; what comes after all is recorded as ever."""

    def is_due(self, seq: int, now: float) -> bool:
        """Whether it should say that it lives, when `seq` is what comes next."""
        if seq == self.closed_seq:
            return False
        if seq and not self.is_announced:
            return now - self.said >= self.interval_seconds / LOOKS
        return (seq > 0 or self.is_opened_here) and now - self.said >= self.interval_seconds

    def note(self, now: float) -> None:
        """It said so."""
        self.said, self.is_announced = now, True


class Pulse:
    """The logs of this process that have a heartbeat, and the thread that looks after them."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        # One that a signal handler may take again, as it may record the first event of a log.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._beats: dict[Speaker, Beat] = {}
        self._thread: threading.Thread | None = None
        self._is_ending = False

    def add(self, speaker: Speaker, interval_seconds: float, *, is_opened_here: bool) -> None:
        """Look after a log from now on, if nobody does yet."""
        with self._lock:
            if speaker in self._beats or self._is_ending:
                return
            now = time.monotonic()
            self._beats[speaker] = Beat(interval_seconds, is_opened_here, now)
            if self._thread is None:
                self._start()
        self._wake.set()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit-heartbeat", daemon=True)
        # While the interpreter ends no thread can be started any more; the last line is written.
        with suppress(RuntimeError):
            self._thread.start()
        _end_with_multiprocessing(self)

    def close(self, speaker: Speaker) -> None:
        """Write the last line of a source, if it has any other.

        Raises:
            SinkError: the line could not be written.
        """
        beat = self._beats.get(speaker)
        if beat is None or speaker.seq in (0, beat.closed_seq):
            return
        unknown = sum(counts().unknown.values())
        context = {"events": speaker.seq, "unknownActions": unknown}
        speaker.speak(_draft(SOURCE_CLOSED, speaker, context))
        beat.closed_seq = speaker.seq

    def end(self) -> None:
        """Stop the thread, then write the last lines; whatever fails, the process ends."""
        self._is_ending = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            with suppress(RuntimeError):
                self._thread.join(JOIN_SECONDS)
        for speaker in list(self._beats):
            # Nobody is left to be told; the reader tells a missing last line from a written one.
            with suppress(Exception):
                self.close(speaker)

    def inherit(self) -> None:
        """In a forked child: no thread is here, and every log is a source that said nothing yet."""
        self._begin()

    def _run(self) -> None:
        while not self._is_ending:
            # Cleared first: what is added while it looks makes it look again.
            self._wake.clear()
            self.look(time.monotonic())
            intervals = [beat.interval_seconds for beat in list(self._beats.values())]
            self._wake.wait(min(intervals) / LOOKS)

    def look(self, now: float) -> None:
        """Let every source speak that is due."""
        for speaker, beat in list(self._beats.items()):
            if not self._is_ending and beat.is_due(speaker.seq, now):
                # Not written is not said: a full disk shows as silence, and it is tried again.
                with suppress(Exception):
                    context = {"events": speaker.seq, HEARTBEAT_INTERVAL_KEY: beat.interval_seconds}
                    speaker.speak(_draft(SOURCE_HEARTBEAT, speaker, context))
                    beat.note(now)


def _draft(action: str, speaker: Speaker, context: Mapping[str, object]) -> Draft:
    return draft_event(
        action,
        {
            "organization_id": SYSTEM_ORGANIZATION,
            "actor": {"type": "system", "name": speaker.service},
            "resource": {"type": "source", "id": speaker.source_id},
            "context": {**context, "pid": os.getpid()},
        },
        _RULES,
    )


def _end_with_multiprocessing(pulse: Pulse) -> None:
    """Its children may end by `os._exit`, which runs no `atexit`: only what it knows of."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        sys.modules["multiprocessing.util"].Finalize(None, pulse.end, exitpriority=-100)


PULSE: Final = Pulse()
atexit.register(PULSE.end)
os.register_at_fork(after_in_child=PULSE.inherit)
