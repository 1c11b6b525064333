"""The public API as its users write it: mypy and pyright check this file, nothing runs it."""

import logging
from pathlib import Path
from typing import assert_type

from flask import Flask, g
from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

import audit_events
from audit_events import Action, Actor, Event, Resource, TargetUser
from audit_events.errors import AuditEventError, EventError, SinkError
from audit_events.integrations import celery as audit_celery
from audit_events.integrations.asgi import AuditMiddleware
from audit_events.integrations.flask import init_app
from audit_events.integrations.standard_logging import attach
from audit_events.request import TrustedProxies
from audit_events.testing import RecordedEvent, RecordedEvents, record_events

log = audit_events.get_logger()


def start(directory: Path) -> FilteringBoundLogger:
    audit_events.configure("/var/log/members/audit.log", service="members")
    audit_events.configure(
        directory / "audit.log",
        service="members",
        host="web-1",
        durability="disk",
        on_error="stderr",
        catalogue_path=directory / "catalogue.toml",
        strict=True,
        heartbeat_seconds=None,
    )
    audit_events.configure(directory, service="members", on_error=lambda _line, _error: None)
    return audit_events.open_log(directory / "billing.log", service="billing")


def start_worker() -> logging.Logger:
    audit_celery.connect()
    return attach("audit", ignore=["request_id"])


def adopt(app: Flask, asgi_app: Starlette) -> None:
    init_app(app, actor=lambda: {"type": "user", "id": g.user.id}, organization_id=lambda: g.org)
    init_app(app, actor=lambda: Actor(type="user", id="u_1"), trusted_proxies=1)
    init_app(app, actor=lambda: 1)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    proxies = TrustedProxies(count=2, networks=["10.0.0.0/8"], header="forwarded")
    asgi_app.add_middleware(AuditMiddleware, actor=lambda scope: scope.get("actor"))
    asgi_app.add_middleware(AuditMiddleware, trusted_proxies=proxies, correlation_header=None)


def sign_in(user: str) -> None:
    audit_events.bind_actor({"type": "user", "id": user}, organization_id="org_acme")
    audit_events.bind_actor(lambda: Actor(type="user", id=user), organization_id=lambda: None)
    audit_events.bind_organization("org_acme")


def change_role(member: str) -> None:
    log.info(
        Action.MEMBER_ROLE_CHANGED,
        organization_id="org_acme",
        actor={"type": "user", "id": "u_1"},
        target_user={"id": member},
        context={"previous": {"role": "member"}, "new": {"role": "admin"}},
        result="success",
    )
    bound = log.bind(actor=Actor(type="api_key", id="k_1"), organization_id="org_acme")
    bound.warning("app.deleted", resource=Resource(type="app", id="a_1"))
    bound.unbind("actor").try_unbind("result").error("app.deleted", target_user=TargetUser(id="u"))


def tell_changes(before: object, after: object) -> None:
    found = audit_events.changes(before, after)
    assert_type(found, dict[str, dict[str, object]])
    assert_type(audit_events.snapshot(after), dict[str, object])
    log.info(Action.APP_CREATED, context={**found, "reason": "asked for"})


async def serve() -> None:
    await log.ainfo("member.invited", actor={"type": "system"}, organization_id="org_acme")


def read(event: Event) -> None:
    assert_type(event.action, str)
    assert_type(event.actor, Actor)
    assert_type(event.actor.email, str | None)
    assert_type(event.target_user, TargetUser | None)
    assert_type(event.source.seq, int)


def test_change_role(audit_log: RecordedEvents) -> None:
    change_role("u_2")
    assert audit_log.one(Action.MEMBER_ROLE_CHANGED).context["new"]["role"] == "admin"
    assert_type(audit_log.all(where=lambda event: event.actor.id == "u_1"), list[RecordedEvent])
    assert_type(audit_log.one().target_user, TargetUser | None)
    audit_log.none("member.invited")
    with record_events(Path("elsewhere")) as recorded:
        assert_type([event.action for event in recorded], list[str])


def refuse() -> str:
    try:
        change_role("u_2")
    except EventError as error:
        return assert_type(error.field, str)
    except SinkError as error:
        return assert_type(error.path, Path).name
    except AuditEventError as error:
        return assert_type(error.hint, str)
    return ""
