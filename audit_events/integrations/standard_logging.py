"""Standard `logging`: a logger whose records are audit events.

    from audit_events.integrations.standard_logging import attach

    log = attach("audit")  # a logging.Logger; once, at start
    log.info("member.role_changed", extra={"target_user": {"id": "u_2"}})

The message is the action, `extra` holds the fields of the event; what is bound with
`structlog.contextvars` counts as everywhere. Every level records alike. What is wrong with a
record, and a file that cannot take it, is raised from the log call: `logging` would print it to
stderr and go on, and `logging.raiseExceptions` changes nothing about that.
"""

import logging
from collections.abc import Collection
from typing import Final, cast

from structlog.typing import FilteringBoundLogger

from audit_events.draft import FIELDS
from audit_events.errors import EventError
from audit_events.process_log import get_logger

_FORMATTED: Final = frozenset({"message", "asctime"})
"""What a formatter of another handler leaves on the record that all of them share."""
_TRACEBACKS: Final = ("exc_info", "stack_info")


class AuditHandler(logging.Handler):
    """Records each log record as an audit event.

    Args:
        log: the audit log; by default the one of the process, also when it is configured later.
        ignore: names of record attributes that filters of the application add for other handlers.
            Any other attribute that is no field of an event is an error: it may be a misspelt one.
    """

    def __init__(
        self, log: FilteringBoundLogger | None = None, *, ignore: Collection[str] = ()
    ) -> None:
        super().__init__(logging.NOTSET)
        self._log = get_logger() if log is None else log
        self._ignored = _FORMATTED | frozenset(ignore)

    def handle(self, record: logging.LogRecord) -> bool:  # type: ignore[explicit-override]  # 3.12
        """Record the event without the handler's lock: threads must reach the disk together."""
        passed = cast("object", self.filter(record))  # from 3.12 it may be another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]  # 3.12
        """Record the event.

        Raises:
            AuditEventError: at the log call, whatever `logging.raiseExceptions` says.
        """
        # A factory may be set at any time, and adds what other handlers want.
        factory = logging.getLogRecordFactory()
        usual = vars(factory("", 0, "", 0, "", (), None))
        fields: dict[str, object] = {}
        for name, value in vars(record).items():
            if name in FIELDS:
                fields[name] = value
            elif name in _TRACEBACKS and value:
                raise EventError(name, "is not a field of an event", "log the error elsewhere")
            elif name not in usual and name not in self._ignored:
                hint = f"one of {', '.join(FIELDS)}; what a filter adds is named in ignore="
                raise EventError(name, "is not a field of an event", hint)
        action = cast("object", record.msg) if not record.args else record.getMessage()
        self._log.info(cast("str", action), **fields)


def attach(
    name: str = "audit",
    log: FilteringBoundLogger | None = None,
    *,
    ignore: Collection[str] = (),
) -> logging.Logger:
    """Make the logger of that name record audit events, at every level, and return it.

    Its records go on to the handlers of its parents as they did. Called again, the handler is
    replaced. A configuration read later (`logging.config`) must not disable existing loggers.

    Args and errors are those of `AuditHandler`.
    """
    logger = logging.getLogger(name)
    for handler in [one for one in logger.handlers if isinstance(one, AuditHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(AuditHandler(log, ignore=ignore))
    # By default a logger has its parent's level, WARNING, and says nothing of what it leaves out.
    logger.setLevel(1)
    logger.disabled = False
    return logger
