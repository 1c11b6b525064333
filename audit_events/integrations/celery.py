"""Celery: who asked for a task is the actor of what the task does.

    from audit_events.integrations import celery as audit_celery

    audit_celery.connect()  # where the Celery application is made: clients, workers and beat

What is bound where a task is published (organisation, actor, address, user agent, correlation)
travels in one message header and is bound while the task runs, in each of its retries, and where
it publishes further tasks, so through chains, groups and chords too. Nothing of it is left for the
next task of that worker, and nothing that the worker itself had bound is seen by a task.

* A task that beat published is done by `{"type": "system"}`.
* A task that was published where no actor was bound has none: its events must name one, or are
  refused. Nothing is guessed.
* Where no correlation is bound, the id of the first task of the workflow joins its events.

A header is as trustworthy as the broker (docs/threat-model.md).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec
from celery import signals  # type: ignore[import-untyped]  # celery ships no types
from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

from audit_events.binding import BoundRequest, bound_fields, current_request
from audit_events.event import MAX_USER_AGENT_CHARACTERS
from audit_events.process_log import close

HEADER: Final = "audit_events"
"""The message header; its value is a JSON object, as text, so that every transport carries it."""

CARRIED: Final = ("organization_id", "actor", "ip_address", "user_agent", "correlation_id")
"""What travels with a task, under the names that it is bound by."""

_BEAT_HEADER: Final = "celery_beat_task"
"""Set by beat itself since Celery's #9702, also where beat's process did not call `connect`."""
_SYSTEM: Final = {"type": "system"}
_TEXTS: Final = ("UUID", "IPv4Address", "IPv6Address")
_decode = msgspec.json.Decoder(dict[str, object]).decode


def connect() -> None:
    """Let the request's data travel with every task of this process; calling it twice is fine."""
    receivers: dict[str, Callable[..., None]] = {
        "before_task_publish": _carry,
        "task_prerun": _bind,
        "task_postrun": _unbind,
        "beat_init": _bind_system,
        "worker_process_shutdown": _say_last_line,
    }
    for name, receiver in receivers.items():
        signal: Any = getattr(signals, name)
        signal.connect(receiver, weak=False, dispatch_uid=f"{__name__}.{name}")


def read_header(headers: Mapping[str, object]) -> dict[str, object]:
    """Return what a task's message says about who asked for it, under the names in `CARRIED`.

    Raises:
        msgspec.DecodeError: the header is there, and is not a JSON object.
    """
    text = headers.get(HEADER)
    if text is None:
        return {"actor": _SYSTEM} if headers.get(_BEAT_HEADER) else {}
    if not isinstance(text, str):
        raise msgspec.ValidationError(f"the header {HEADER} is not text")
    return {name: value for name, value in _decode(text).items() if name in CARRIED}


def _bound() -> dict[str, object]:
    return {name: value for name, value in get_contextvars().items() if name in CARRIED}


def _rebind(values: Mapping[str, object], request: BoundRequest | None = None) -> None:
    current_request.set(request)
    unbind_contextvars(*CARRIED)
    bind_contextvars(**values)


def _carried_from_here() -> dict[str, object]:
    return {name: value for name, value in bound_fields().items() if name in CARRIED}


def _encode(bound: Mapping[str, object]) -> str:
    """Encode what was bound, in each form in which an event takes it."""
    user_agent = bound.get("user_agent")
    if isinstance(user_agent, str):
        # Whoever is being recorded chooses it: it must not make the message too long to be sent.
        bound = {**bound, "user_agent": user_agent[:MAX_USER_AGENT_CHARACTERS]}
    return msgspec.json.encode(bound, enc_hook=_simplify).decode()


def _simplify(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if type(value).__name__ in _TEXTS:
        return str(value)
    raise NotImplementedError


def _carry(headers: dict[str, object], **_: object) -> None:
    bound = _carried_from_here()
    # A retry carries the header of the task that it repeats.
    if bound and HEADER not in headers:
        headers[HEADER] = _encode(bound)


def _bind(task: Any, **_: object) -> None:  # noqa: ANN401  # celery ships no types
    request = task.request
    request.audit_events_before = (_bound(), current_request.get())
    try:
        values = _carried_from_here() if request.is_eager else read_header(request.headers or {})
    except Exception:
        # Celery logs this and runs the task: nobody may be taken for its actor.
        _rebind({})
        raise
    _rebind({"correlation_id": request.root_id or request.id, **values})


def _unbind(task: Any, **_: object) -> None:  # noqa: ANN401  # celery ships no types
    before = task.request.get("audit_events_before")
    if before is not None:  # absent where the task began before `connect()` was called
        _rebind(*before)


def _bind_system(**_: object) -> None:
    """In the process, or the thread, that beat runs in: what it publishes is asked by no person."""
    _rebind({"actor": _SYSTEM})


def _say_last_line(**_: object) -> None:
    """A process of a prefork pool ends by `os._exit`, which runs nothing at exit."""
    close()
