"""The public API as its users write it: mypy and pyright check this file, nothing runs it."""

from pathlib import Path
from typing import assert_type

from structlog.typing import FilteringBoundLogger

import audit_events
from audit_events import Actor, Event, Resource, TargetUser
from audit_events.errors import AuditEventError, EventError, SinkError

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


def change_role(member: str) -> None:
    log.info(
        "member.role_changed",
        organization_id="org_acme",
        actor={"type": "user", "id": "u_1"},
        target_user={"id": member},
        context={"previous": {"role": "member"}, "new": {"role": "admin"}},
        result="success",
    )
    bound = log.bind(actor=Actor(type="api_key", id="k_1"), organization_id="org_acme")
    bound.warning("app.deleted", resource=Resource(type="app", id="a_1"))
    bound.unbind("actor").try_unbind("result").error("app.deleted", target_user=TargetUser(id="u"))


async def serve() -> None:
    await log.ainfo("member.invited", actor={"type": "system"}, organization_id="org_acme")


def read(event: Event) -> None:
    assert_type(event.action, str)
    assert_type(event.actor, Actor)
    assert_type(event.actor.email, str | None)
    assert_type(event.target_user, TargetUser | None)
    assert_type(event.source.seq, int)


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
