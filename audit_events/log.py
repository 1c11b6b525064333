"""The log of one process: takes drafts, gives each its place in the chain, appends the line.

    check (`draft_event`) -> lock -> stamp, encode once, chain -> one write -> unlock

The chain moves on only when the line is in the file, so an event that could not be written leaves
no gap: its `seq` is used by the next one.
"""

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from msgspec import Raw
from structlog.typing import FilteringBoundLogger

from audit_events import bound_logger
from audit_events.binding import fill_bound
from audit_events.bound_logger import AuditLogger
from audit_events.canonical import canonical
from audit_events.chain import genesis, spell_hash
from audit_events.draft import DEFAULT_RULES, Draft, DraftRules, draft_event
from audit_events.errors import AuditEventError, EventTooLargeError
from audit_events.event import MAX_LINE_BYTES
from audit_events.event_file import EventFile
from audit_events.identifier import new_uuid7
from audit_events.parameters import (
    Durability,
    OnError,
    check_durability,
    check_heartbeat_seconds,
    check_on_error,
    check_source,
    check_strict,
    read_catalogue_path,
)
from audit_events.redaction import DEFAULT_REDACTION, Redaction
from audit_events.stamp import Stamps

_ID_KEY_BYTES: Final = len(b',"id":"')


class AuditProcessor:
    """The structlog processor: checks a log call.

    What the call itself says wins, and there an unknown field is an error. Then comes what is bound
    in `structlog.contextvars`, but only the fields of an event: whatever else an application binds
    there for its own logs is left alone. What is missing still is the request's (`binding.py`).
    """

    def __init__(self, rules: DraftRules = DEFAULT_RULES) -> None:
        self._rules = rules

    def __call__(
        self, _logger: object, method: str, event_dict: MutableMapping[str, Any]
    ) -> tuple[tuple[Draft], dict[str, Any]]:
        """Return the draft as the only argument of the logger that stands behind."""
        if bound_logger.interceptor is not None:
            bound_logger.interceptor(method, event_dict)
        action = event_dict.pop("event", None)
        fields = dict(event_dict)
        fill_bound(fields)
        return (draft_event(action, fields, self._rules),), {}


class ChainedLogger:
    """Stamps, chains and appends drafts: the logger behind `AuditProcessor`.

    One source: a fresh id, `seq` from 0. Thread-safe. A forked child becomes a source of its own.

    Args:
        event_file: where lines go.
        service: name of the application.
        host: where it runs.
        rules: what `record` checks calls by.
        clock_unix_ns: the application's clock.
        heartbeat_seconds: how long it may be silent before it says that it lives; None is for ever.
    """

    def __init__(
        self,
        event_file: EventFile,
        *,
        service: str,
        host: str,
        rules: DraftRules = DEFAULT_RULES,
        clock_unix_ns: Callable[[], int] = time.time_ns,
        heartbeat_seconds: float | None = None,
    ) -> None:
        self._rules = rules
        self._file = event_file
        self.service = service
        self._heartbeat_seconds = heartbeat_seconds
        self._host = host
        self._clock_unix_ns = clock_unix_ns
        self._start_process()
        _loggers.add(self)

    def _start_process(self) -> None:
        """Begin in this process: with a lock that nobody holds, a descriptor of its own."""
        self._lock = threading.Lock()
        self._stamps = Stamps()
        self._file.close()
        self._start_source()

    def _start_source(self) -> None:
        self.source_id = new_uuid7(time.time_ns())
        self._seq = 0
        self._previous = genesis(self.source_id)
        members = {"host": self._host, "id": self.source_id, "service": self.service}
        before, after = canonical(members).split(b'"service"')
        self._source_head = before + b'"seq":'
        self._source_tail = b',"service"' + after

    def record(self, action: object, fields: dict[str, object]) -> str:
        """Append the event of a log call, with what is bound, and return its id.

        Args:
            action: `noun.verb_past`.
            fields: of the call; the dictionary becomes ours.

        Raises:
            EventError, SinkError: nothing was written.
        """
        fill_bound(fields)
        return self.msg(draft_event(action, fields, self._rules))

    def msg(self, draft: Draft) -> str:
        """Append the event and return its id.

        Raises:
            EventError, SinkError: nothing was written.
        """
        with self._lock:
            try:
                return self._append(draft)
            except AuditEventError:
                raise
            except BaseException:
                # A signal handler raised, and the line may be in the file: what comes now must not
                # claim its place in the chain.
                self._start_source()
                raise

    def _append(self, draft: Draft) -> str:
        event_id, draft.timestamp = self._stamps.draw(self._clock_unix_ns())
        draft.id = event_id
        draft.source = Raw(b"%b%d%b" % (self._source_head, self._seq, self._source_tail))
        unhashed = draft.encode()
        digest = sha256(self._previous + unhashed).digest()
        # `hash` stands before `id`, whose value stands nowhere before: it is new.
        cut = unhashed.index(event_id.encode()) - _ID_KEY_BYTES
        spelled = spell_hash(digest)
        line = b"".join((unhashed[:cut], b',"hash":"', spelled, b'"', unhashed[cut:], b"\n"))
        if len(line) > MAX_LINE_BYTES:
            if draft.cut_by(len(line) - MAX_LINE_BYTES):
                return self._append(draft)
            problem = f"is {len(line)} bytes long as a line; the most is {MAX_LINE_BYTES}"
            raise EventTooLargeError("event", problem, "shorten what stands beside the context")
        self._file.append(line)
        self._seq += 1
        self._previous = digest
        if self._seq == 1:
            self.begin_heartbeat(is_opened_here=False)
        return event_id

    debug = info = warning = error = critical = msg

    def speak(self, draft: Draft) -> None:
        """Append an event of the log itself; raises what `msg` raises."""
        self.msg(draft)

    @property
    def seq(self) -> int:
        """Of the next event, so how many this source has written."""
        return self._seq

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
        finally:
            with self._lock:
                self._file.close()


_loggers: Final[weakref.WeakSet[ChainedLogger]] = weakref.WeakSet()


def _start_sources_of_child() -> None:
    for logger in list(_loggers):
        logger._start_process()  # noqa: SLF001  # the fork hook is part of ChainedLogger


os.register_at_fork(after_in_child=_start_sources_of_child)


def open_log(
    path: str | os.PathLike[str],
    *,
    service: str,
    host: str | None = None,
    durability: Durability = "process",
    on_error: OnError = "raise",
    catalogue_path: str | os.PathLike[str] | None = None,
    strict: bool = False,
    redaction: Redaction | None = DEFAULT_REDACTION,
    heartbeat_seconds: float | None = None,
    system: bool = False,
    clock_unix_ns: Callable[[], int] = time.time_ns,
) -> FilteringBoundLogger:
    """Return a structlog logger that appends audit events to the file at `path`.

    structlog's own configuration is neither read nor changed. The directory is made if it is
    missing. Each level (`info`, `warning`, …) records the event alike, and returns its id.

    Args:
        path: the file; an agent follows it.
        service: name of the application, as it stands in `source.service`.
        host: defaults to the host's name.
        durability: "process": the line is in the kernel when a call returns; "disk": on the disk.
        on_error: what happens to an event that the file does not take.
        catalogue_path: TOML with the application's own actions, or a directory of such files.
        strict: refuse an action that is not in the catalogue, or that lacks what it needs.
        redaction: what of a context is never recorded; None: nothing is redacted.
        heartbeat_seconds: how long a source may be silent before it says that it lives; None or 0
            is off, and then there is no last line either.
        system: allow events of the log itself (`organization_id="_system"`).
        clock_unix_ns: the clock, in nanoseconds since the epoch.

    Raises:
        SinkError: the directory cannot be made or the file not be opened for appending.
        EventError: `service` or `host` is empty or too long.
        ParameterError: another parameter cannot be meant; it is named.
        CatalogueError: everything that is wrong in the file of `catalogue_path`.
    """
    host = host or socket.gethostname()
    check_source(service, host)
    check_durability(durability)
    check_on_error(on_error)
    check_strict(strict)
    check_heartbeat_seconds(heartbeat_seconds)
    rules = DraftRules(
        system=system,
        catalogue=read_catalogue_path(catalogue_path),
        strict=strict,
        redaction=redaction,
        source_bytes=len(canonical(service)) + len(canonical(host)),
    )
    event_file = EventFile(Path(path).absolute())
    event_file.open()
    logger = ChainedLogger(
        event_file,
        service=service,
        host=host,
        rules=rules,
        clock_unix_ns=clock_unix_ns,
        heartbeat_seconds=heartbeat_seconds,
    )
    logger.begin_heartbeat(is_opened_here=True)
    return cast("FilteringBoundLogger", AuditLogger(logger, [AuditProcessor(rules)], {}))
