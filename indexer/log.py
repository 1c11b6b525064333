"""What our processes say of themselves: JSON lines on stderr, never mixed with audit events.

Stdout belongs to what a command was asked for (`--json`): structlog's default would print there, so
whatever runs one of our packages calls `configure` before it reads its settings.
"""

import logging
import sys
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

PROCESSORS: Final[list[Processor]] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Without the values of local variables (structlog's default): a key, a token and somebody's
    # events are among them.
    ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
]
"""What every line has, before it is rendered."""


def configure() -> None:
    """Write JSON lines to stderr, from INFO on, unless the process has said already how it logs."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[*PROCESSORS, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_stderr_logger,
    )


def _stderr_logger(*_names: object) -> structlog.WriteLogger:
    # Asked for at each line: stderr may be another by then (a daemon, a test).
    return structlog.WriteLogger(cast("TextIO", _Patient(sys.stderr)))


class _Patient:
    """Lets a line go that cannot be written: on a full disk, or when nobody reads any more.

    What a process says of itself is worth less than what it does: an audit log must not stop
    because the disk of another log is full.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()
