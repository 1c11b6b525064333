"""RFC 8785 (JSON Canonicalization Scheme): one value, one sequence of bytes.

What msgspec does differently is settled by `walk`; property tests hold the result against the
`rfc8785` package.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

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
        ValueError: not JSON, or nested without end.
    """
    try:
        return json.loads(line, parse_int=_read_integer)
    except RecursionError:
        raise ValueError("nested without end") from None


def _read_integer(digits: str) -> float:
    number = int(digits) if len(digits) <= len("-9007199254740992") else float(digits)
    return number if abs(number) <= MAX_SAFE_INTEGER else float(number)


def find_surrogate(value: object) -> str | None:
    """Return the path of the first text that UTF-8 cannot carry.

    Each container is entered once: neither one that contains itself, nor a few that refer to each
    other many times, nor a deep one keeps it.
    """
    entered: set[int] = set()
    stack: list[tuple[object, _Steps]] = [(value, None)]
    while stack:
        item, steps = stack.pop()
        if isinstance(item, str):
            if any("\ud800" <= character <= "\udfff" for character in item):
                return join_path(list(_unwind(steps)))
        elif id(item) not in entered:
            entered.add(id(item))
            stack += reversed(list(_members(item, steps)))
    return None


_Steps: TypeAlias = "tuple[str | int, _Steps] | None"
"""Of a path, the innermost first; each shares those before it."""


def _members(item: object, steps: _Steps) -> Iterator[tuple[object, _Steps]]:
    if isinstance(item, Mapping):
        for key, member in cast("Mapping[str, object]", item).items():
            yield key, ("(a key)", steps)
            yield member, (key, steps)
    elif isinstance(item, list | tuple):
        for place, member in enumerate(cast("Sequence[object]", item)):
            yield member, (place, steps)


def _unwind(steps: _Steps) -> Iterator[str | int]:
    while steps is not None:
        step, steps = steps
        yield step
