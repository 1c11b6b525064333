"""A plugin of pytest: the fixture `audit_log`, and a check that no test leaves an unknown action.

    def test_a_role_is_changed(audit_log):
        change_role("u_2", "admin")
        assert audit_log.one("member.role_changed").context["new"]["role"] == "admin"

It is there wherever `indelible-events` is installed; where plugins are not loaded by themselves,
say `pytest_plugins = ["audit_events.testing"]` in the topmost conftest.py, which does no harm
elsewhere. `structlog.testing.capture_logs` sees audit events, too.
"""

import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import pytest
import structlog

import audit_events.bound_logger
from audit_events import tally
from audit_events.catalogue import Catalogue
from audit_events.recording import RecordedEvent, RecordedEvents, honour_capture_logs, record_events

__all__ = ["RecordedEvent", "RecordedEvents", "audit_log", "record_events"]

_INI: Final = "audit_events_unknown_actions"
_MARKER: Final = "unknown_audit_actions"
_CHOICES: Final = ("error", "ignore")
_LIBRARIES: Final = ("audit_events", "structlog", "logging", "concurrent", "asyncio", "threading")


@pytest.fixture
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Generator[RecordedEvents]:
    """The audit events that this test records; what it binds with contextvars ends with it."""
    before = structlog.contextvars.get_contextvars()
    with record_events(tmp_path_factory.mktemp("audit_log")) as recorded:
        yield recorded
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**before)


@dataclass(frozen=True, slots=True)
class _Unknown:
    action: str
    place: str
    nearest: tuple[str, ...]


class _Check:
    """Stands in for `tally.note_unknown`, and tells at a test's end what passed there.

    Args:
        enabled: whether tests fail for it.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._note_unknown = tally.note_unknown
        self._interceptor = audit_events.bound_logger.interceptor
        self._enabled = enabled
        self._found: list[_Unknown] = []

    def install(self) -> None:
        tally.note_unknown = self._note
        honour_capture_logs()

    def remove(self) -> None:
        tally.note_unknown = self._note_unknown
        audit_events.bound_logger.interceptor = self._interceptor

    def _note(self, action: str, catalogue: Catalogue) -> None:
        self._note_unknown(action, catalogue)
        if self._enabled:
            self._found.append(_Unknown(action, _find_place(), tuple(catalogue.nearest(action))))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Begin a test with nothing found, also where the teardown before it failed."""
        self._found.clear()

    # Plain hooks, since what is loaded wherever this package is installed must suit any pytest.
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Fail the test that left unknown actions, after everything of it is torn down."""
        if self._found and item.get_closest_marker(_MARKER) is None:
            pytest.fail(_describe(self._found), pytrace=False)


def _find_place() -> str:
    frame = sys._getframe(1)  # noqa: SLF001  # what logging and warnings use for the same
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "another thread"


def _describe(found: list[_Unknown]) -> str:
    lines = ["this test recorded actions that are in no catalogue:"]
    for unknown in dict.fromkeys(found):
        times = found.count(unknown)
        near = f"; did you mean {' or '.join(unknown.nearest)}?" if unknown.nearest else ""
        often = f", {times} times" if times > 1 else ""
        lines.append(f"  {unknown.action} at {unknown.place}{often}{near}")
    lines.append(
        "Mend the spelling, or add them to the file of catalogue_path. One test may keep them with "
        f"@pytest.mark.{_MARKER}, all with the ini option {_INI} = ignore."
    )
    return "\n".join(lines)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option."""
    parser.addini(
        _INI,
        "a test that records an action that is in no catalogue: error or ignore",
        default="error",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and begin to look."""
    config.addinivalue_line("markers", f"{_MARKER}: may record actions that are in no catalogue")
    choice = config.getini(_INI)
    if choice not in _CHOICES:
        raise pytest.UsageError(f"{_INI} is {choice!r}: expected {' or '.join(_CHOICES)}")
    check = _Check(enabled=choice == "error")
    check.install()
    config.pluginmanager.register(check, f"{__name__}.check")
    config.add_cleanup(check.remove)
