"""What becomes of an event that the file did not take: never nothing.

* `"raise"`: the caller gets the `SinkError`, so the business action fails; the event's `seq` is
  used by the next one.
* `"stderr"`, or a callable: the business goes on. The event keeps its `seq` and `hash`, and its
  line goes there whole: the file has a gap until somebody appends that line, then none.
* When stderr or the callable fail too, the caller gets the `SinkError` after all.
"""

import sys
from collections.abc import Callable
from typing import Literal

from audit_events.errors import SinkError

FailureHandler = Callable[[SinkError, bytes], object]
OnError = Literal["raise", "stderr"] | FailureHandler


def choose_handler(on_error: OnError) -> FailureHandler | None:
    """Return what takes the lines that the file did not; None for "raise"."""
    if on_error == "raise":
        return None
    return write_to_stderr if on_error == "stderr" else on_error


def hand_over(handler: FailureHandler, error: SinkError, line: bytes) -> None:
    """Give an event that is not in the file to `handler`.

    Raises:
        SinkError: the handler failed; its own error is in a note.
    """
    try:
        outcome = handler(error, line)
        if hasattr(type(outcome), "__await__"):
            raise TypeError("it is not awaited")  # noqa: TRY301  # as good as lost
    except Exception as failure:
        error.add_note(f"on_error failed too: {type(failure).__name__}: {failure}")
        raise error from failure


def write_to_stderr(error: SinkError, line: bytes) -> None:
    """Write one line: that an event is missing, why, and behind `EVENT_MARK` the event's own line.

    Bytes, because a stderr of another encoding would change the line.
    """
    stderr = sys.stderr
    stderr.flush()
    stderr.buffer.write(describe(error).encode(errors="backslashreplace") + EVENT_MARK + line)
    stderr.buffer.flush()


EVENT_MARK = b" Append what follows: "


def describe(error: SinkError) -> str:
    """Say in one line what happened to the event."""
    place = "may not be on the disk" if error.operation == "sync" else "is not in the file"
    return " ".join(f"audit_events: an event {place}: {error}.".split())
