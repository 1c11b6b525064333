"""Record who did what, when, on what: one line of hash-chained JSON for each action.

    import audit_events

    audit_events.configure("/var/log/members/audit.log", service="members")
    log = audit_events.get_logger()
    log.info(
        "member.role_changed",
        organization_id="org_acme",
        actor={"type": "user", "id": "u_1", "email": "admin@company.com"},
        target_user={"email": "team@company.com"},
        context={"previous": {"role": "member"}, "new": {"role": "admin"}},
    )

What a request has in common (organisation, actor, address, user agent, correlation) is bound once,
by an integration (`audit_events.integrations`), by `bind_actor()`, or in structlog's contextvars. A
call returns when the line is in the kernel, and raises when it is not.
"""

from audit_events.actions import Action
from audit_events.binding import bind_actor, bind_organization, unbind_request
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import CatalogueEntry
from audit_events.chained_logger import ChainedLogger
from audit_events.difference import changes, snapshot
from audit_events.errors import (
    AuditEventError,
    CanonicalError,
    CatalogueError,
    EventError,
    EventTooLargeError,
    LineError,
    NotConfiguredError,
    ParameterError,
    SinkError,
)
from audit_events.event import Actor, Event, Resource, Source, TargetUser
from audit_events.log import AuditProcessor, open_log
from audit_events.process_log import close, configure, get_logger
from audit_events.redaction import DEFAULT_KEYS, DEFAULT_REDACTION, REDACTED, Redaction
from audit_events.tally import Counts, counts

__all__ = [
    "CATALOGUE",
    "DEFAULT_KEYS",
    "DEFAULT_REDACTION",
    "REDACTED",
    "Action",
    "Actor",
    "AuditEventError",
    "AuditProcessor",
    "CanonicalError",
    "Catalogue",
    "CatalogueEntry",
    "CatalogueError",
    "ChainedLogger",
    "Counts",
    "Event",
    "EventError",
    "EventTooLargeError",
    "LineError",
    "NotConfiguredError",
    "ParameterError",
    "Redaction",
    "Resource",
    "SinkError",
    "Source",
    "TargetUser",
    "bind_actor",
    "bind_organization",
    "changes",
    "close",
    "configure",
    "counts",
    "get_logger",
    "open_log",
    "snapshot",
    "unbind_request",
]
