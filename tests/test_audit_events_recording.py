"""Recording for tests: the real path in a file of its own, whatever is configured; capture_logs."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture, capture_logs

import audit_events
import audit_events.bound_logger
from audit_events.chain import verify_chain
from audit_events.errors import EventError, NotConfiguredError
from audit_events.event import decode_event
from audit_events.integrations.standard_logging import attach
from audit_events.process_log import PROCESS_LOG
from audit_events.recording import RecordedEvents, honour_capture_logs, record_events

EVENT: dict[str, Any] = {"organization_id": "o", "actor": {"type": "user", "id": "u_1"}}
log = audit_events.get_logger()
"""Taken at import, as a module of an application does."""


@pytest.fixture(autouse=True)
def _unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(PROCESS_LOG, "log", None)
    monkeypatch.setattr(PROCESS_LOG, "arguments", None)
    monkeypatch.setattr(audit_events.bound_logger, "interceptor", None)
    yield
    structlog.reset_defaults()


@pytest.fixture
def audit_log(tmp_path: Path) -> Iterator[RecordedEvents]:
    with record_events(tmp_path) as recorded:
        yield recorded


def test_the_example_of_the_documentation(audit_log: RecordedEvents) -> None:
    log.info("member.role_changed", **EVENT, context={"new": {"role": "admin"}})
    assert audit_log.one("member.role_changed").context["new"]["role"] == "admin"


def test_events_take_the_real_path(audit_log: RecordedEvents) -> None:
    with pytest.raises(EventError, match="actor"):
        log.info("member.invited", organization_id="o")
    audit_log.none()
    ids = [log.info("member.invited", **EVENT) for _ in range(3)]
    assert [event.id for event in audit_log] == ids
    assert [event.source.seq for event in audit_log.all()] == [0, 1, 2]
    assert verify_chain(audit_log.lines) == []
    assert audit_log.one(where=lambda event: event.source.seq == 1).context == {}


def test_what_the_application_configures_meanwhile_holds_but_for_the_path(
    audit_log: RecordedEvents, tmp_path: Path
) -> None:
    """As an application factory does that a test calls; the path may be one for production."""
    for _ in range(2):
        audit_events.configure("/proc/no/such/audit.log", service="members", strict=True)
        log.info("billing.top_up", **EVENT)
    assert {event.source.service for event in audit_log} == {"members"}
    assert [event.source.seq for event in audit_log] == [0, 1]
    with pytest.raises(EventError, match="catalogue"):
        log.info("member.role_chnged", **EVENT)
    assert sorted(tmp_path.iterdir()) == [audit_log.path]


def test_what_was_configured_before_holds_and_comes_back(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    audit_events.configure(own, service="members", strict=True)
    bound = log.bind(**EVENT)
    bound.info("billing.top_up")
    with record_events(tmp_path) as audit_log:
        bound.info("subscription.renewed")
        audit_events.configure(tmp_path / "other.jsonl", service="billing")
        bound.info("subscription.renewed")
        assert [event.source.service for event in audit_log] == ["members", "billing"]
    bound.info("billing.top_up")
    events = [decode_event(line) for line in own.read_bytes().splitlines()]
    assert [(event.action, event.source.seq) for event in events] == [
        ("billing.top_up", 0),
        ("billing.top_up", 1),
    ], "its chain goes on as if nothing had happened"


def test_what_a_test_configured_ends_with_it() -> None:
    with record_events() as audit_log:
        audit_events.configure("/proc/no/such/audit.log", service="members")
        log.info("member.invited", **EVENT)
        directory = audit_log.path.parent
    with pytest.raises(NotConfiguredError):
        log.info("member.invited", **EVENT)
    assert not directory.exists()
    with record_events() as audit_log:
        audit_log.none()


def test_recordings_may_be_nested(audit_log: RecordedEvents, tmp_path: Path) -> None:
    inner_directory = tmp_path / "inner"
    inner_directory.mkdir()
    with record_events(inner_directory) as inner:
        log.info("member.invited", **EVENT)
    log.info("member.joined", **EVENT)
    assert [event.action for event in inner] == ["member.invited"]
    assert [event.action for event in audit_log] == ["member.joined"]


def test_all_threads_tasks_and_children_are_recorded(audit_log: RecordedEvents) -> None:
    threads = [
        threading.Thread(target=lambda: log.info("member.invited", **EVENT)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(log.ainfo("member.invited", **EVENT))
    attach("tests.recording").info("member.invited", extra=EVENT)
    child = os.fork()
    if not child:
        log.info("member.invited", **EVENT)
        os._exit(0)
    os.waitpid(child, 0)
    assert len(audit_log) == 11
    assert verify_chain(audit_log.lines) == []


def test_what_prepares_a_test_can_be_forgotten(audit_log: RecordedEvents) -> None:
    log.info("member.invited", **EVENT)
    audit_log.clear()
    log.info("member.joined", **EVENT)
    assert audit_log.one().action == "member.joined"


def test_a_log_of_its_own_writes_where_it_was_told_to(
    audit_log: RecordedEvents, tmp_path: Path
) -> None:
    audit_events.open_log(tmp_path / "own.jsonl", service="members").info("member.invited", **EVENT)
    audit_log.none()
    assert (tmp_path / "own.jsonl").read_bytes()


def _message(ask: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        ask()
    return str(caught.value)


def test_a_failure_lists_what_was_recorded(audit_log: RecordedEvents) -> None:
    assert _message(lambda: audit_log.one("member.joined")) == (
        "expected one member.joined; nothing was recorded"
    )
    log.info("member.invited", **EVENT, target_user={"email": "t@company.com"})
    log.info("member.joined", **EVENT, result="denied", context={"reason": "owner"})
    log.info("member.invited", **EVENT)
    lines = [
        'member.invited actor={"type":"user","id":"u_1"} organizationId="o" result="success"',
        'member.joined actor={"type":"user","id":"u_1"} context={"reason":"owner"}',
    ]
    missing = _message(lambda: audit_log.one("member.joind"))
    assert missing.startswith(
        "expected one member.joind, found 0 of 3 recorded (did you mean member.joined?):\n"
    )
    many = _message(lambda: audit_log.one("member.invited"))
    assert many.startswith("expected one member.invited, found 2 of 3 recorded:\n> member.invited ")
    assert [line[:2] for line in many.splitlines()[1:]] == ["> ", "  ", "> "]
    assert 'targetUser={"email":"t@company.com"}' in many
    unwanted = _message(lambda: audit_log.none("member.joined"))
    assert "expected no member.joined, found 1 of 3 recorded:" in unwanted
    assert 'context={"reason":"owner"}' in unwanted
    assert "`where`" in _message(lambda: audit_log.one(where=lambda _: False))
    assert all(line.split()[0] in many for line in lines)
    assert "member.joined" in repr(audit_log)


def test_a_failure_lists_no_thousands(audit_log: RecordedEvents) -> None:
    for _ in range(200):
        log.info("member.invited", **EVENT)
    assert _message(audit_log.none).endswith("\n  … and 150 more")


def test_capture_logs_sees_events_and_nothing_is_written() -> None:
    honour_capture_logs()
    with capture_logs() as entries:
        assert log.bind(organization_id="o").warning("member.invited", context={"x": 1}) is None
        structlog.get_logger().info("its own")
    assert entries == [
        {
            "organization_id": "o",
            "context": {"x": 1},
            "event": "member.invited",
            "log_level": "warning",
        },
        {"event": "its own", "log_level": "info"},
    ]
    with pytest.raises(NotConfiguredError):
        log.info("member.invited", **EVENT)


def test_a_test_s_events_go_the_short_way_of_production(
    audit_log: RecordedEvents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Being ready for capture_logs must not send them through structlog's processors."""
    honour_capture_logs()
    monkeypatch.setattr("audit_events.log.AuditProcessor.__call__", None)
    own = audit_events.open_log(tmp_path / "own.jsonl", service="members")
    assert own.info("member.invited", **EVENT)
    assert log.info("member.invited", **EVENT) == audit_log.one().id


def test_capture_logs_sees_every_way_to_log_once(audit_log: RecordedEvents, tmp_path: Path) -> None:
    honour_capture_logs()
    own = audit_events.open_log(tmp_path / "own.jsonl", service="members").bind(**EVENT)
    for logger in (log.bind(**EVENT), own):
        with capture_logs() as entries:
            logger.info("member.invited")
            logger.info("member.%s", "invited")
            logger.log(logging.ERROR, "member.invited")
            asyncio.run(logger.awarning("member.invited"))
        levels = [entry["log_level"] for entry in entries]
        assert levels == ["info", "info", "error", "warning"]
        assert {entry["event"] for entry in entries} == {"member.invited"}
    assert len(audit_log) == 4
    assert len((tmp_path / "own.jsonl").read_bytes().splitlines()) == 4, "recorded as well"


def test_capture_logs_runs_the_processors_that_it_is_given(tmp_path: Path) -> None:
    """Also for a log of its own, which then writes nothing either."""
    honour_capture_logs()
    own = audit_events.open_log(tmp_path / "own.jsonl", service="members")
    with (
        structlog.contextvars.bound_contextvars(correlation_id="req-1"),
        capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries,
    ):
        own.error("member.invited")
    assert entries == [{"correlation_id": "req-1", "event": "member.invited", "log_level": "error"}]
    own.info("member.invited", **EVENT)
    assert len((tmp_path / "own.jsonl").read_bytes().splitlines()) == 1


def test_where_events_are_recorded_capture_logs_only_sees_them_too(
    audit_log: RecordedEvents,
) -> None:
    honour_capture_logs()
    with capture_logs() as entries:
        log.critical("member.invited", **EVENT)
    assert [entry["log_level"] for entry in entries] == ["critical"]
    assert audit_log.one().action == "member.invited"
    structlog.configure(processors=[capture := LogCapture()])
    log.info("member.joined", **EVENT)
    assert [entry["event"] for entry in capture.entries] == ["member.joined"]
    assert len(audit_log) == 2


def test_capture_logs_follows_the_application_s_configuration() -> None:
    honour_capture_logs()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=True,
    )
    with capture_logs() as entries:
        log.info("member.invited")
    assert [entry["event"] for entry in entries] == ["member.invited"]


def test_in_production_nothing_that_captures_logs_silences_the_audit_log(tmp_path: Path) -> None:
    audit_events.configure(tmp_path / "audit.jsonl", service="members")
    with capture_logs() as entries:
        log.info("member.invited", **EVENT)
    assert entries == []
    assert (tmp_path / "audit.jsonl").read_bytes()
