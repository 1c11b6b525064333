"""What `configure()` and `open_log()` take: checked at start, and named when it is wrong."""

import os
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import msgspec

from audit_events.binding import is_coroutine_function
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.errors import EventError, ParameterError
from audit_events.event import Source
from audit_events.failure import OnError as OnError  # noqa: PLC0414  # a parameter of ours
from audit_events.identifier import new_uuid7

if TYPE_CHECKING:
    from pathlib import Path

Durability = Literal["process", "disk"]

DEFAULT_HEARTBEAT_SECONDS: Final = 60.0
MAX_HEARTBEAT_SECONDS: Final = 86_400


def check_path(name: str, value: object) -> "Path":
    """Return the path, absolute: a later change of directory does not move the log."""
    from pathlib import Path  # noqa: PLC0415  # 4 ms, for who opens a log

    try:
        return Path(cast("str", value)).absolute()
    except TypeError:
        problem = f"is of type {type(value).__name__}"
        raise ParameterError(name, problem, "a string or a Path") from None


def check_durability(value: object) -> None:
    """Refuse what is neither "process" nor "disk"."""
    if value not in get_args(Durability):
        raise ParameterError("durability", f"is {value!r}", 'one of "process", "disk"')


def check_on_error(value: object) -> None:
    """Refuse what is neither "raise", "stderr" nor callable."""
    if value not in ("raise", "stderr") and not callable(value):
        raise ParameterError("on_error", f"is {value!r}", '"raise", "stderr" or a callable')
    if callable(value) and is_coroutine_function(value):
        hint = "it is called where the event is recorded, and nobody awaits it"
        raise ParameterError("on_error", "is a coroutine function", hint)


def read_catalogue_path(value: str | os.PathLike[str] | None) -> Catalogue:
    """Return our catalogue with what the file, or each `*.toml` of the directory, adds to it.

    Raises:
        ParameterError: there is nothing of this name.
        CatalogueError: everything that is wrong in it.
    """
    if value is None:
        return CATALOGUE
    if not os.path.exists(value):  # noqa: PTH110  # as above
        raise ParameterError("catalogue_path", f"{os.fspath(value)} is not there", "name a file")
    from audit_events.catalogue_file import read_catalogue  # noqa: PLC0415  # it reads TOML

    return read_catalogue(value)


def check_strict(value: object) -> None:
    """Refuse what is only truthy: "false" from an environment would be."""
    if not isinstance(value, bool):
        raise ParameterError("strict", f"is of type {type(value).__name__}", "True or False")


def check_heartbeat_seconds(value: object) -> None:
    """Refuse an interval that would flood the index or say nothing; None and 0 are off."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 1 <= cast("float", value) <= MAX_HEARTBEAT_SECONDS:
        hint = f"between 1 and {MAX_HEARTBEAT_SECONDS}, None or 0 for off"
        raise ParameterError("heartbeat_seconds", f"is {value!r}", hint)


def check_source(service: object, host: object) -> None:
    """Refuse a service or host that no event could carry.

    Raises:
        EventError: of the field `source`.
    """
    members = {"id": new_uuid7(0), "seq": 0, "service": service, "host": host}
    try:
        msgspec.convert(members, Source)
    except msgspec.ValidationError as error:
        hint = "name the service and the host"
        raise EventError("source", f"is malformed: {error}", hint) from None
