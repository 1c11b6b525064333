"""RFC 8785 (JSON Canonicalization Scheme): one value, one sequence of bytes.

What msgspec does differently is settled by `walk`; property tests hold the result against the
`rfc8785` package.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from audit_events.errors import CanonicalError
from audit_events.walk import MAX_SAFE_INTEGER, PLAIN_WALK, encode_prepared, join_path


def canonical(value: object) -> bytes:
    """Encode `value` in RFC 8785 form.

    Takes None, bool, int, float, str, mappings with str keys, lists and tuples, and the three
    types that have one obvious text: UUID, aware datetime, Enum (its value).

    Raises:
        CanonicalError: naming the path of what cannot be carried exactly.
    """
    try:
        return encode_prepared(PLAIN_WALK.prepare(value))
    except UnicodeEncodeError:
        path = find_surrogate(value) or "value"
        raise CanonicalError(path, "holds half of a surrogate pair") from None


def read_back(line: bytes) -> object:
    """Inverse of `canonical`, for any JSON: what it returns is written as `line` says it.

    Numbers beyond 2^53 come back as the doubles that they were written from.

    Raises:
        ValueError: not JSON.
    """
    return json.loads(line, parse_int=_read_integer)


def _read_integer(digits: str) -> float:
    number = int(digits) if len(digits) <= len("-9007199254740992") else float(digits)
    return number if abs(number) <= MAX_SAFE_INTEGER else float(number)


def find_surrogate(value: object) -> str | None:
    """Return the path of the first text that UTF-8 cannot carry."""
    steps = _find_surrogate(value)
    return None if steps is None else join_path(steps)


def _find_surrogate(value: object) -> list[str | int] | None:
    """Return the steps, innermost first, to the first text that UTF-8 cannot carry."""
    if isinstance(value, str):
        return [] if any("\ud800" <= character <= "\udfff" for character in value) else None
    members: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value).items()
    elif isinstance(value, list | tuple):
        members = enumerate(cast("Sequence[object]", value))
    for step, item in members:
        if _find_surrogate(step) is not None:
            return ["(a key)"]
        found = _find_surrogate(item)
        if found is not None:
            return [*found, step]
    return None
