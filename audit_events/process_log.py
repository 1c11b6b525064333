"""The audit log of this process: `configure()` opens it once, `get_logger()` gives it everywhere.

A logger may be taken, and bound, before `configure()` was called: at the import of a module, as
with structlog. It finds the log when it records, so it follows every later `configure()`, too.
"""

import os
import socket
import threading
from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from audit_events import bound_logger
from audit_events.bound_logger import AuditLogger
from audit_events.chained_logger import ChainedLogger
from audit_events.errors import NotConfiguredError, SinkError
from audit_events.log import open_log
from audit_events.parameters import DEFAULT_HEARTBEAT_SECONDS, Durability, OnError, check_path
from audit_events.redaction import DEFAULT_REDACTION, Redaction

if TYPE_CHECKING:
    from pathlib import Path


class Arguments(Struct, frozen=True, kw_only=True):
    """What `configure()` was given."""

    path: "Path"
    service: str
    host: str | None = None
    durability: Durability = "process"
    on_error: OnError = "raise"
    catalogue_path: "Path | None" = None
    strict: bool = False
    redaction: Redaction | None = DEFAULT_REDACTION
    heartbeat_seconds: float | None = DEFAULT_HEARTBEAT_SECONDS

    def open(self) -> FilteringBoundLogger:
        """Open the log; what is wrong with the arguments is said there."""
        return open_log(
            self.path,
            service=self.service,
            host=self.host,
            durability=self.durability,
            on_error=self.on_error,
            catalogue_path=self.catalogue_path,
            strict=self.strict,
            redaction=self.redaction,
            heartbeat_seconds=self.heartbeat_seconds,
        )


class ProcessLog:
    """Stands behind every logger of `get_logger()`: hands on to the log that is open now."""

    record: Callable[[object, dict[str, Any]], str]
    """The short way of `AuditLogger`: that of the log which is open now."""

    def __init__(self) -> None:
        self.log = None
        self.arguments: Arguments | None = None
        self.redirection: Path | None = None
        """Where events go instead of the path that is configured, while a test records them."""
        self._lock = threading.Lock()

    @property
    def log(self) -> FilteringBoundLogger | None:
        """The log that is open now."""
        return self._log

    @log.setter
    def log(self, log: FilteringBoundLogger | None) -> None:
        self._log = log
        self.record = _refuse if log is None else _chained(log).record

    def forget_lock(self) -> None:
        """In a forked child: no thread that could hold it is there any more."""
        self._lock = threading.Lock()

    def open(self, arguments: Arguments) -> None:
        """Open the log, unless it is open with the same arguments; then close the one before.

        Raises:
            AuditEventError: it cannot be opened, and the log before is still in place.
        """
        with self._lock:
            arguments = self._aim(arguments)
            if self.log is not None and arguments == self.arguments:
                # A forked child that configures too is a source from now on, events or none.
                _chained(self.log).begin_heartbeat(is_opened_here=True)
                return
            before, self.log = self.log, arguments.open()
            self.arguments = arguments
        if before is not None:
            # The new one is in place: that the old one has no last line is for its reader to tell.
            with suppress(SinkError):
                _chained(before).close()

    def _aim(self, arguments: Arguments) -> Arguments:
        if self.redirection is None:
            return arguments
        path = self.redirection
        return replace(arguments, path=path, durability="process", heartbeat_seconds=None)

    def close(self) -> None:
        """Write the last line and let go of the file; what is recorded after all is still taken."""
        if self.log is not None:
            _chained(self.log).close()

    @contextmanager
    def redirected(self, path: "Path") -> Generator[None]:
        """Record in the file at `path` instead, whatever is configured before or meanwhile."""
        before = self.log, self.arguments, self.redirection
        try:
            self.redirection = path
            self.arguments = self._aim(self.arguments or Arguments(path=path, service="tests"))
            self.log = self.arguments.open()
            yield
        finally:
            own = self.log
            self.log, self.arguments, self.redirection = before
            if own is not None and own is not self.log:
                with suppress(SinkError):  # a test may have removed the directory
                    _chained(own).close()

    def msg(self, method: str, event_dict: MutableMapping[str, Any]) -> str | None:
        """Record the event in the log that is open now."""
        log = self.log
        if log is None:
            raise NotConfiguredError
        event_id: str | None = getattr(log, method)(event_dict.pop("event", None), **event_dict)
        return event_id

    debug = info = warning = error = critical = msg


def _chained(log: FilteringBoundLogger) -> ChainedLogger:
    chained: ChainedLogger = cast("Any", log)._logger  # noqa: SLF001  # structlog lets wrappers read it
    return chained


def _refuse(_action: object, _fields: dict[str, Any]) -> str:
    raise NotConfiguredError


def _pass_on(
    _logger: object, method: str, event_dict: MutableMapping[str, Any]
) -> tuple[tuple[str, MutableMapping[str, Any]], dict[str, Any]]:
    if PROCESS_LOG.log is None and bound_logger.interceptor is not None:
        bound_logger.interceptor(method, event_dict)
    return (method, event_dict), {}


PROCESS_LOG: Final = ProcessLog()
os.register_at_fork(after_in_child=PROCESS_LOG.forget_lock)
_LOGGER: Final = cast("FilteringBoundLogger", AuditLogger(PROCESS_LOG, [_pass_on], {}))


def configure(
    path: str | os.PathLike[str],
    *,
    service: str,
    host: str | None = None,
    durability: Durability = "process",
    on_error: OnError = "raise",
    catalogue_path: str | os.PathLike[str] | None = None,
    strict: bool = False,
    redaction: Redaction | None = DEFAULT_REDACTION,
    heartbeat_seconds: float | None = DEFAULT_HEARTBEAT_SECONDS,
) -> FilteringBoundLogger:
    """Open the audit log of this process, and return the logger that `get_logger()` gives.

    structlog's own configuration is neither read nor changed. Called again with the same
    arguments, the log stays as it is; with others, the log before is closed and every logger of
    `get_logger()` records in the new one, as a new source.

    Args and errors are those of `open_log`; after an error the log before is still in place.
    """
    arguments = Arguments(
        path=check_path("path", path),
        service=service,
        host=host or socket.gethostname(),
        durability=durability,
        on_error=on_error,
        catalogue_path=None
        if catalogue_path is None
        else check_path("catalogue_path", catalogue_path),
        strict=strict,
        redaction=redaction,
        heartbeat_seconds=heartbeat_seconds,
    )
    PROCESS_LOG.open(arguments)
    return _LOGGER


def close() -> None:
    """Write the last line of this process's source now, as its end would by itself.

    For a process that ends by `os._exit` or `os.execv`, which run nothing at exit. An event after
    that is recorded as ever.

    Raises:
        SinkError: the line could not be written.
    """
    PROCESS_LOG.close()


def get_logger() -> FilteringBoundLogger:
    """Return the logger of this process; it may be taken before `configure()` is called.

    What it records before that is refused with NotConfiguredError.
    """
    return _LOGGER
