"""The logger that an application calls: structlog's, with a short way for what is called most.

`bind`, `new`, `unbind`, `log` and the rest are structlog's, and run its processors. The five levels
go to the recorder behind at once, which spares an event 3 µs of copies and dispatch; their async
forms do so in a thread, and return the event's id as well.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final, cast

import structlog
from structlog import BoundLoggerBase, DropEvent

interceptor: Callable[[str, MutableMapping[str, Any]], None] | None = None
"""Set by tests alone (`recording.honour_capture_logs`): sees each call first, and may drop it."""


def _level(name: str) -> Callable[..., Any]:
    def method(
        self: BoundLoggerBase,
        event: object = None,
        /,  # else each name of a field is compared with `event`: 0.15 µs
        *args: object,
        **fields: Any,  # noqa: ANN401  # as structlog's own
    ) -> str | None:
        if event is None:
            event = fields.pop("event", None)
        if args:
            dropped_or_id: str | None = _SLOW[name](self, event, *args, **fields)
            return dropped_or_id
        context = self._context
        if context:
            fields = {**context, **fields}
        if interceptor is not None:
            try:
                interceptor(name, {**fields, "event": event})
            except DropEvent:
                return None
        event_id: str = self._logger.record(event, fields)
        return event_id

    method.__name__ = name
    return method


def _async_level(method: Callable[..., Any]) -> Callable[..., Any]:
    async def async_method(
        self: BoundLoggerBase,
        event: object = None,
        *args: object,
        **fields: Any,  # noqa: ANN401  # as structlog's own
    ) -> str | None:
        # In a thread, with a copy of the context: a disk that is slow holds up no event loop.
        event_id: str | None = await asyncio.to_thread(method, self, event, *args, **fields)
        return event_id

    async_method.__name__ = f"a{method.__name__}"
    return async_method


_STRUCTLOG: Final[type[BoundLoggerBase]] = cast(
    "type[BoundLoggerBase]", structlog.make_filtering_bound_logger(0)
)
_NAMES: Final = ("debug", "info", "warning", "error", "critical")
_ALIASES: Final = {"msg": "info", "warn": "warning", "fatal": "critical"}
_SLOW: Final[dict[str, Callable[..., Any]]] = {name: getattr(_STRUCTLOG, name) for name in _NAMES}
_METHODS: Final = {name: _level(name) for name in _NAMES}
_METHODS.update((alias, _METHODS[name]) for alias, name in _ALIASES.items())
_METHODS.update({f"a{name}": _async_level(method) for name, method in _METHODS.items()})

AuditLogger: Final = type("AuditLogger", (_STRUCTLOG,), {"__module__": __name__, **_METHODS})
"""Made of what has `record(action, fields) -> id`, the processors of the long way, a context."""
