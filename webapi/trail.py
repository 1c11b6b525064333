"""Reading is itself an event, written before the answer goes out.

It is `audit_log.viewed`, or `audit_log.exported` where an export begins and where it ends; so is
what owners do with API tokens. A read that cannot be recorded is refused: nobody reads
unseen.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import audit_events
from audit_events import AuditEventError
from audit_events.binding import PEER_ADDRESS
from audit_events.draft import FIELDS
from audit_events.request import RequestFacts
from webapi.auth import Reader
from webapi.errors import UnavailableError
from webapi.settings import WebSettings

VIEWED: Final = "audit_log.viewed"
EXPORTED: Final = "audit_log.exported"
MAX_CONTEXT_CHARACTERS: Final = 200
SERVICE: Final = "webapi"
REMEMBERED: Final = 4096
"""Questions; what is forgotten is recorded anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read that is about to be answered.

    Args:
        reader: who asked.
        request: from where and with what it came.
        route: which address was asked, as the access log names it.
        asked: what was asked for, as pairs of the query string.
        events: how many events the answer holds.
        event_id: the one event that was asked for, if so.
        repeats: how often the same was asked since it was recorded last.
        export: how an export stands, if it is one: then it is `EXPORTED`.
    """

    reader: Reader
    request: RequestFacts | None
    route: str | None = None
    asked: Sequence[tuple[str, str]] = ()
    events: int = 0
    event_id: str | None = None
    repeats: int = 0
    export: Mapping[str, object] | None = None

    @property
    def action(self) -> str:
        """The action of the event that tells of it."""
        return VIEWED if self.export is None else EXPORTED


Record = Callable[[Read], None]
Tell = Callable[[str, Mapping[str, object]], None]
"""Records an event of ours: its action, and its fields as `event_fields` has them."""


def teller(settings: WebSettings) -> Tell | None:
    """Return what records events in `web.audit_path`; None when that is not set.

    It raises `UnavailableError` when an event cannot be recorded.

    Raises:
        SinkError: the file cannot be opened.
    """
    if settings.audit_path is None:
        return None
    log = audit_events.open_log(settings.audit_path, service=SERVICE)

    def tell(action: str, fields: Mapping[str, object]) -> None:
        try:
            log.info(action, **fields)
        except AuditEventError as error:
            raise UnavailableError(
                "audit_unavailable", "what is done here is recorded, and this could not be"
            ) from error

    return tell


def recorder(
    tell: Tell | None, seconds: float = 0, clock: Callable[[], float] = time.monotonic
) -> Record | None:
    """Return what records reads; None where nothing is recorded.

    The first read of a question is recorded before it is answered. The same again (reader, IP
    address, route, question and page) within `seconds` is counted, and told by the next event of
    it. An export is told each time.
    """
    if tell is None:
        return None
    lock = threading.Lock()
    seen: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def record(read: Read) -> None:
        if read.export is not None:
            tell(read.action, fields(read))
            return
        key, now = question(read), clock()
        with lock:
            at, repeats = seen.get(key, (float("-inf"), 0))
            if now - at < seconds:
                seen[key] = (at, repeats + 1)
                return
        tell(read.action, fields(replace(read, repeats=repeats)))
        with lock:
            seen[key] = (now, 0)
            seen.move_to_end(key)
            while len(seen) > REMEMBERED:
                seen.popitem(last=False)

    return record


def question(read: Read) -> object:
    """Return what makes two reads the same one."""
    address = read.request and read.request.ip_address
    return read.reader, address, read.route, tuple(sorted(read.asked)), read.event_id


def fields(read: Read) -> dict[str, object]:
    """Return the fields of the event that tells of a read."""
    repeats = {"repeats": read.repeats} if read.repeats else {}
    route = {} if read.route is None else {"route": read.route}
    return event_fields(
        read.reader,
        read.request,
        context={
            **route,
            "filters": _filters(read.asked),
            "events": read.events,
            **repeats,
            **(read.export or {}),
        },
        resource=None if read.event_id is None else {"type": "audit_event", "id": read.event_id},
    )


def event_fields(
    reader: Reader,
    request: RequestFacts | None,
    *,
    context: Mapping[str, object],
    resource: Mapping[str, str] | None = None,
    result: str | None = None,
) -> dict[str, object]:
    """Return the fields of an event about what a reader does."""
    told = dict(context)
    if request is not None and request.peer_address is not None:
        told[PEER_ADDRESS] = request.peer_address
    # Every field is said, None where there is none: whatever else is bound to this context (an
    # application that embeds this one) must not appear as the reader's.
    return {
        **dict.fromkeys(FIELDS),
        "organization_id": reader.organization_id,
        "actor": actor_of(reader),
        "context": told,
        "resource": resource,
        "result": result,
        "ip_address": request and request.ip_address,
        "user_agent": request and request.user_agent,
        "correlation_id": request and request.correlation_id,
    }


def actor_of(reader: Reader) -> dict[str, str]:
    """Return a reader as the actor of an event."""
    actor = {
        "type": "api_key" if reader.is_token else "user",
        "id": reader.subject,
        "email": reader.email,
        "name": reader.name,
        "onBehalfOf": reader.on_behalf_of,
    }
    return {name: value for name, value in actor.items() if value is not None}


def _filters(asked: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for name, text in asked:
        filters.setdefault(name, []).append(text[:MAX_CONTEXT_CHARACTERS])
    return filters
