"""Standard logging: a record is an event, and what is wrong with it is raised from the log call."""

import logging
import logging.config
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import audit_events
from audit_events.errors import EventError, NotConfiguredError, SinkError
from audit_events.integrations.standard_logging import AuditHandler, attach
from audit_events.process_log import PROCESS_LOG
from tests.written import read_events

ACTOR = {"type": "user", "id": "u_1"}
EVENT: dict[str, Any] = {"organization_id": "o", "actor": ACTOR}
_NAME = "tests.audit"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(PROCESS_LOG, "log", None)
    monkeypatch.setattr(PROCESS_LOG, "arguments", None)
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogRecordFactory()
    yield
    root.handlers[:], root.level = before[0], before[1]
    logging.setLogRecordFactory(before[2])
    logger = logging.getLogger(_NAME)
    logger.handlers.clear()
    logger.filters.clear()
    logger.setLevel(logging.NOTSET)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def log(path: Path) -> logging.Logger:
    return attach(_NAME, audit_events.open_log(path, service="members"))


def test_a_record_is_an_event(path: Path, log: logging.Logger) -> None:
    structlog.contextvars.bind_contextvars(**EVENT, correlation_id="req-1", view="its own")
    log.info(
        "member.role_changed",
        extra={"target_user": {"id": "u_2"}, "context": {"new": {"role": "admin"}}},
    )
    (event,) = read_events(path)
    assert (event.action, event.actor.id, event.correlation_id) == (
        "member.role_changed",
        "u_1",
        "req-1",
    )
    assert event.target_user is not None
    assert event.context == {"new": {"role": "admin"}}


@pytest.mark.parametrize("level", [1, logging.DEBUG, logging.INFO, logging.CRITICAL])
def test_every_level_records(path: Path, log: logging.Logger, level: int) -> None:
    """By default a logger leaves out what is below WARNING, and says nothing."""
    log.log(level, "member.invited", extra=EVENT)
    assert len(read_events(path)) == 1


def test_the_action_may_have_arguments(path: Path, log: logging.Logger) -> None:
    log.info("member.%s", "invited", extra=EVENT)
    assert read_events(path)[0].action == "member.invited"


@pytest.mark.parametrize("raise_exceptions", [False, True])
@pytest.mark.parametrize(
    ("message", "extra", "field"),
    [
        pytest.param("member.invited", {"organization_id": "o"}, "actor", id="no actor"),
        pytest.param("Member invited", EVENT, "action", id="no action"),
        pytest.param(("member", "invited"), EVENT, "action", id="no text"),
        pytest.param("member.invited", {**EVENT, "target_usr": {}}, "target_usr", id="misspelt"),
        pytest.param("member.invited", {**EVENT, "event": "x"}, "event", id="a parameter's name"),
        pytest.param(
            "member.invited", {**EVENT, "exc_info": ValueError()}, "exc_info", id="traceback"
        ),
        pytest.param(
            "member.invited", {**EVENT, "stack_info": True}, "stack_info", id="stack trace"
        ),
    ],
)
def test_what_is_wrong_is_raised_from_the_log_call(
    path: Path,
    log: logging.Logger,
    message: Any,
    extra: dict[str, Any],
    field: str,
    *,
    raise_exceptions: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", raise_exceptions)
    options = {name: extra[name] for name in ("exc_info", "stack_info") if name in extra}
    fields = {name: value for name, value in extra.items() if name not in options}
    with pytest.raises(EventError, match=f"^{field}"):
        log.info(message, extra=fields, **options)
    assert not path.read_bytes()


def test_a_file_that_cannot_take_it_is_raised_as_well(path: Path) -> None:
    log = attach(_NAME, audit_events.open_log(path, service="members"))
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    try:
        with pytest.raises(SinkError):
            log.info("member.invited", extra=EVENT)
    finally:
        hidden.rename(path.parent)


def test_without_a_log_the_one_of_the_process_is_taken_whenever_it_is_configured(
    path: Path,
) -> None:
    log = attach(_NAME)
    with pytest.raises(NotConfiguredError):
        log.info("member.invited", extra=EVENT)
    audit_events.configure(path, service="members")
    log.info("member.invited", extra=EVENT)
    assert len(read_events(path)) == 1


def test_attached_twice_it_records_once(path: Path, log: logging.Logger) -> None:
    again = attach(_NAME, audit_events.open_log(path, service="members"))
    assert again is log
    again.info("member.invited", extra=EVENT)
    assert len(read_events(path)) == 1


def test_what_the_application_adds_to_every_record_is_no_field(
    path: Path, log: logging.Logger
) -> None:
    """A record factory is known; what a filter adds has to be named."""
    factory = logging.getLogRecordFactory()

    def with_trace(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = factory(*arguments, **options)
        record.trace_id = "t"
        return record

    def add_request_id(record: logging.LogRecord) -> bool:
        record.request_id = "r"
        return True

    logging.setLogRecordFactory(with_trace)
    log.info("member.invited", extra=EVENT)
    log.addFilter(add_request_id)
    with pytest.raises(EventError, match="request_id"):
        log.info("member.invited", extra=EVENT)
    attach(_NAME, audit_events.open_log(path, service="members"), ignore=["request_id"])
    log.info("member.invited", extra=EVENT)
    assert len(read_events(path)) == 2


def test_other_handlers_get_the_record_too(
    path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(console)
    log.handlers.insert(0, console)  # its formatter leaves its marks before ours sees the record
    log.info("member.invited", extra=EVENT)
    assert capsys.readouterr().err.count("member.invited") == 2
    assert len(read_events(path)) == 1


def test_it_can_stand_in_a_configuration(path: Path) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "audit": {
                    "class": "audit_events.integrations.standard_logging.AuditHandler",
                    "ignore": ["request_id"],
                }
            },
            "loggers": {_NAME: {"handlers": ["audit"], "level": "DEBUG"}},
        }
    )
    audit_events.configure(path, service="members")
    logging.getLogger(_NAME).info("member.invited", extra={**EVENT, "request_id": "r"})
    assert len(read_events(path)) == 1


def test_a_filter_of_the_handler_counts(path: Path) -> None:
    log = attach(_NAME, audit_events.open_log(path, service="members"))
    log.handlers[0].addFilter(lambda record: record.levelno > logging.INFO)
    log.info("member.invited", extra=EVENT)
    log.warning("member.removed", extra=EVENT)
    assert [event.action for event in read_events(path)] == ["member.removed"]


def test_threads_do_not_wait_for_each_other_in_the_handler() -> None:
    """Those that wait for the disk must be able to share one fsync."""
    inside = threading.Barrier(2, timeout=10)

    class Log:
        def info(self, _action: str, **_fields: object) -> None:
            inside.wait()

    handler = AuditHandler(Log())  # type: ignore[arg-type]  # only what the handler calls
    record = logging.makeLogRecord({"msg": "member.invited", **EVENT})
    threads = [threading.Thread(target=handler.handle, args=(record,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside.broken
