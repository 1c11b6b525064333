"""RFC 8785 (JSON Canonicalization Scheme): one value, one sequence of bytes.

msgspec writes the bytes; what it does differently from JCS is settled before: numbers (ECMAScript's
spelling, section 3.2.2.3), the order of keys beyond the basic plane (UTF-16 code units, section
3.2.3), and everything that JSON cannot carry exactly, which is refused with its path and never
replaced. Property tests hold the result against the `rfc8785` package.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, cast
from uuid import UUID

import msgspec

from audit_events.errors import CanonicalError
from audit_events.instant import format_instant

MAX_SAFE_INTEGER: Final = 2**53
"""RFC 8785 appendix D: beyond it a double no longer tells two integers apart."""

MAX_DEPTH: Final = 20
"""Deep enough for any context. About 1,000 levels overflow the stack of an OpenSearch node and end
it (tried on 3.4.0), and cycles end here too."""

_LAST_BEFORE_SURROGATES: Final = "\ud7ff"
_SCALARS: Final = frozenset({int, float})
_encoder: Final = msgspec.json.Encoder(order="deterministic")
"""Sorts the keys of dictionaries; the fields of structs stand sorted: 0.2 µs less an event."""


def canonical(value: object) -> bytes:
    """Encode `value` in RFC 8785 form.

    Takes None, bool, int, float, str, mappings with str keys, lists and tuples, and the three
    types that have one obvious text: UUID, aware datetime, Enum (its value).

    Raises:
        CanonicalError: naming the path of what cannot be carried exactly.
    """
    try:
        return encode_prepared(prepare(value))
    except UnicodeEncodeError:
        path = find_surrogate(value) or "value"
        raise CanonicalError(path, "holds half of a surrogate pair") from None


def prepare(value: object, field: str = "") -> object:
    """Return `value` as `encode_prepared` writes it in RFC 8785 form, unchanged where it can be.

    Args:
        value: what `canonical` takes.
        field: what the value is called where its path is told.

    Raises:
        CanonicalError: naming the path of what cannot be carried exactly.
    """
    try:
        return _prepare(value, 0)
    except _Refusal as refusal:
        path = _join_path([*refusal.steps, *([field] if field else [])])
        raise CanonicalError(path, refusal.problem, refusal.hint) from None


encode_prepared: Final = _encoder.encode
"""Write what `prepare` returned, or structs with their fields in order, whose texts are all that
they hold.

Raises UnicodeEncodeError for half of a surrogate pair, which `find_surrogate` names.
"""


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


class _Refusal(Exception):  # noqa: N818  # on its way to become a CanonicalError
    """What is wrong; the steps to it are added while it leaves the containers, innermost first."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        self.steps: list[str | int] = []


def _join_path(steps: list[str | int]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(steps))
    return path.removeprefix(".") or "value"


def _prepare(value: object, depth: int) -> object:
    """Return `value` as msgspec will write it in JCS form, the same object where it already is."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    # A dict is asked for before Mapping: the test for the abstract class is many times slower.
    if isinstance(value, dict) or (kind not in _SCALARS and isinstance(value, Mapping)):
        return _prepare_mapping(cast("Mapping[object, object]", value), depth)
    if isinstance(value, list | tuple):
        return _prepare_sequence(cast("Sequence[object]", value), depth)
    return _prepare_scalar(value, depth)


def format_float(number: float) -> str:
    """Spell a finite double as ECMAScript's Number::toString does (ECMA-262, 6.1.6.1.20)."""
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent_text = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent_text or 0)
    if whole == "0":
        point = int(exponent_text or 0) - (len(fraction) - len(fraction.lstrip("0")))
    digits = digits.rstrip("0")
    return sign + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    """Write 0.DIGITS times ten to the power of `point`, by the five cases of the standard."""
    count = len(digits)
    if count <= point <= 21:  # noqa: PLR2004  # 21 and -6 are the standard's own bounds
        return digits + "0" * (point - count)
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return "0." + "0" * -point + digits
    exponent = point - 1
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if exponent > 0 else '-'}{abs(exponent)}"


def _check_integer(value: int) -> int:
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return value
    raise _Refusal("is an integer beyond 2^53", "pass it as a string")


def _prepare_float(value: float) -> object:
    if not math.isfinite(value):
        raise _Refusal(f"is {value}, which JSON cannot carry", "pass it as a string")
    return msgspec.Raw(format_float(value).encode())


def _prepare_sequence(items: Sequence[object], depth: int) -> object:
    _check_depth(depth)
    prepared: list[object] = []
    try:
        for item in items:
            prepared.append(_prepare(item, depth + 1))  # noqa: PERF401  # its length is the step
    except _Refusal as refusal:
        refusal.steps.append(len(prepared))
        raise
    return prepared


def _prepare_mapping(value: Mapping[object, object], depth: int) -> object:
    _check_depth(depth)
    prepared: dict[str, object] = {}
    beyond_basic_plane = False
    for key, item in value.items():
        if not isinstance(key, str):
            raise _Refusal(f"has a key of type {type(key).__name__}", "keys are strings")
        if not key.isascii() and max(key) > _LAST_BEFORE_SURROGATES:
            beyond_basic_plane = True
        try:
            prepared[key] = _prepare(item, depth + 1)
        except _Refusal as refusal:
            refusal.steps.append(key)
            raise
    return _sort_by_utf16(prepared) if beyond_basic_plane else prepared


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Refusal(f"is nested deeper than {MAX_DEPTH} levels", "flatten it")


def _sort_by_utf16(prepared: dict[str, object]) -> msgspec.Raw:
    """Write an object whose keys msgspec would sort by code point, in JCS's own order."""
    keys = sorted(prepared, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    members = [_encoder.encode(key) + b":" + _encoder.encode(prepared[key]) for key in keys]
    return msgspec.Raw(b"{" + b",".join(members) + b"}")


def _prepare_scalar(value: object, depth: int) -> object:
    if isinstance(value, Enum):
        return _prepare(value.value, depth)
    if isinstance(value, int):
        return _check_integer(int(value))
    if isinstance(value, float):
        return _prepare_float(float(value))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, datetime):
        raise _Refusal(f"a value of type {type(value).__name__} can't be encoded", "convert it")
    if value.tzinfo is None:
        raise _Refusal("is a datetime without a time zone", "pass an aware datetime")
    return format_instant(value)


def find_surrogate(value: object) -> str | None:
    """Return the path of the first text that UTF-8 cannot carry."""
    steps = _find_surrogate(value)
    return None if steps is None else _join_path(steps)


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
