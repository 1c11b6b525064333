"""`configure()` and `get_logger()`: beside any structlog set-up, before or after it, and twice."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import audit_events
from audit_events.chain import verify_chain
from audit_events.errors import (
    AuditEventError,
    EventError,
    NotConfiguredError,
    ParameterError,
    SinkError,
)
from audit_events.process_log import PROCESS_LOG
from tests.written import read_events

ACTOR = {"type": "user", "id": "u_1"}
EVENT: dict[str, Any] = {"organization_id": "o", "actor": ACTOR}


@pytest.fixture(autouse=True)
def _unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Each test begins as a process does, and leaves structlog as it was."""
    monkeypatch.setattr(PROCESS_LOG, "log", None)
    monkeypatch.setattr(PROCESS_LOG, "arguments", None)
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    structlog.contextvars.clear_contextvars()
    if before is None:
        structlog.reset_defaults()
    else:
        structlog.configure(**before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


def test_a_logger_may_be_taken_before_configure(path: Path) -> None:
    """At the import of a module; what it records before that is an error."""
    log = audit_events.get_logger()
    bound = log.bind(**EVENT)
    with pytest.raises(NotConfiguredError, match=r"call audit_events\.configure"):
        log.info("member.invited", **EVENT)
    with pytest.raises(NotConfiguredError):
        bound.info("member.invited")
    audit_events.configure(path, service="members")
    log.info("member.invited", **EVENT)
    bound.info("member.invited")
    assert [event.source.seq for event in read_events(path)] == [0, 1]


def test_configure_returns_the_logger_of_the_process(path: Path) -> None:
    event_id = audit_events.configure(path, service="members").info("member.invited", **EVENT)
    assert [event.id for event in read_events(path)] == [event_id]


def test_configure_again_with_the_same_arguments_changes_nothing(path: Path) -> None:
    for _ in range(2):
        audit_events.configure(path, service="members")
        audit_events.get_logger().info("member.invited", **EVENT)
    assert len({event.source.id for event in read_events(path)}) == 1
    assert verify_chain(path.read_bytes().splitlines()) == []


def test_configure_with_others_moves_every_logger_to_the_new_log(
    path: Path, tmp_path: Path
) -> None:
    bound = audit_events.configure(path, service="members").bind(**EVENT)
    bound.info("member.invited")
    other = tmp_path / "other.jsonl"
    audit_events.configure(other, service="billing")
    bound.info("member.removed")
    audit_events.get_logger().info("member.invited", **EVENT)
    closed = "audit_log.source_closed"
    assert [event.action for event in read_events(path)] == ["member.invited", closed]
    assert [(event.action, event.source.service) for event in read_events(other)] == [
        ("member.removed", "billing"),
        ("member.invited", "billing"),
    ]


def test_configure_with_others_in_the_same_file_is_a_new_source(path: Path) -> None:
    for service in ("members", "billing"):
        audit_events.configure(path, service=service).info("member.invited", **EVENT)
    assert [event.source.seq for event in read_events(path)] == [0, 1, 0]
    assert verify_chain(path.read_bytes().splitlines()) == []


def test_configure_lets_go_of_the_file_before(path: Path, tmp_path: Path) -> None:
    audit_events.configure(path, service="members").info("member.invited", **EVENT)
    assert path in _open_files()
    audit_events.configure(tmp_path / "other.jsonl", service="members")
    assert path not in _open_files()


def _open_files() -> set[Path]:
    found = set[Path]()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.add(descriptor.readlink())
        except FileNotFoundError:  # the directory's own, or another thread's
            continue
    return found


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"service": ""}, EventError, id="service"),
        pytest.param({"service": "s", "durability": "none"}, ParameterError, id="durability"),
        pytest.param({"service": "s", "path": "/proc/nowhere/a"}, SinkError, id="path"),
        pytest.param({"service": "s", "path": None}, ParameterError, id="no path"),
    ],
)
def test_a_configure_that_fails_leaves_the_log_before(
    path: Path, arguments: dict[str, Any], error: type[AuditEventError]
) -> None:
    log = audit_events.configure(path, service="members")
    given: dict[str, Any] = {"path": path, **arguments}
    with pytest.raises(error, match=r"path|durability|service|nowhere"):
        audit_events.configure(**given)
    log.info("member.invited", **EVENT)
    assert len(read_events(path)) == 1


def test_threads_that_configure_at_once_get_one_log(path: Path) -> None:
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        audit_events.configure(path, service="members").info("member.invited", **EVENT)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({event.source.id for event in read_events(path)}) == 1
    assert [event.source.seq for event in read_events(path)] == list(range(8))


def test_several_logs_in_one_process(path: Path, tmp_path: Path) -> None:
    audit_events.configure(path, service="members")
    other = audit_events.open_log(tmp_path / "billing.jsonl", service="billing")
    other.info("member.removed", **EVENT)
    audit_events.get_logger().info("member.invited", **EVENT)
    assert [event.action for event in read_events(path)] == ["member.invited"]
    assert [event.action for event in read_events(tmp_path / "billing.jsonl")] == ["member.removed"]


def test_what_is_bound_can_be_taken_back(path: Path) -> None:
    log = audit_events.configure(path, service="members")
    bound = log.bind(**EVENT, result="denied")
    assert structlog.get_context(bound) == {**EVENT, "result": "denied"}
    assert structlog.get_context(log) == {}, "binding makes a new logger"
    bound.unbind("result").info("member.invited")
    bound.try_unbind("result", "ip_address").info("member.invited")
    bound.bind(result="failure").info("member.invited")
    bound.info("member.invited", result="success")
    bound.info("member.invited")
    with pytest.raises(KeyError):
        bound.unbind("ip_address")
    with pytest.raises(EventError, match="organization_id"):
        bound.new(actor=ACTOR).info("member.invited")
    results = ["success", "success", "failure", "success", "denied"]
    assert [event.result for event in read_events(path)] == results


def test_each_way_to_log_records_alike_and_returns_the_id(path: Path) -> None:
    log = audit_events.configure(path, service="members").bind(**EVENT)
    ids = [
        getattr(log, level)("member.invited")
        for level in ("debug", "info", "warning", "warn", "error", "critical", "fatal", "msg")
    ]
    ids.append(log.log(logging.INFO, "member.invited"))
    assert [event.id for event in read_events(path)] == ids


def test_an_event_is_no_traceback(path: Path) -> None:
    log = audit_events.configure(path, service="members").bind(**EVENT)
    traceback: dict[str, Any] = {"exc_info": True}
    with pytest.raises(EventError, match="exc_info"):
        log.error("member.invited", **traceback)


def test_async_methods_take_what_is_bound_and_tell_errors(path: Path) -> None:
    audit_events.configure(path, service="members")
    log = audit_events.get_logger()
    ids: list[str] = []

    async def serve(user: str) -> None:
        structlog.contextvars.bind_contextvars(
            organization_id="o", actor={"type": "user", "id": user}, correlation_id=user
        )
        await asyncio.sleep(0)
        ids.append(await log.ainfo("member.invited"))
        await log.alog(logging.WARNING, "member.invited")

    async def serve_all() -> None:
        await asyncio.gather(*(serve(f"u_{number}") for number in range(20)))
        with pytest.raises(EventError, match="actor"):
            await log.ainfo("member.invited")

    asyncio.run(serve_all())
    events = read_events(path)
    assert len(events) == 40
    assert len(ids) == 20
    assert set(ids) < {event.id for event in events}
    assert all(event.actor.id == event.correlation_id for event in events)


def _stdlib() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _native() -> None:
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.testing.CapturingLoggerFactory(),
        cache_logger_on_first_use=True,
    )


_SETUPS = [
    pytest.param(_stdlib, id="standard logging"),
    pytest.param(_native, id="native, only critical, cached"),
    pytest.param(structlog.reset_defaults, id="reset_defaults"),
    pytest.param(lambda: None, id="none"),
]


@pytest.mark.parametrize("set_up", _SETUPS)
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_structlog_s_own_configuration_is_neither_read_nor_changed(
    path: Path, set_up: Callable[[], None], *, late: bool
) -> None:
    early_logger = audit_events.get_logger().bind(**EVENT)
    if not late:
        set_up()
    before = structlog.get_config(), list(logging.getLogger().handlers)
    configured = structlog.is_configured()
    audit_events.configure(path, service="members")
    assert (structlog.get_config(), list(logging.getLogger().handlers)) == before
    assert structlog.is_configured() == configured
    early_logger.debug("member.invited")
    if late:
        set_up()
    early_logger.debug("member.invited")
    audit_events.get_logger().debug("member.invited", **EVENT)
    assert len(read_events(path)) == 3, "its levels and processors are not those of the audit log"


def test_the_application_s_own_loggers_go_where_they_went(path: Path) -> None:
    _native()
    audit_events.configure(path, service="members")
    own = structlog.get_logger()
    own.critical("said", organization_id="its own")
    assert own.bind()._logger.calls[0].kwargs == {}
    assert own.bind()._logger.calls[0].args == ('{"organization_id": "its own", "event": "said"}',)
    assert not path.read_bytes()


_FORKING = """
import os, sys
import audit_events
log = audit_events.get_logger().bind(organization_id="o", actor={"type": "system"})
audit_events.configure(sys.argv[1], service="members")
log.info("member.invited")
child = os.fork()
if not child:
    audit_events.configure(sys.argv[1], service="members")  # the same: the child's own source
    log.info("member.invited")
    os._exit(0)
os.waitpid(child, 0)
log.info("member.invited")
"""


def test_a_child_that_configures_again_is_one_source(path: Path) -> None:
    """As a worker of a server does that loads the application before it forks, or after."""
    subprocess.run([sys.executable, "-c", _FORKING, str(path)], check=True, timeout=60)
    # The last one is the last line of the process that ended as it should.
    assert [event.source.seq for event in read_events(path)] == [0, 0, 1, 2]
    assert verify_chain(path.read_bytes().splitlines()) == []
