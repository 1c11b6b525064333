"""Takes drafts, gives each its place in the chain, appends the line: behind `AuditProcessor`.

    check (`draft_event`) -> lock -> stamp, encode once, chain -> one write -> unlock

The chain moves on when the line is in the file, or was handed to `on_error`. With "raise" an event
that could not be written therefore leaves no gap: its `seq` is used by the next one.

**On the disk** (`durability="disk"`, or an action that is `critical`): events that wait at the same
time share a sync (`commit.py`). Their lines are written by the one that leads, and while a sync
runs nobody writes a line that is to be synced. A sync that fails is final: whoever waited for it is
told, although the line stands in the file and keeps its place in the chain.

**Signals and finalizers** run in the middle of anything, in the thread that they interrupt:
* One that records an event while its thread records another can't have the place in the chain that
  is being filled, nor wait for itself: its event is of a source of its own, in the same file.
* One that raises leaves open whether the line is in the file: what comes then is of a new source.
"""

import errno
import os
import threading
import time
import weakref
from collections.abc import Callable, Container
from typing import Final, cast

from audit_events.binding import fill_bound, note_bound
from audit_events.commit import GroupCommit
from audit_events.descriptor import is_of_system, sync_and_close
from audit_events.draft import DEFAULT_RULES, Draft, DraftRules, draft_event
from audit_events.errors import AuditEventError, EventError, SinkError
from audit_events.event_file import EventFile
from audit_events.failure import FailureHandler, OnError, choose_handler, hand_over
from audit_events.identifier import new_uuid7
from audit_events.parameters import Durability
from audit_events.source import Source
from audit_events.stamp import Stamps


class _Every:
    """All actions."""

    def __contains__(self, _action: object) -> bool:
        return True


class _Entry:
    """An event on its way to the disk, and what came of it."""

    __slots__ = ("_append", "draft", "error", "is_begun", "is_settled", "line")

    def __init__(self, draft: Draft, append: Callable[[bytes], None]) -> None:
        self.draft = draft
        self._append = append
        self.is_begun = False
        self.is_settled = False
        self.line: bytes | None = None
        self.error: AuditEventError | None = None

    def append(self, line: bytes) -> None:
        """Keep the line at hand, and append it."""
        self.line = line
        self._append(line)


class ChainedLogger:
    """Stamps, chains and appends drafts.

    One source: a fresh id, `seq` from 0. Thread-safe. A forked child becomes a source of its own.

    Args:
        event_file: where lines go.
        service: name of the application.
        host: where it runs.
        rules: what `record` checks calls by; the catalogue says which actions are critical.
        durability: "disk": every event is on the disk when its call returns.
        on_error: what happens to an event that the file does not take.
        clock_unix_ns: the application's clock.
        heartbeat_seconds: how often it says that it lives; None is never.
    """

    def __init__(
        self,
        event_file: EventFile,
        *,
        service: str,
        host: str,
        rules: DraftRules = DEFAULT_RULES,
        durability: Durability = "process",
        on_error: OnError = "raise",
        clock_unix_ns: Callable[[], int] = time.time_ns,
        heartbeat_seconds: float | None = None,
    ) -> None:
        self._rules = rules
        self._file = event_file
        self.service = service
        self._durability: Durability = durability
        self._synced: Container[str] = (
            _Every() if durability == "disk" else rules.catalogue.critical_actions
        )
        self._on_error: OnError = on_error
        self._handler = choose_handler(on_error)
        self._keeps_failed = self._handler is not None
        self._heartbeat_seconds = heartbeat_seconds
        self._host = host
        self._clock_unix_ns = clock_unix_ns
        self._start_process()
        _loggers.add(self)

    def _start_process(self) -> None:
        """Begin in this process, with locks that nobody holds."""
        self._lock = threading.RLock()
        self._is_writing = False
        self._waiting: set[int] = set()
        self._commits = GroupCommit(self._commit)
        self._beside: ChainedLogger | None = None
        self._stamps = Stamps()
        self._start_source()

    def _start_source(self) -> None:
        source_id = new_uuid7(time.time_ns())
        self._source = Source(source_id, service=self.service, host=self._host)
        self._is_torn = False

    def record(self, action: object, fields: dict[str, object]) -> str:
        """Append the event of a log call, with what is bound, and return its id.

        Args:
            action: `noun.verb_past`.
            fields: of the call; the dictionary becomes ours.

        Raises:
            EventError, SinkError: as `msg`.
        """
        fill_bound(fields)
        try:
            draft = draft_event(action, fields, self._rules)
        except EventError as error:
            note_bound(error, fields)
            raise
        return self.msg(draft)

    def msg(self, draft: Draft) -> str:  # noqa: C901, PLR0915  # a call more is 0.15 µs an event
        """Append the event and return its id.

        Raises:
            EventError: nothing was written.
            SinkError: nothing was written; or, where its `operation` is "sync", the line is in the
                file, and may not be on the disk.
        """
        if draft.action in self._synced:
            return self._record_synced(draft)
        # Not `with`, which costs 0.12 µs more. Whoever was thrown out of `acquire` holds nothing.
        try:
            self._lock.acquire()
            if self._is_writing:
                return self._record_beside(draft)
            try:
                self._is_writing = True
                if self._is_torn:
                    self._start_source()
                draft.id, draft.timestamp = self._stamps.draw(self._clock_unix_ns())
                source = self._source
                failure = source.write(draft, self._file.append, keeps_failed=self._keeps_failed)
                if source.seq == 1:
                    self.begin_heartbeat(is_opened_here=False)
            except AuditEventError:
                raise
            except BaseException:
                # Not begun anew here, where another signal would come between.
                self._is_torn = True
                raise
            finally:
                self._is_writing = False
        finally:
            try:  # noqa: SIM105  # `suppress` costs more than the lock
                self._lock.release()
            except RuntimeError:
                pass
        if failure is not None:
            hand_over(cast("FailureHandler", self._handler), *failure)
        return draft.id

    debug = info = warning = error = critical = msg

    def _record_beside(self, draft: Draft) -> str:
        """Record what came while this thread records another event, as another source."""
        with self._lock:
            if self._beside is None:
                self._beside = ChainedLogger(
                    self._file.another(),
                    service=self.service,
                    host=self._host,
                    rules=self._rules,
                    durability=self._durability,
                    on_error=self._on_error,
                    clock_unix_ns=self._clock_unix_ns,
                    heartbeat_seconds=self._heartbeat_seconds,
                )
            beside = self._beside
        return beside.msg(draft)

    def _record_synced(self, draft: Draft) -> str:
        thread = threading.get_ident()
        if thread in self._waiting or self._is_interrupted():
            return self._record_beside(draft)
        entry = _Entry(draft, self._file.append_looking)
        try:
            self._waiting.add(thread)
            while not entry.is_settled:  # a leader that was thrown out did not come to it
                self._commits.settle(self._commits.join(lambda: self._stamp(entry)))
        finally:
            self._waiting.discard(thread)
        error = entry.error
        if error is None:
            return draft.id
        if self._handler is None or not isinstance(error, SinkError) or entry.line is None:
            raise error
        hand_over(self._handler, error, entry.line)
        return draft.id

    def _is_interrupted(self) -> bool:
        """Whether this very thread is in the middle of a line."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread is
        try:
            return self._is_writing
        finally:
            self._lock.release()

    def _stamp(self, entry: _Entry) -> _Entry:
        """When it was called, not when its turn came."""
        draft = entry.draft
        with self._lock:
            draft.id, draft.timestamp = self._stamps.draw(self._clock_unix_ns())
        return entry

    def _commit(self, entries: list[_Entry]) -> None:
        """Write the lines of all who wait, sync once, give each its verdict."""
        cause: OSError | None = None
        try:
            descriptors = self._append_all(entries)
            sync_and_close(descriptors)
        except BaseException as thrown:
            if not is_of_system(thrown):
                cause = OSError(errno.EINTR, f"interrupted by {type(thrown).__name__}")
                raise
            cause = thrown
        finally:
            if cause is not None:
                # Also where no line was written that somebody would have to be told of.
                with self._lock:
                    self._file.distrust(cause)
            for entry in entries:
                if entry.is_begun:
                    if entry.error is None and cause is not None:
                        with self._lock:
                            entry.error = self._file.distrust(cause)
                    entry.is_settled = True

    def _append_all(self, entries: list[_Entry]) -> list[int]:
        """Append each line by itself, so that none is there in part and taken back.

        Returns:
            Descriptors of what is to be synced for them to be on the disk.

        Raises:
            OSError: there are none; the lines stand in the file.
        """
        with self._lock:
            try:
                self._is_writing = True
                if self._is_torn:
                    self._start_source()
                self._file.begin_unsynced()
                for entry in entries:
                    entry.is_begun = True
                    try:
                        failure = self._source.write(
                            entry.draft, entry.append, keeps_failed=self._keeps_failed
                        )
                        entry.error = failure and failure[0]
                        if self._source.seq == 1:
                            self.begin_heartbeat(is_opened_here=False)
                    except AuditEventError as error:
                        entry.error = error
            except BaseException:
                self._is_torn = True
                raise
            finally:
                self._is_writing = False
            return self._file.take_unsynced()

    def speak(self, draft: Draft) -> None:
        """Append an event of the log itself; raises what `msg` raises."""
        self.msg(draft)

    @property
    def source_id(self) -> str:
        """Of the events that come now."""
        return self._source.id

    @property
    def seq(self) -> int:
        """Of the next event, so how many this source has written."""
        return self._source.seq

    def begin_heartbeat(self, *, is_opened_here: bool) -> None:
        """Let this source say that it lives, and that it ends, if it is to."""
        if self._heartbeat_seconds:
            from audit_events.heartbeat import PULSE  # noqa: PLC0415  # a log without needs none

            PULSE.add(self, self._heartbeat_seconds, is_opened_here=is_opened_here)

    def close(self) -> None:
        """Write the last line, let go of the file; an event after that opens it again.

        Raises:
            SinkError: the last line could not be written.
        """
        try:
            if self._heartbeat_seconds:
                from audit_events.heartbeat import PULSE  # noqa: PLC0415  # as above

                PULSE.close(self)
            if self._beside is not None:
                self._beside.close()
        finally:
            with self._lock:
                self._file.close()


_loggers: Final[weakref.WeakSet[ChainedLogger]] = weakref.WeakSet()


def _start_sources_of_child() -> None:
    for logger in list(_loggers):
        logger._file.abandon()  # noqa: SLF001  # the fork hook is part of ChainedLogger
        logger._start_process()  # noqa: SLF001  # as above


os.register_at_fork(after_in_child=_start_sources_of_child)
