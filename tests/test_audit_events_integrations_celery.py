"""The actor travels with the task: by the signals, in eager mode, and in an in-process worker."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
import structlog
from celery import Celery, chain, chord, group, signals  # type: ignore[import-untyped]

import audit_events
from audit_events.binding import BoundRequest, bind_actor, current_request
from audit_events.errors import EventError
from audit_events.integrations import celery as audit_celery
from audit_events.request import RequestFacts
from tests.written import read_events

ADMIN = {"type": "user", "id": "u_1", "email": "admin@company.com"}
REQUEST: dict[str, Any] = {
    "organization_id": "org_acme",
    "actor": ADMIN,
    "ip_address": "203.0.113.7",
    "user_agent": "Mozilla",
    "correlation_id": "req-1",
}


@pytest.fixture(autouse=True)
def _connected() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    audit_celery.connect()
    audit_celery.connect()
    with structlog.contextvars.bound_contextvars():
        structlog.contextvars.clear_contextvars()
        yield
    structlog.contextvars.clear_contextvars()
    current_request.set(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def application(path: Path) -> Any:
    """A Celery application whose tasks run where they are called."""
    log = audit_events.open_log(path, service="members")
    celery: Any = Celery(
        "eager", broker="memory://", backend="cache+memory://", set_as_current=False
    )
    celery.conf.task_always_eager = True

    @celery.task(name="invite", shared=False)  # type: ignore[untyped-decorator]
    def invite(*names: object) -> object:
        log.info("member.invited", context={"names": str(names)})
        return names[-1]

    @celery.task(name="again", shared=False, bind=True, default_retry_delay=0)  # type: ignore[untyped-decorator]
    def again(self: Any) -> None:
        log.info("member.invited")
        if not self.request.retries:
            raise self.retry()

    @celery.task(name="fail", shared=False)  # type: ignore[untyped-decorator]
    def fail() -> None:
        structlog.contextvars.bind_contextvars(actor={"type": "service", "id": "careless"})
        bind_actor({"type": "service", "id": "careless"})
        raise RuntimeError

    return celery


def _bound() -> dict[str, Any]:
    return structlog.contextvars.get_contextvars()


def _publish(**headers: object) -> dict[str, object]:
    carried = dict(headers)
    signals.before_task_publish.send(sender="invite", headers=carried)
    return carried


@pytest.mark.parametrize(
    ("bound", "carried"),
    [
        pytest.param(REQUEST, REQUEST, id="a request"),
        pytest.param(
            {"actor": audit_events.Actor(type="api_key", id="k", on_behalf_of="u_1")},
            {"actor": {"type": "api_key", "id": "k", "onBehalfOf": "u_1"}},
            id="an actor as a struct",
        ),
        pytest.param(
            {
                "organization_id": UUID(int=1),
                "actor": MappingProxyType({"type": "user", "id": UUID(int=2)}),
                "ip_address": IPv6Address("2001:db8::1"),
                "user_agent": "x" * 1_000_000,
            },
            {
                "organization_id": "00000000-0000-0000-0000-000000000001",
                "actor": {"type": "user", "id": "00000000-0000-0000-0000-000000000002"},
                "ip_address": "2001:db8::1",
                "user_agent": "x" * 2048,
            },
            id="all that an event takes",
        ),
        pytest.param({"actor": {"type": object()}}, {}, id="what no event takes"),
        pytest.param({"view": "own", "organization_id": "o"}, {"organization_id": "o"}, id="own"),
        pytest.param({}, {}, id="nothing bound"),
        pytest.param({"actor": {"type": "user", "name": "Zoë\n\U0001f600"}}, None, id="unicode"),
    ],
)
def test_what_is_bound_travels_in_one_header(
    bound: dict[str, Any], carried: dict[str, Any] | None
) -> None:
    structlog.contextvars.bind_contextvars(**bound)
    headers = _publish(id="t1")
    assert audit_celery.read_header(headers) == (bound if carried is None else carried)
    assert set(headers) <= {"id", audit_celery.HEADER}


def test_a_retry_keeps_the_header_of_the_task_that_it_repeats() -> None:
    structlog.contextvars.bind_contextvars(**REQUEST)
    assert _publish(**{audit_celery.HEADER: "{}"}) == {audit_celery.HEADER: "{}"}


@pytest.mark.parametrize(
    ("headers", "carried"),
    [
        pytest.param({}, {}, id="published where nothing was bound"),
        pytest.param({"celery_beat_task": True}, {"actor": {"type": "system"}}, id="beat alone"),
        pytest.param(
            {"celery_beat_task": True, audit_celery.HEADER: '{"actor": {"type": "service"}}'},
            {"actor": {"type": "service"}},
            id="beat with a header",
        ),
        pytest.param({audit_celery.HEADER: '{"action": "x", "seq": 1}'}, {}, id="other names"),
    ],
)
def test_only_what_a_request_has_is_read(
    headers: dict[str, object], carried: dict[str, object]
) -> None:
    assert audit_celery.read_header(headers) == carried


@pytest.mark.parametrize("value", ["", "[1]", "no json", {"actor": 1}, 7])
def test_a_header_that_is_none_of_ours_gives_no_actor(value: object, application: Any) -> None:
    """Celery logs what a receiver raises and runs the task, so nothing may be bound by then."""
    structlog.contextvars.bind_contextvars(**REQUEST)
    task = application.tasks["invite"]
    task.push_request(id="t1", headers={audit_celery.HEADER: value})
    try:
        signals.task_prerun.send(sender=task, task_id="t1", task=task)
        assert not _bound(), "what the worker had bound is not the task's"
        signals.task_postrun.send(sender=task, task_id="t1", task=task)
        assert _bound() == REQUEST
    finally:
        task.pop_request()


def test_the_id_of_the_workflow_joins_events_where_no_correlation_is_bound(
    application: Any,
) -> None:
    task = application.tasks["invite"]
    for headers, expected in (({}, "t0"), ({audit_celery.HEADER: '{"correlation_id":"r"}'}, "r")):
        task.push_request(id="t1", root_id="t0", headers=headers)
        signals.task_prerun.send(sender=task, task_id="t1", task=task)
        assert _bound()["correlation_id"] == expected
        signals.task_postrun.send(sender=task, task_id="t1", task=task)
        task.pop_request()


def test_an_eager_task_is_done_by_its_caller(application: Any, path: Path) -> None:
    structlog.contextvars.bind_contextvars(**REQUEST)
    application.tasks["invite"].delay("one")
    application.tasks["again"].delay()
    assert application.tasks["fail"].delay().failed()
    assert _bound() == REQUEST, "and the caller's data is as it was"
    assert [(event.actor.id, event.correlation_id) for event in read_events(path)] == [
        ("u_1", "req-1")
    ] * 3


def _serve(actor: Any = ADMIN) -> BoundRequest:
    """Begin a request, as an integration of a web framework does."""
    request = BoundRequest(lambda: RequestFacts("203.0.113.7", "10.0.0.1", "Mozilla", "req-1"))
    request.give(organization_id="org_acme", actor=actor)
    current_request.set(request)
    return request


def test_what_a_web_request_knows_travels_too() -> None:
    _serve(lambda: ADMIN)
    assert audit_celery.read_header(_publish()) == REQUEST


def test_an_eager_task_in_a_web_request_is_done_by_its_user(application: Any, path: Path) -> None:
    """What the task binds meanwhile is not the request's."""
    request = _serve()
    application.tasks["invite"].delay("one")
    assert application.tasks["fail"].delay().failed()
    application.tasks["invite"].delay("two")
    assert current_request.get() is request
    assert not _bound()
    assert [(event.actor.id, event.correlation_id) for event in read_events(path)] == [
        ("u_1", "req-1"),
        ("u_1", "req-1"),
    ]


def test_a_user_that_cannot_be_told_is_nobody_s_task(application: Any, path: Path) -> None:
    def fail() -> None:
        raise LookupError

    _serve(fail)
    assert not _publish(), "and celery's log says why"
    result = application.tasks["invite"].delay("one")
    assert isinstance(result.result, EventError)
    assert not path.read_bytes()


def test_eager_workflows_are_done_by_their_caller(application: Any, path: Path) -> None:
    structlog.contextvars.bind_contextvars(**REQUEST)
    invite = application.tasks["invite"]
    chain(invite.s(1), invite.s(2)).apply_async()
    group(invite.s(3), invite.s(4)).apply_async()
    chord([invite.s(5)], invite.s(6)).apply_async()
    assert {event.actor.id for event in read_events(path)} == {"u_1"}
    assert len(read_events(path)) == 6
    assert _bound() == REQUEST


def test_without_an_actor_a_task_s_event_is_refused(application: Any) -> None:
    """Nothing is guessed: a task that nobody's request asked for names its actor itself."""
    structlog.contextvars.bind_contextvars(organization_id="org_acme")
    with pytest.raises(EventError, match="actor: is missing"):
        application.tasks["invite"].apply(throw=True)


def test_what_beat_publishes_is_done_by_the_system() -> None:
    structlog.contextvars.bind_contextvars(**REQUEST)
    signals.beat_init.send(sender=None)
    assert audit_celery.read_header(_publish()) == {"actor": {"type": "system"}}
