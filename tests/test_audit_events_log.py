"""From the log call to the line: stamped, chained, in the kernel, or an error at the call."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import structlog

import audit_events
from audit_events import chained_logger
from audit_events.chain import verify_chain
from audit_events.errors import (
    CanonicalError,
    EventError,
    EventTooLargeError,
    ParameterError,
    SinkError,
)
from audit_events.event import MAX_LINE_BYTES, decode_event
from audit_events.event_file import LOOK_INTERVAL_SECONDS, EventFile
from audit_events.log import open_log
from tests.written import open_below, read_events

ACTOR = {"type": "user", "id": "u_1", "email": "admin@company.com"}
_MARCH_15_NS = 1_773_567_000_123_456_789


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


def test_the_example_of_the_product_page(path: Path) -> None:
    log = open_log(path, service="members", host="web-1", clock_unix_ns=lambda: _MARCH_15_NS)
    event_id = log.info(
        "member.role_changed",
        organization_id="org_acme",
        actor=ACTOR,
        target_user={"email": "team@company.com"},
        context={"previous": {"role": "member"}, "new": {"role": "admin"}},
    )
    (event,) = read_events(path)
    assert path.stat().st_mode & 0o777 == 0o640, "others may not read it"
    assert event.id == event_id
    assert event.timestamp == "2026-03-15T09:30:00.123456Z"
    assert event.action == "member.role_changed"
    assert event.actor.email == "admin@company.com"
    assert event.target_user is not None
    assert event.target_user.email == "team@company.com"
    assert event.context == {"previous": {"role": "member"}, "new": {"role": "admin"}}
    assert (event.source.seq, event.source.service, event.source.host) == (0, "members", "web-1")
    assert event.result == "success"


def test_the_line_is_in_canonical_form(path: Path) -> None:
    log = open_log(path, service="members")
    log.info(
        "app.created",
        organization_id="org_acme",
        actor=ACTOR,
        target_user={"id": "u_2"},
        resource={"type": "app", "id": "app_1", "name": 'Ünï"çode\n\U0001f600'},
        ip_address="2001:db8::1",
        user_agent="Mozilla",
        context={"ratio": 1.50, "big": 1e21, "list": [True, None]},
        correlation_id="req-1",
    )
    line = path.read_bytes().rstrip(b"\n")
    import json  # noqa: PLC0415  # an independent reader

    assert rfc8785.dumps(json.loads(line)) == line


def test_seq_runs_from_zero_and_the_chain_holds(path: Path) -> None:
    log = open_log(path, service="members")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("member.invited", organization_id="o", actor=ACTOR)
    assert [event.source.seq for event in read_events(path)] == [0, 1, 2, 3, 4]
    assert verify_chain(path.read_bytes().splitlines()) == []


def test_what_a_request_has_in_common_is_bound_once(path: Path) -> None:
    log = open_log(path, service="members")
    structlog.contextvars.bind_contextvars(
        organization_id="org_acme",
        actor=ACTOR,
        ip_address="203.0.113.7",
        user_agent="Mozilla",
        correlation_id="req-1",
        view="an application's own binding",
    )
    log.info("member.invited")
    log.info("member.invited", actor={"type": "system"}, correlation_id=None)
    first, second = read_events(path)
    assert (first.actor.id, first.ip_address, first.correlation_id) == (
        "u_1",
        "203.0.113.7",
        "req-1",
    )
    assert second.actor.type == "system", "what the call says wins"
    assert second.correlation_id is None, "None takes a binding back"


def test_fields_bound_to_the_logger_count_too(path: Path) -> None:
    log = open_log(path, service="members").bind(organization_id="org_acme", actor=ACTOR)
    log.info("member.invited")
    assert read_events(path)[0].organization_id == "org_acme"


@pytest.mark.parametrize("is_written", [True, False])
def test_an_exception_thrown_in_by_a_signal_handler_breaks_no_chain(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    """Nobody knows whether the line is in the file: what comes then is of another source."""
    log = open_log(path, service="members")
    log.info("member.invited", organization_id="o", actor=ACTOR)
    append = EventFile.append

    def interrupt(self: EventFile, line: bytes) -> None:
        if is_written:
            append(self, line)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EventFile, "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            log.info("member.invited", organization_id="o", actor=ACTOR)
    log.info("member.invited", organization_id="o", actor=ACTOR)
    assert verify_chain(path.read_bytes().splitlines()) == []
    assert [event.source.seq for event in read_events(path)] == (
        [0, 1, 0] if is_written else [0, 0]
    )


def test_a_second_exception_while_the_first_is_on_its_way_out_breaks_no_chain_either(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(path, service="members")
    append = EventFile.append

    def interrupt(self: EventFile, line: bytes) -> None:
        append(self, line)
        raise KeyboardInterrupt

    def interrupt_again(_unix_ns: int) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EventFile, "append", interrupt)
        patched.setattr(chained_logger, "new_uuid7", interrupt_again)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                log.info("member.invited", organization_id="o", actor=ACTOR)
    log.info("member.invited", organization_id="o", actor=ACTOR)
    log.info("member.invited", organization_id="o", actor=ACTOR)
    assert [event.source.seq for event in read_events(path)] == [0, 0, 1]
    assert verify_chain(path.read_bytes().splitlines()) == []


def test_the_action_may_be_named(path: Path) -> None:
    log = open_log(path, service="members")
    log.info(event="member.invited", organization_id="o", actor=ACTOR)
    with pytest.raises(EventError, match="action"):
        log.info(organization_id="o", actor=ACTOR)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the mistake
    assert read_events(path)[0].action == "member.invited"


def test_an_async_application_logs_as_well(path: Path) -> None:
    log = open_log(path, service="members")
    asyncio.run(log.ainfo("member.invited", organization_id="o", actor=ACTOR))
    assert len(read_events(path)) == 1


_LONG = "\x01" * 1024
_HUGE = {"type": "user", "id": _LONG, "email": _LONG, "name": _LONG, "onBehalfOf": _LONG}
_HUGE_TARGET = {"id": _LONG, "email": _LONG, "name": _LONG}
_HUGE_RESOURCE = {"type": _LONG, "id": _LONG, "name": _LONG}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"actor": None}, EventError, id="missing actor"),
        pytest.param({"context": {"x": object()}}, CanonicalError, id="value without a form"),
        pytest.param(
            {
                "actor": _HUGE,
                "target_user": _HUGE_TARGET,
                "resource": _HUGE_RESOURCE,
                "user_agent": "\x01" * 2048,
            },
            EventTooLargeError,
            id="too large beside its context",
        ),
        pytest.param({"colour": "red"}, EventError, id="unknown field"),
    ],
)
def test_a_refused_event_leaves_no_line_and_no_gap(
    path: Path, fields: dict[str, Any], error: type[Exception]
) -> None:
    log = open_log(path, service="members")
    log.info("member.invited", organization_id="o", actor=ACTOR)
    with pytest.raises(error):
        log.info("member.invited", **{"organization_id": "o", "actor": ACTOR, **fields})
    log.info("member.invited", organization_id="o", actor=ACTOR)
    assert [event.source.seq for event in read_events(path)] == [0, 1]
    assert verify_chain(path.read_bytes().splitlines()) == []


_RESERVE = 32
"""What a line might need for a larger `seq`."""


def test_the_largest_event_is_written(path: Path) -> None:
    log = open_log(path, service="members")
    texts = ["y" * 8_000] * 9
    log.info("member.invited", organization_id="o", actor=ACTOR, context={"x": texts[:-1]})
    room = MAX_LINE_BYTES - len(path.read_bytes()) - len(',""') - _RESERVE
    log.info(
        "member.invited", organization_id="o", actor=ACTOR, context={"x": [*texts[:-1], "y" * room]}
    )
    line = path.read_bytes().splitlines(keepends=True)[1]
    assert MAX_LINE_BYTES - _RESERVE <= len(line) <= MAX_LINE_BYTES
    assert b"truncated" not in line


def test_an_event_that_could_not_be_written_takes_no_seq(path: Path) -> None:
    log = open_log(path, service="members")
    log.info("member.invited", organization_id="o", actor=ACTOR)
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    time.sleep(2 * LOOK_INTERVAL_SECONDS)
    with pytest.raises(SinkError):
        log.info("member.invited", organization_id="o", actor=ACTOR)
    hidden.rename(path.parent)
    log.info("member.invited", organization_id="o", actor=ACTOR)
    assert verify_chain(path.read_bytes().splitlines()) == []
    assert len(read_events(path)) == 2


@pytest.mark.parametrize("service", ["", "x" * 2000])
def test_a_service_without_a_proper_name_is_refused(path: Path, service: str) -> None:
    with pytest.raises(EventError, match="source"):
        open_log(path, service=service)


async def _take_later(_error: SinkError, _line: bytes) -> None: ...


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        pytest.param({"durability": "memory"}, "durability", id="unknown durability"),
        pytest.param({"on_error": "ignore"}, "on_error", id="silence is no choice"),
        pytest.param({"on_error": _take_later}, "on_error", id="a coroutine that nobody awaits"),
        pytest.param({"catalogue_path": "/nowhere.toml"}, "catalogue_path", id="no catalogue"),
        pytest.param({"strict": "false"}, "strict", id="text for a truth"),
        pytest.param({"heartbeat_seconds": 0.5}, "heartbeat_seconds", id="beats without a pause"),
        pytest.param({"heartbeat_seconds": float("nan")}, "heartbeat_seconds", id="no number"),
        pytest.param({"heartbeat_seconds": True}, "heartbeat_seconds", id="truth for a number"),
    ],
)
def test_each_parameter_is_checked_at_start_and_named(
    path: Path, given: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        audit_events.configure(path, service="members", **given)
    assert caught.value.parameter == parameter
    assert str(caught.value).startswith(f"{parameter}: ")
    assert not path.exists()


def test_a_path_that_cannot_be_opened_is_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot open .* name a file"):
        open_log(tmp_path, service="members")


def test_a_log_that_is_dropped_keeps_no_descriptor(path: Path) -> None:
    """One for each organisation, opened anew each time, used up all that a process may have."""
    for _ in range(20):
        open_log(path, service="s").info("app.created", organization_id="o", actor=ACTOR)
    gc.collect()
    assert open_below(path.parent) == []


def test_threads_share_one_unbroken_chain(path: Path) -> None:
    log = open_log(path, service="members")

    def emit() -> None:
        for _ in range(200):
            log.info("member.invited", organization_id="o", actor=ACTOR)

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_bytes().splitlines()
    assert len(lines) == 800
    assert verify_chain(lines) == []


_FORKING = """
import os, sys
from audit_events import open_log
log = open_log(sys.argv[1], service="members")
emit = lambda: log.info("member.invited", organization_id="o", actor={"type": "system"})
emit()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        for _ in range(50):
            emit()
        os._exit(0)
    children.append(child)
emit()
for child in children:
    os.waitpid(child, 0)
emit()
"""


def test_a_forked_child_is_a_source_of_its_own(path: Path) -> None:
    subprocess.run([sys.executable, "-c", _FORKING, str(path)], check=True, timeout=60)
    lines = path.read_bytes().splitlines()
    assert len(lines) == 3 + 3 * 50
    assert verify_chain(lines) == []
    assert len({event.source.id for event in read_events(path)}) == 4


_ENDLESS = """
import sys
from audit_events import open_log
log = open_log(sys.argv[1], service="members")
number = 0
while True:
    log.info("member.invited", organization_id="o", actor={"type": "system"},
             context={"number": number, "padding": "x" * 20000})
    print(number, flush=True)
    number += 1
"""


def test_an_event_that_returned_to_its_caller_survives_a_kill(path: Path) -> None:
    """A kill can tear at most the line whose call did not return."""
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        returned = 0
        while returned < 200:
            returned = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")[:-1]
    returned = int(rest[-1]) if rest else returned
    open_log(path, service="next").info("member.invited", organization_id="o", actor=ACTOR)
    whole = [line for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    numbers = [
        event.context["number"]
        for event in map(decode_event, whole)
        if event.context and "number" in event.context
    ]
    assert numbers[: returned + 1] == list(range(returned + 1))
    assert verify_chain(whole) == []
