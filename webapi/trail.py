"""Reading is itself an event: `audit_log.viewed`, written before the answer goes out.

A read that cannot be recorded is refused (DESIGN.md section 6, promise 4: nobody reads unseen).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import audit_events
from audit_events import AuditEventError
from audit_events.binding import PEER_ADDRESS
from audit_events.draft import FIELDS
from audit_events.request import RequestFacts
from webapi.auth import Reader
from webapi.errors import UnavailableError
from webapi.settings import WebSettings

MAX_CONTEXT_CHARACTERS = 200
SERVICE = "webapi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read that is about to be answered.

    Args:
        reader: who asked.
        request: from where and with what it came.
        asked: what was asked for, as pairs of the query string.
        events: how many events the answer holds.
        event_id: the one event that was asked for, if so.
    """

    reader: Reader
    request: RequestFacts | None
    asked: Sequence[tuple[str, str]] = ()
    events: int = 0
    event_id: str | None = None


Record = Callable[[Read], None]


def recorder(settings: WebSettings) -> Record | None:
    """Return what records reads in `web.audit_path`; None when that is not set.

    Raises:
        SinkError: the file cannot be opened.
    """
    if settings.audit_path is None:
        return None
    log = audit_events.open_log(settings.audit_path, service=SERVICE)

    def record(read: Read) -> None:
        try:
            log.info("audit_log.viewed", **fields(read))
        except AuditEventError as error:
            raise UnavailableError(
                "audit_unavailable", "reads are recorded, and this one could not be"
            ) from error

    return record


def fields(read: Read) -> dict[str, object]:
    """Return the fields of the event that tells of a read."""
    reader = read.reader
    actor = {"type": "user", "id": reader.subject, "email": reader.email, "name": reader.name}
    context: dict[str, object] = {"filters": _filters(read.asked), "events": read.events}
    request = read.request
    if request is not None and request.peer_address is not None:
        context[PEER_ADDRESS] = request.peer_address
    # Every field is said, None where there is none: whatever else is bound to this context (an
    # application that embeds this one) must not appear as the reader's.
    return {
        **dict.fromkeys(FIELDS),
        "organization_id": reader.organization_id,
        "actor": {name: value for name, value in actor.items() if value is not None},
        "context": context,
        "resource": read.event_id and {"type": "audit_event", "id": read.event_id},
        "ip_address": request and request.ip_address,
        "user_agent": request and request.user_agent,
        "correlation_id": request and request.correlation_id,
    }


def _filters(asked: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for name, text in asked:
        filters.setdefault(name, []).append(text[:MAX_CONTEXT_CHARACTERS])
    return filters
