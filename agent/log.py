"""What the services say of themselves: JSON lines on stderr, never mixed with audit events."""

import logging
import sys

import structlog


def configure(*, level: int = logging.INFO) -> None:
    """Write JSON lines to stderr, unless the process has said already how it logs."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
