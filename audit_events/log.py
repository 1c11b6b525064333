"""How a log is opened, and the structlog processor of one."""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any, cast

from structlog.typing import FilteringBoundLogger

from audit_events import bound_logger
from audit_events.binding import fill_bound
from audit_events.bound_logger import AuditLogger
from audit_events.canonical import canonical
from audit_events.chained_logger import ChainedLogger
from audit_events.draft import DEFAULT_RULES, Draft, DraftRules, draft_event
from audit_events.errors import ParameterError
from audit_events.event_file import EventFile
from audit_events.parameters import (
    Durability,
    OnError,
    check_durability,
    check_heartbeat_seconds,
    check_on_error,
    check_path,
    check_source,
    check_strict,
    read_catalogue_path,
)
from audit_events.redaction import DEFAULT_REDACTION, Redaction


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
        durability: "process": the line is in the kernel when a call returns; "disk": on the disk,
            as those of critical actions always are.
        on_error: what happens to an event that the file does not take: "raise": SinkError at the
            call; "stderr": its line goes there; or a callable, which is given the SinkError and
            the line.
        catalogue_path: TOML with the application's own actions, or a directory of such files.
        strict: refuse an action that is not in the catalogue, or that lacks what it needs.
        redaction: what of a context is never recorded; None: nothing is redacted.
        heartbeat_seconds: how often a source says that it lives; None or 0 is off, and then there
            is no last line either.
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
    event_file = EventFile(check_path("path", path))
    event_file.open()
    if durability == "disk":
        _check_disk(event_file)
    logger = ChainedLogger(
        event_file,
        service=service,
        host=host,
        rules=rules,
        durability=durability,
        on_error=on_error,
        clock_unix_ns=clock_unix_ns,
        heartbeat_seconds=heartbeat_seconds,
    )
    logger.begin_heartbeat(is_opened_here=True)
    return cast("FilteringBoundLogger", AuditLogger(logger, [AuditProcessor(rules)], {}))


def _check_disk(event_file: EventFile) -> None:
    """Sync once, so that a file that cannot be synced shows at start.

    Raises:
        ParameterError: a pipe or a device.
        SinkError: the sync failed.
    """
    if not event_file.is_regular:
        problem = f'is "disk", and {event_file.path} is no regular file'
        raise ParameterError("durability", problem, 'take "process", or name a file')
    event_file.sync()
