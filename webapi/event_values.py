"""A stored event as values: read so that whatever was stored can be read, and written as it was."""

import re
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from audit_events.event import UUID_PATTERN, is_action
from audit_events.instant import CANONICAL_INSTANT

S = TypeVar("S", bound=Struct)
_is_id: Final = re.compile(UUID_PATTERN, re.ASCII).fullmatch
_is_instant: Final = re.compile(CANONICAL_INSTANT, re.ASCII).fullmatch


def _number(text: str) -> object:
    value = float(text)
    # Another language may write 1e999. It is JSON, it was stored, and it must not hide its event.
    return value if isfinite(value) else Raw(text.encode())


_decoder: Final = msgspec.json.Decoder(float_hook=_number)
_spelled: Final = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode()))


def read_values(source: Raw | bytes) -> Mapping[str, object]:
    """Return the members of a stored event; a number that no float can hold is its own text."""
    return cast("Mapping[str, object]", _decoder.decode(source))


def read_spelled(source: Raw | bytes) -> Mapping[str, object]:
    """Return the members of a stored event; numbers but whole ones as they are spelled."""
    return cast("Mapping[str, object]", _spelled.decode(source))


def is_event(values: Mapping[str, object]) -> bool:
    """Tell whether the members of what is stored name an event: its id, its moment, its action.

    No agent ships what has none, and nothing can be concluded from it.
    """
    named = ((values.get("id"), _is_id), (values.get("timestamp"), _is_instant))
    action = values.get("action")
    return (
        all(isinstance(text, str) and matches(text) is not None for text, matches in named)
        and isinstance(action, str)
        and is_action(action)
    )


def read_parts(source: Raw | bytes, shape: type[S]) -> S:
    """Return what a shape asks of a stored event; each of its members may be absent.

    The index takes more than our form: null, a list, a number for an id. A part that another
    application wrote so counts as absent, and hides neither the others nor the other events.
    """
    try:
        return msgspec.json.decode(source, type=shape)
    except msgspec.ValidationError:
        given = msgspec.json.decode(source, type=dict[str, Raw])
    found: dict[str, Any] = {}
    for member in msgspec.structs.fields(shape):
        with suppress(KeyError, msgspec.ValidationError):
            found[member.name] = msgspec.json.decode(given[member.encode_name], type=member.type)
    return shape(**found)
