"""Real workers and a real beat, on a broker that is a directory: no task takes another's actor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_events.chain import verify_chain
from audit_events.event import Event, decode_event

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parent.parent
_REQUESTS = 6
_CLIENT = """
import sys
import structlog
from celery import chain, chord, group
from celery_members import describe, expire, fail, gather, invite, invite_twice, leak

for number in range(int(sys.argv[1])):
    user = f"u_{number}"
    with structlog.contextvars.bound_contextvars(
        organization_id=f"org_{number}",
        actor={"type": "user", "id": user, "email": f"{user}@company.com"},
        ip_address=f"203.0.113.{number}",
        user_agent="Mozilla",
        correlation_id=f"req-{number}",
    ):
        invite.delay(f"{user} one")
        invite.apply_async((f"{user} expired",), expires=-1)
        invite_twice.delay(f"{user} twice")
        fail.apply_async((f"{user} fails",), link_error=invite.si(f"{user} told"))
        leak.delay(f"{user} leaks")
        invite.apply_async((f"{user} linked",), link=invite.si(f"{user} after"))
        chain(invite.si(f"{user} first"), invite.si(f"{user} second")).apply_async()
        group(invite.si(f"{user} left"), invite.si(f"{user} right")).apply_async()
        if not number:
            chord([invite.si(f"{user} part")], gather.s(f"{user} whole")).apply_async()
            expire.delay(f"{user} expires")
for number in range(4):
    describe.delay(f"nobody {number}")
"""
_NAMES = (
    *("one", "twice 0", "twice 1", "twice nested", "fails", "told", "leaks", "linked", "after"),
    *("first", "second", "left", "right"),
)


def _environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join((str(_ROOT), str(_ROOT / "tests")))
    return {**os.environ, "CELERY_DIRECTORY": str(home), "PYTHONPATH": path}


@contextmanager
def _celery(home: Path, *arguments: str) -> Generator[None]:
    """A process of the `celery` command, stopped warmly at the end."""
    command = [sys.executable, "-m", "celery", "-A", "celery_members", *arguments]
    with (
        (home / f"{arguments[0]}.log").open("wb") as output,
        subprocess.Popen(
            command, env=_environment(home), cwd=home, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()


def _events(home: Path) -> list[Event]:
    lines = (home / "audit.jsonl").read_bytes().split(b"\n")[:-1]
    return [decode_event(line) for line in lines if line]


def _name(event: Event) -> str:
    return event.resource.id if event.resource else ""


def _wait_for(home: Path, enough: Callable[[list[Event]], bool]) -> list[Event]:
    deadline = time.monotonic() + 60
    while not enough(events := [event for event in _events(home) if event.resource]):
        assert time.monotonic() < deadline, "\n".join(
            path.read_text() for path in home.glob("*.log")
        ) + repr([_name(event) for event in events])
        time.sleep(0.1)
    return events


def _publish(home: Path) -> None:
    command = [sys.executable, "-c", _CLIENT, str(_REQUESTS)]
    subprocess.run(command, env=_environment(home), cwd=home, check=True, timeout=60)


def _of_persons(events: list[Event]) -> list[Event]:
    return [event for event in events if _name(event).startswith("u_")]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_each_task_s_events_have_the_actor_who_asked_for_it(tmp_path: Path, pool: str) -> None:
    _publish(tmp_path)
    expected = _REQUESTS * len(_NAMES) + 3 + 4
    options = ("--pool", pool, "--concurrency", "3", "--without-gossip", "--without-mingle")
    with _celery(tmp_path, "worker", *options):
        events = _wait_for(tmp_path, lambda events: len(events) >= expected)
    asked = _of_persons(events)
    assert {_name(event) for event in asked} == {
        f"u_{number} {name}" for number in range(_REQUESTS) for name in _NAMES
    } | {"u_0 part", "u_0 whole of 1", "u_0 expires"}
    for event in asked:
        number = _name(event).split()[0].removeprefix("u_")
        organization = "org_acme" if "expires" in _name(event) else f"org_{number}"
        assert (event.actor.id, event.organization_id) == (f"u_{number}", organization)
        assert (event.ip_address, event.correlation_id) == (f"203.0.113.{number}", f"req-{number}")
        assert event.user_agent == "Mozilla"
    for event in events:
        if _name(event).startswith("nobody"):
            assert event.context == {"bound": ["correlation_id"]}, "nothing of another's task"
            assert event.correlation_id, "the task's own id"
    assert verify_chain((tmp_path / "audit.jsonl").read_bytes().splitlines()) == []
    sources = {(event.context or {}).get("pid"): event.source.id for event in asked}
    assert len(sources) == len(set(sources.values())), "each process is a source of its own"
    if pool == "prefork":
        assert len(sources) > 1
    closed = {e.source.id for e in _events(tmp_path) if e.action == "audit_log.source_closed"}
    assert set(sources.values()) <= closed, "each says its last line when the worker is stopped"


@pytest.mark.parametrize("embedded", [False, True], ids=["beat", "worker -B"])
def test_a_beat_task_is_done_by_the_system(tmp_path: Path, *, embedded: bool) -> None:
    """And the same task by a person, where a person asked for it."""
    worker = ("worker", "--pool", "threads", "--without-gossip", "--without-mingle")

    def enough(events: list[Event]) -> bool:
        names = [_name(event) for event in events]
        return names.count("nightly") >= 2 and "u_0 expires" in names

    _publish(tmp_path)
    with _celery(tmp_path, *worker, *(["-B"] if embedded else [])):
        if embedded:
            events = _wait_for(tmp_path, enough)
        else:
            with _celery(tmp_path, "beat"):
                events = _wait_for(tmp_path, enough)
    nightly = [event for event in events if _name(event) == "nightly"]
    assert {(event.actor.type, event.actor.id) for event in nightly} == {("system", None)}
    assert all(event.correlation_id for event in nightly)
    assert len({event.correlation_id for event in nightly}) == len(nightly)
    assert {event.actor.type for event in _of_persons(events)} == {"user"}
