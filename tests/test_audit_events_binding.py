"""What a request has in common: bound once, read at the first event, and gone when it is over."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars
from structlog.typing import FilteringBoundLogger

import audit_events
from audit_events.binding import BoundRequest, bound_fields, current_request
from audit_events.errors import EventError, ParameterError
from audit_events.event import Event, decode_event
from audit_events.request import RequestFacts

FACTS = RequestFacts("203.0.113.7", None, "Mozilla/5.0", "req-1")
ANA = {"type": "user", "id": "u_ana"}
BEN = {"type": "user", "id": "u_ben"}
UUID_OF_ACME = UUID("7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def log(path: Path) -> FilteringBoundLogger:
    return audit_events.open_log(path, service="members")


@pytest.fixture
def request_() -> Iterator[BoundRequest]:
    """A request that is bound here."""
    clear_contextvars()
    bound = BoundRequest(lambda: FACTS)
    current_request.set(bound)
    yield bound
    current_request.set(None)
    clear_contextvars()


def last_event(path: Path) -> Event:
    return decode_event(path.read_bytes().splitlines()[-1])


def test_an_event_has_what_its_request_says(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    request_.give(actor=lambda: ANA, organization_id=lambda: "org_acme")
    log.info("member.invited", context={"new": {"role": "admin"}})
    event = last_event(path)
    assert (event.actor.id, event.organization_id) == ("u_ana", "org_acme")
    assert (event.ip_address, event.user_agent) == (FACTS.ip_address, FACTS.user_agent)
    assert event.correlation_id == "req-1"
    assert event.context == {"new": {"role": "admin"}}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        pytest.param(None, {"peerAddress": "10.0.0.2"}, id="no context"),
        pytest.param({"a": 1}, {"a": 1, "peerAddress": "10.0.0.2"}, id="beside what is said"),
        pytest.param({"peerAddress": "::1"}, {"peerAddress": "::1"}, id="the call's own wins"),
    ],
)
def test_the_proxy_that_connected_is_kept(
    context: dict[str, object] | None, expected: object, log: FilteringBoundLogger, path: Path
) -> None:
    def record() -> None:
        current_request.set(BoundRequest(lambda: FACTS._replace(peer_address="10.0.0.2")))
        audit_events.bind_actor(ANA, organization_id="org_acme")
        log.info("member.invited", **({} if context is None else {"context": context}))
        log.info("member.invited", ip_address="192.0.2.1")

    copy_context().run(record)
    first, second = map(decode_event, path.read_bytes().splitlines())
    assert first.context == expected
    assert (second.ip_address, second.context) == ("192.0.2.1", None)


def test_what_the_call_says_wins_then_contextvars_then_the_request(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    request_.give(actor=lambda: ANA, organization_id="org_acme")
    with bound_contextvars(actor=BEN, user_agent="curl", unrelated=1):
        log.info("member.invited", correlation_id="job-1", ip_address=None)
    event = last_event(path)
    assert (event.actor.id, event.user_agent) == ("u_ben", "curl")
    assert (event.correlation_id, event.ip_address) == ("job-1", None)


def test_an_error_of_what_the_call_did_not_say_tells_where_it_was_said(
    log: FilteringBoundLogger,
) -> None:
    """An application binds `resource` for its own logs, and no call of its mentions one."""
    with bound_contextvars(resource="/members", organization_id="org_acme", actor=ANA):
        with pytest.raises(EventError, match="resource: is of type str") as raised:
            log.info("member.removed")
        assert "is bound in structlog's contextvars" in raised.value.__notes__[0]
        with pytest.raises(EventError, match="resource: is of type str") as raised:
            log.info("member.removed", resource="/apps")
        assert not hasattr(raised.value, "__notes__")


def test_nobody_is_asked_before_the_first_event_and_nobody_twice(
    request_: BoundRequest, log: FilteringBoundLogger
) -> None:
    asked: list[str] = []

    def tell() -> object:
        asked.append("actor")
        return ANA

    request_.give(actor=tell, organization_id="org_acme")
    log.info("auth.logged_in", actor=BEN)
    assert asked == []
    log.info("member.invited")
    log.info("member.invited")
    assert asked == ["actor"]


def test_nobody_yet_is_asked_again(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    known: list[dict[str, str]] = []
    request_.give(actor=lambda: known[0] if known else None, organization_id="org_acme")
    with pytest.raises(EventError, match="actor: is missing"):
        log.info("member.invited")
    known.append(ANA)
    log.info("member.invited")
    assert last_event(path).actor.id == "u_ana"


def test_an_actor_that_cannot_be_told_is_an_error_that_names_it(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    def fail() -> object:
        raise LookupError("secret of the session")

    request_.give(actor=fail, organization_id="org_acme")
    with pytest.raises(EventError, match="raised LookupError") as caught:
        log.info("member.invited")
    assert caught.value.field == "actor"
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, LookupError)
    assert path.read_bytes() == b""


def test_an_actor_whose_callable_records_is_an_error_too(
    request_: BoundRequest, log: FilteringBoundLogger
) -> None:
    request_.give(actor=lambda: log.info("member.viewed"), organization_id="org_acme")
    with pytest.raises(EventError):
        log.info("member.invited")


def test_who_is_bound_last_acts(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    request_.give(actor=lambda: ANA)
    bind_contextvars(actor=ANA)
    audit_events.bind_actor(BEN, organization_id=lambda: UUID_OF_ACME)
    log.info("member.invited")
    assert last_event(path).actor.id == "u_ben"
    audit_events.bind_organization("org_other")
    audit_events.bind_actor(lambda: audit_events.Actor(type="service", id="s_1"))
    log.info("member.invited")
    assert last_event(path).actor.type == "service"
    assert last_event(path).organization_id == "org_other"


def test_outside_a_request_the_context_is_bound(log: FilteringBoundLogger, path: Path) -> None:
    def job() -> None:
        audit_events.bind_actor(lambda: {"type": "system"}, organization_id="org_acme")
        log.info("member.invite_expired")

    copy_context().run(job)
    assert last_event(path).actor.type == "system"
    with pytest.raises(EventError, match="actor: is missing"):
        log.info("member.invite_expired", organization_id="org_acme")


@pytest.mark.usefixtures("request_")
@pytest.mark.parametrize("run", [asyncio.to_thread, asyncio.create_task])
def test_who_is_bound_in_a_copy_of_the_context_acts_in_all_of_the_request(
    run: Callable[..., object], log: FilteringBoundLogger, path: Path
) -> None:
    """A dependency of FastAPI that is no coroutine runs in a thread, with a copy."""

    async def sign_in() -> None:
        audit_events.bind_actor(ANA, organization_id="org_acme")

    async def handle() -> None:
        if run is asyncio.create_task:
            await asyncio.create_task(sign_in())
        else:
            await asyncio.to_thread(audit_events.bind_actor, ANA, organization_id="org_acme")
        log.info("member.invited")

    asyncio.run(handle())
    assert last_event(path).actor.id == "u_ana"


def test_a_thread_of_its_own_has_no_actor(
    request_: BoundRequest, log: FilteringBoundLogger
) -> None:
    """Never a wrong actor: what nobody bound is refused."""
    request_.give(actor=ANA, organization_id="org_acme")
    errors: list[EventError] = []

    def record() -> None:
        try:
            log.info("member.invited")
        except EventError as error:
            errors.append(error)

    thread = threading.Thread(target=record)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_threads_of_one_request_that_record_at_once_have_one_correlation_id(
    log: FilteringBoundLogger, path: Path
) -> None:
    at_once = threading.Barrier(4)

    def read_facts() -> RequestFacts:
        at_once.wait(timeout=30)
        return FACTS._replace(correlation_id=f"req-{threading.get_ident()}")

    def record() -> None:
        log.info("member.invited", actor=ANA, organization_id="org_acme")

    current_request.set(BoundRequest(read_facts))
    threads = [threading.Thread(target=copy_context().run, args=[record]) for _ in range(4)]
    current_request.set(None)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [decode_event(line) for line in path.read_bytes().splitlines()]
    assert len(written) == 4
    assert len({event.correlation_id for event in written}) == 1


def test_who_is_bound_while_another_is_asked_for_acts_from_then_on(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    def tell() -> object:
        audit_events.bind_actor(BEN)
        return ANA

    request_.give(actor=tell, organization_id="org_acme")
    for _ in range(2):
        log.info("member.invited")
    actors = [decode_event(line).actor.id for line in path.read_bytes().splitlines()]
    assert actors == ["u_ana", "u_ben"]


def test_a_worker_that_a_request_started_can_forget_it(
    request_: BoundRequest, log: FilteringBoundLogger, path: Path
) -> None:
    request_.give(actor=ANA, organization_id="org_acme")
    bind_contextvars(unrelated=1)

    def serve_others() -> None:
        audit_events.unbind_request()
        assert structlog.contextvars.get_contextvars() == {"unrelated": 1}
        with pytest.raises(EventError):
            log.info("member.invited")

    copy_context().run(serve_others)
    log.info("member.invited")
    assert last_event(path).actor.id == "u_ana"


def test_what_an_event_would_have_can_be_told(request_: BoundRequest) -> None:
    request_.give(actor=lambda: ANA, organization_id=lambda: None)
    with bound_contextvars(correlation_id="job-1", unrelated=1):
        assert bound_fields() == {
            "actor": ANA,
            "ip_address": FACTS.ip_address,
            "user_agent": FACTS.user_agent,
            "correlation_id": "job-1",
        }


@pytest.mark.usefixtures("request_")
def test_what_no_event_can_wait_for_or_carry_is_refused_where_it_is_bound() -> None:
    async def current_actor() -> dict[str, str]:
        return ANA

    with pytest.raises(ParameterError, match="actor: is a coroutine function"):
        audit_events.bind_actor(current_actor)  # type: ignore[arg-type]  # as somebody will
    with pytest.raises(ParameterError, match="actor: is None"):
        audit_events.bind_actor(None)  # type: ignore[arg-type]  # as somebody will
