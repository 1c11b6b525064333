"""A stored event as values: read so that whatever was stored can be read, and written as it was."""

from collections.abc import Mapping
from math import isfinite
from typing import Final, cast

import msgspec
from msgspec import Raw


def _number(text: str) -> object:
    value = float(text)
    # Another language may write 1e999. It is JSON, it was stored, and it must not hide its event.
    return value if isfinite(value) else Raw(text.encode())


_decoder: Final = msgspec.json.Decoder(float_hook=_number)


def read_values(source: Raw | bytes) -> Mapping[str, object]:
    """Return the members of a stored event; a number that no float can hold is its own text."""
    return cast("Mapping[str, object]", _decoder.decode(source))
