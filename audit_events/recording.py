"""Events recorded for a test: through the real path, validated and chained, in a file of their own.

    with record_events(directory) as audit_log:
        change_role()
    assert audit_log.one("member.role_changed").context["new"]["role"] == "admin"

Needs no test framework; `audit_events.testing` is the same as a fixture of pytest.
"""

from collections.abc import Callable, Generator, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import structlog
from structlog.testing import LogCapture

from audit_events import bound_logger
from audit_events.event import SYSTEM_ORGANIZATION, Event
from audit_events.process_log import PROCESS_LOG


class RecordedEvent(Event, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event as a test reads it: without a context it has an empty one."""

    context: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


_decode = msgspec.json.Decoder(RecordedEvent).decode
Predicate = Callable[[RecordedEvent], bool]
_MAX_SHOWN: Final = 50


class RecordedEvents:
    """What was recorded so far, oldest first; events of the log itself are left out.

    Args:
        path: the file that they are in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._forgotten = 0

    @property
    def lines(self) -> list[bytes]:
        """The lines as they were written, those of the log itself too."""
        # Where a process was killed in the middle of a line, the next writer leaves empty ones.
        return [line for line in self.path.read_bytes().splitlines() if line]

    def __iter__(self) -> Iterator[RecordedEvent]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def all(
        self, action: str | None = None, *, where: Predicate | None = None
    ) -> list[RecordedEvent]:
        """Return the events of this action, or all; `where` tells which of them are meant."""
        return [event for event in self._events() if _is_meant(event, action, where)]

    def one(self, action: str | None = None, *, where: Predicate | None = None) -> RecordedEvent:
        """Return the only event that is meant.

        Raises:
            AssertionError: there is none, or more than one; it lists what was recorded.
        """
        __tracebackhide__ = True
        found = self.all(action, where=where)
        if len(found) != 1:
            raise AssertionError(self._describe(f"one {_name(action, where)}", action, found))
        return found[0]

    def none(self, action: str | None = None, *, where: Predicate | None = None) -> None:
        """Assert that nothing of the kind was recorded.

        Raises:
            AssertionError: something was; it lists what.
        """
        __tracebackhide__ = True
        found = self.all(action, where=where)
        if found:
            raise AssertionError(self._describe(f"no {_name(action, where)}", action, found))

    def clear(self) -> None:
        """Forget what was recorded so far, as after preparing what a test is about."""
        self._forgotten = len(self.lines)

    def _events(self) -> list[RecordedEvent]:
        events = map(_decode, self.lines[self._forgotten :])
        return [event for event in events if event.organization_id != SYSTEM_ORGANIZATION]

    def _describe(self, expected: str, action: str | None, found: list[RecordedEvent]) -> str:
        events = self._events()
        if not events:
            return f"expected {expected}; nothing was recorded"
        meant = {event.id for event in found}
        listed = [
            f"{'>' if event.id in meant else ' '} {_show(event)}" for event in events[:_MAX_SHOWN]
        ]
        more = [f"  … and {len(events) - _MAX_SHOWN} more"] if len(events) > _MAX_SHOWN else []
        near = "" if found or action is None else _guess(action, {event.action for event in events})
        head = f"expected {expected}, found {len(found)} of {len(events)} recorded{near}:"
        return "\n".join([head, *listed, *more])

    def __repr__(self) -> str:  # type: ignore[explicit-override]  # typing has it from 3.12
        return "\n".join(["<RecordedEvents:", *map(_show, self._events()[:_MAX_SHOWN])]) + ">"


def _is_meant(event: RecordedEvent, action: str | None, where: Predicate | None) -> bool:
    return (action is None or event.action == action) and (where is None or where(event))


def _name(action: str | None, where: Predicate | None) -> str:
    return (action or "event") + (" that `where` means" if where else "")


def _guess(action: str, recorded: set[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only a failure needs it

    near = get_close_matches(action, sorted(recorded), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _show(event: RecordedEvent) -> str:
    """Return the event in one line: what a test may ask for, without its place in the chain."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("id", "timestamp", "action", "source", "hash", "schemaVersion"):
        fields.pop(name, None)
    told = (f"{name}={msgspec.json.encode(value).decode()}" for name, value in fields.items())
    return " ".join((event.action, *told))


@contextmanager
def record_events(directory: Path | None = None) -> Generator[RecordedEvents]:
    """Record what `audit_events.get_logger()` is given, in all threads, in a file of its own.

    Loggers that were taken earlier are recorded too. The arguments of `configure()`, called before
    or meanwhile, hold as in production, but for the path, "disk" and heartbeats; afterwards all is
    as it was. A log of `open_log()` writes where it was told to.

    Args:
        directory: of the file; by default one that is removed at the end.
    """
    if directory is None:
        with TemporaryDirectory(prefix="audit-events-") as temporary:
            with record_events(Path(temporary)) as recorded:
                yield recorded
            return
    path = directory / "audit.jsonl"
    with PROCESS_LOG.redirected(path):
        yield RecordedEvents(path)


def honour_capture_logs() -> None:
    """Let `structlog.testing.capture_logs` see audit events from now on, in this process.

    What it captures is checked by nobody and written nowhere, as with any logger of structlog;
    only while `record_events` is active it is recorded as well. Not for production: a library that
    captures its logs would silence the audit log.
    """
    bound_logger.interceptor = _capture


def _capture(method: str, event_dict: MutableMapping[str, Any]) -> None:
    processors = structlog.get_config()["processors"]
    if not processors or not isinstance(processors[-1], LogCapture):
        return
    captured: Any = dict(event_dict)
    try:
        for processor in processors:
            captured = processor(None, method, captured)
    except structlog.DropEvent:
        if PROCESS_LOG.redirection is None:
            raise
