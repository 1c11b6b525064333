"""The service's own log: JSON lines to stderr, gunicorn's among them.

No request is logged with its query string here: filters hold names and addresses of people, and
who read what is told by `audit_log.viewed`.
"""

import sys
from collections.abc import Mapping
from typing import Final

import structlog
from structlog.typing import Processor

from webapi.settings import WebSettings

_SHARED: Final[list[Processor]] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.dict_tracebacks,
]

GUNICORN: Final[Mapping[str, object]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": _SHARED,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "stream": "ext://sys.stderr",
        }
    },
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}
"""gunicorn's `logconfig_dict`."""


def configure() -> None:
    """Write JSON lines to stderr, unless the process has said already how it logs."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def announce(settings: WebSettings) -> None:
    """Say once what an operator should know about how this service runs."""
    if settings.audit_path is None:
        structlog.get_logger("webapi").warning(
            "reads are not recorded", next="set web.audit_path to a file that the agent follows"
        )
