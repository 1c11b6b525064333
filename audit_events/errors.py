"""Everything that can go wrong here, as one tree.

* AuditEventError
    * EventError       the event itself is wrong; `field` names the part, nothing was written
        * CanonicalError   a value that RFC 8785 cannot carry exactly; `field` is its path
        * EventTooLargeError  the line would be longer than the format allows
    * ParameterError   `configure()` or `open_log()` cannot take a value; `parameter` names it
    * LineError        a line read back is not an event; `reason` says why
    * CatalogueError   a file of the catalogue is wrong; `problems` has all of it
    * SinkError        the file could not take the line; the event was not recorded
    * NotConfiguredError  an event before `configure()`
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path  # 4 ms of the import of who needs none before a log is opened


class AuditEventError(Exception):
    """Base of all errors of this package; `hint` is the next step for whoever reads it."""

    hint: str = ""

    def __reduce__(self) -> tuple[object, ...]:  # type: ignore[explicit-override]  # from 3.12
        """Let it come back whole from another process: of a pool, or a worker's result."""
        return _restore, (type(self), self.args, vars(self))


def _restore(
    kind: type[AuditEventError], arguments: tuple[object, ...], members: dict[str, object]
) -> AuditEventError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(members)
    return error


class EventError(AuditEventError):
    """The event is refused at the call, before anything is written.

    Args:
        field: the argument or path that is wrong, such as `actor.type` or `context.new[2]`.
        problem: what is wrong with it, without the value itself (it may be personal data).
        hint: what to do instead.
    """

    def __init__(self, field: str, problem: str, hint: str = "") -> None:
        self.field = field
        self.problem = problem
        self.hint = hint
        super().__init__(f"{field}: {problem}" + (f"; {hint}" if hint else ""))


class CanonicalError(EventError):
    """A value that RFC 8785 (JCS) cannot carry exactly, named by its path."""


class EventTooLargeError(EventError):
    """The line would exceed `MAX_LINE_BYTES`."""


class ParameterError(AuditEventError):
    """A parameter of `configure()` or `open_log()` has a value that cannot be meant."""

    def __init__(self, parameter: str, problem: str, hint: str) -> None:
        self.parameter = parameter
        self.problem = problem
        self.hint = hint
        super().__init__(f"{parameter}: {problem}; {hint}")


class LineError(AuditEventError):
    """A line that is not an event of this format; `reason` is fit for a dead letter."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CatalogueError(AuditEventError):
    """Everything that is wrong with a catalogue: file, line, entry, cause and next step of each."""

    hint = "docs/applications.md has an example of such a file"

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SinkError(AuditEventError):
    """The file did not take the line: the event is not recorded, and the caller knows it."""

    def __init__(self, path: "Path", operation: str, cause: OSError, hint: str) -> None:
        self.path = path
        self.operation = operation
        self.cause = cause
        self.hint = hint
        reason = f"cannot {operation} {path}: {cause.strerror or cause}"
        super().__init__(f"{reason}; {hint}" if hint else reason)


class NotConfiguredError(AuditEventError):
    """An event was recorded by `get_logger()` in a process that had not called `configure()`."""

    hint = "call audit_events.configure(path, service=...) once at start"

    def __init__(self) -> None:
        super().__init__(f"the audit log of this process is not configured; {self.hint}")
