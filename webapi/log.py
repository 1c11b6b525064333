"""What gunicorn says, in the same JSON lines as the service itself (`indexer.log`).

No request is logged with its query string here: filters hold names and addresses of people, and
who read what is told by `audit_log.viewed`.
"""

import logging
import re
from collections.abc import Mapping
from typing import Final

import structlog
from structlog.typing import EventDict

from indexer.log import PROCESSORS
from webapi.settings import WebSettings

SILENT_CLIENT: Final = "a client that sent, or took, nothing was cut"
_query: Final = re.compile(r"\?.*", re.DOTALL)


def hide_query(_logger: object, _method: str, event_dict: EventDict) -> EventDict:
    """Cut what gunicorn repeats of a request it cannot read, or fails to end, before its query."""
    event_dict["event"] = _query.sub("?…", str(event_dict["event"]))
    return event_dict


def tell_silence(record: logging.LogRecord) -> bool:
    """Make the error of a client that was cut for its silence one line: nothing of ours failed."""
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
        record.msg, record.args, record.exc_info = SILENT_CLIENT, (), None
    return True


GUNICORN: Final[Mapping[str, object]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": [hide_query, *PROCESSORS],
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
        "gunicorn.error": {
            "level": "INFO",
            "handlers": ["stderr"],
            "filters": [tell_silence],
            "propagate": False,
        },
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}
"""gunicorn's `logconfig_dict`."""


def announce(settings: WebSettings) -> None:
    """Say once what an operator should know about how this service runs."""
    if settings.audit_path is None:
        structlog.get_logger("webapi").warning(
            "reads are not recorded", next="set web.audit_path to a file that the agent follows"
        )
    if settings.state_directory is None:
        structlog.get_logger("webapi").warning(
            "who signs out is not remembered, and one-time links are not taken",
            next="set web.state_directory to a directory of this service",
        )
