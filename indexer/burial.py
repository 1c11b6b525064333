"""Writing to the dead letter what is never stored, however long its disk stays full."""

import threading
from collections.abc import Sequence

import structlog

from indexer.backoff import Backoff, delay_seconds
from indexer.dead_letter import Grave, Refusal
from indexer.errors import DeadLetterError, Interrupted

_log = structlog.get_logger("indexer")


def bury(
    grave: Grave, refusals: Sequence[Refusal], *, stop: threading.Event, backoff: Backoff
) -> None:
    """Return when the refusals are durable; that they cannot be written is told once.

    Raises:
        Interrupted: `stop` was set before.
    """
    failures = 0
    while refusals:
        try:
            grave.append(refusals)
        except DeadLetterError as error:
            failures += 1
            if failures == 1:
                _log.error("dead_letter_not_written", reason=str(error), hint=error.hint)
            if stop.wait(delay_seconds(failures, backoff)):
                raise Interrupted from error
        else:
            return
