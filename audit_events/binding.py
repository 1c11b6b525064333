"""What the events of one request have in common, without saying it again at each call.

An integration opens a `BoundRequest` when a request begins. It is one object that every copy of
the request's context shares: a dependency that FastAPI runs in a thread of its pool, a task that
the request starts and a background task all see the actor that any of them bound, and nobody
outside ever does.

Everything is read at the first event, as most requests have none, and authentication runs later
than middleware.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import structlog
from structlog.contextvars import (
    STRUCTLOG_KEY_PREFIX,
    bind_contextvars,
    unbind_contextvars,
)

from audit_events.errors import AuditEventError, EventError, ParameterError
from audit_events.given import FIELDS

if TYPE_CHECKING:
    from uuid import UUID

    from audit_events.event import Actor
    from audit_events.request import RequestFacts

    ActorGiven: TypeAlias = Actor | Mapping[str, object]
    OrganizationGiven: TypeAlias = str | UUID

PEER_ADDRESS: Final = "peerAddress"
"""The key of `context` that tells which proxy connected, where that is not the client."""
_COROUTINE: Final = 0x80
"""`inspect.CO_COROUTINE`, without importing inspect."""


class BoundRequest:
    """One request, as its events see it.

    Args:
        read_facts: called at the first event.
    """

    __slots__ = ("_facts", "_given", "_read_facts", "_told")

    def __init__(self, read_facts: "Callable[[], RequestFacts]") -> None:
        self._read_facts = read_facts
        self._facts: dict[str, RequestFacts] = {}
        self._given: dict[str, object] = {}
        self._told: dict[str, tuple[object, object]] = {}

    @property
    def facts(self) -> "RequestFacts":
        """Address, user agent and correlation id of this request."""
        # Threads of one request may ask at once: the first id that was made is everybody's.
        return self._facts.get("facts") or self._facts.setdefault("facts", self._read_facts())

    def give(self, **fields: object) -> None:
        """Bind fields of an event, each a value or a callable that is asked at the first event."""
        self._given.update((name, value) for name, value in fields.items() if value is not None)

    def fill(self, fields: dict[str, object]) -> None:
        """Add what an event's fields lack; a field that is None is meant to stay absent.

        Raises:
            EventError: a callable that was given for a field raised; the field is named.
        """
        for name in tuple(self._given):
            if name not in fields:
                fields[name] = self._resolve(name)
        facts = self.facts
        if "ip_address" not in fields:
            fields["ip_address"] = facts.ip_address
            if facts.peer_address is not None:
                _add_peer(fields, facts.peer_address)
        fields.setdefault("user_agent", facts.user_agent)
        fields.setdefault("correlation_id", facts.correlation_id)

    def _resolve(self, name: str) -> object:
        value = self._given[name]
        if not callable(value):
            return value
        # What one callable told must not outlive it: another may be bound while it is asked.
        asked, found = self._told.get(name, (None, None))
        if asked is value:
            return found
        try:
            found = value()
        except AuditEventError:
            raise
        except Exception as error:
            hint = f"mend what the integration or bind_{name.removesuffix('_id')}() was given"
            problem = f"cannot be told, its callable raised {type(error).__name__}"
            raise EventError(name, problem, hint) from error
        if found is not None:  # nobody yet: whoever signs in later is asked for again
            self._told[name] = (value, found)
        return found


def _add_peer(fields: dict[str, object], peer_address: str) -> None:
    context = fields.get("context")
    if context is None:
        fields["context"] = {PEER_ADDRESS: peer_address}
    elif isinstance(context, Mapping):
        fields["context"] = {PEER_ADDRESS: peer_address, **cast("Mapping[str, object]", context)}


current_request: Final[ContextVar[BoundRequest | None]] = ContextVar(
    "audit_events_request", default=None
)


Before: TypeAlias = list[tuple[ContextVar[Any], object]]


def begin_request(request: BoundRequest) -> Before:
    """Bind a request in this context, and nothing else; return what was bound before.

    What a job bound in a thread that serves requests afterwards must not act for all of them.
    """
    variables: list[ContextVar[Any]] = [variable for _, variable in _find_variables()[1]]
    before: Before = [(one, value) for one in variables if (value := one.get()) is not ...]
    before.append((current_request, current_request.get()))
    for variable, _ in before:
        variable.set(...)
    current_request.set(request)
    return before


def end_request(before: Before) -> None:
    """Bind again what was bound before the request."""
    for variable, value in before:
        variable.set(value)


def request_facts() -> "RequestFacts | None":
    """Return address, user agent and correlation id of this request: for other logs than this."""
    request = current_request.get()
    return None if request is None else request.facts


def bind_actor(
    actor: "ActorGiven | Callable[[], ActorGiven | None]",
    *,
    organization_id: "OrganizationGiven | Callable[[], OrganizationGiven | None] | None" = None,
) -> None:
    """Say who acts in this request from now on; outside a request, in this context.

    Args:
        actor: who, or a callable without arguments that tells it at the next event.
        organization_id: where, if that is known with it; or a callable.
    """
    _bind("actor", actor)
    if organization_id is not None:
        bind_organization(organization_id)


def bind_organization(
    organization_id: "OrganizationGiven | Callable[[], OrganizationGiven | None]",
) -> None:
    """Say in which organisation this request acts from now on; outside a request, this context."""
    _bind("organization_id", organization_id)


def unbind_request() -> None:
    """Forget the request in this context: for a worker that it started, but that serves others too.

    A task or thread that begins with a copy of a request's context would else act in its name for
    as long as it lives.
    """
    current_request.set(None)
    unbind_contextvars(*FIELDS)


def _bind(name: str, value: object) -> None:
    check_provider(name, value)
    if value is None:
        raise ParameterError(name, "is None", "say who, or call unbind_request()")
    request = current_request.get()
    if request is None:
        bind_contextvars(**{name: value() if callable(value) else value})
    else:
        unbind_contextvars(name)  # what was said last counts
        request.give(**{name: value})


def check_callable(name: str, value: object) -> None:
    """Refuse what an integration could not ask; None is nobody.

    Raises:
        ParameterError: naming the field.
    """
    if value is not None and not callable(value):
        raise ParameterError(name, "is no callable", "it is asked at the first event of a request")
    check_provider(name, value)


def check_provider(name: str, value: object) -> None:
    """Refuse a coroutine function: an event is recorded without waiting for anything.

    Raises:
        ParameterError: naming the field.
    """
    if is_coroutine_function(value):
        hint = "await it in the application, and bind_actor() what it returns"
        raise ParameterError(name, "is a coroutine function", hint)


def is_coroutine_function(value: object) -> bool:
    """Tell whether it is an `async def`."""
    code = getattr(value, "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


def fill_bound(fields: dict[str, object]) -> None:
    """Add what an event's fields lack and what is bound: by structlog, then by the request.

    Only the fields of an event: whatever else an application binds is left alone.

    Raises:
        EventError: a callable that was given for a field raised; the field is named.
    """
    found = _found if _found[0] == len(_VARIABLES) else _find_variables()
    for name, variable in found[1]:
        if name not in fields:
            value = variable.get()
            if value is not ...:  # structlog's sign for what is not bound
                fields[name] = value
    request = current_request.get()
    if request is not None:
        request.fill(fields)


def note_bound(error: EventError, fields: Mapping[str, object]) -> None:
    """Add to an error where its field was said, if it was not at the call."""
    name = error.field.partition(".")[0]
    if name in fields and structlog.contextvars.get_contextvars().get(name) is fields[name]:
        error.add_note(f"{name} is bound in structlog's contextvars, perhaps for other logs")


_Variables: TypeAlias = tuple[tuple[str, ContextVar[object]], ...]
_VARIABLES: Final[Mapping[str, ContextVar[object]]] = structlog.contextvars._CONTEXT_VARS  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
"""structlog's own, one for each name that was ever bound; there is no public way to them. Its
`get_contextvars()` looks at every variable of everybody: 0.2 µs, and 0.5 more for each of them."""
_found: tuple[int, _Variables] = (0, ())


def _find_variables() -> tuple[int, _Variables]:
    """Find the variables of the fields of an event; remembered, as they only become more."""
    global _found  # noqa: PLW0603  # replaced whole: two threads at once find the same
    count = len(_VARIABLES)
    keys = {name: STRUCTLOG_KEY_PREFIX + name for name in FIELDS}
    found = ((name, _VARIABLES.get(key)) for name, key in keys.items())
    _found = (count, tuple((name, one) for name, one in found if one is not None))
    return _found


def bound_fields() -> dict[str, object]:
    """Return what an event of this moment would have, under the names of a log call.

    Raises:
        EventError: a callable that was given for a field raised; the field is named.
    """
    fields: dict[str, object] = {}
    fill_bound(fields)
    return {name: value for name, value in fields.items() if value is not None}
