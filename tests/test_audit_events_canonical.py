"""The encoder says the same bytes as an independent one, or refuses with the path."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, StrEnum
from types import MappingProxyType
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit_events.canonical import canonical, read_back
from audit_events.errors import CanonicalError
from audit_events.number import format_float
from audit_events.walk import MAX_DEPTH, MAX_SAFE_INTEGER

# rfc8785 refuses 2^53 itself; JCS carries it, and a table below has it.
_SAFE = MAX_SAFE_INTEGER - 1
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-_SAFE, _SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


class Plan(StrEnum):
    PRO = "studio_pro"


class Limit(Enum):
    SEATS = 5


@given(_values)
def test_any_json_value_is_written_as_the_reference_encoder_writes_it(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # JSON by strategy


@given(_values)
def test_what_is_written_reads_back_and_is_written_the_same_again(value: object) -> None:
    written = canonical(value)
    assert canonical(read_back(written)) == written


@given(st.binary(min_size=8, max_size=8))
def test_any_double_is_spelled_as_ecmascript_spells_it(bits: bytes) -> None:
    number: float = struct.unpack("<d", bits)[0]
    if number - number == 0:
        assert format_float(number).encode() == rfc8785.dumps(number)


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        pytest.param(-0.0, "0", id="negative zero"),
        pytest.param(1.0, "1", id="whole"),
        pytest.param(1e21, "1e+21", id="first with exponent"),
        pytest.param(123456789012345680000.0, "123456789012345680000", id="last without"),
        pytest.param(1e-6, "0.000001", id="smallest without exponent"),
        pytest.param(1e-7, "1e-7", id="first with negative exponent"),
        pytest.param(5e-324, "5e-324", id="smallest double"),
        pytest.param(333333333.33333329, "333333333.3333333", id="RFC 8785 section 3.2.2.3"),
    ],
)
def test_doubles_of_the_standard(number: float, spelled: str) -> None:
    assert format_float(number) == spelled


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param({"b": 1, "a": 2}, b'{"a":2,"b":1}', id="keys sorted"),
        pytest.param(
            {"\U0001f600": 1, "￿": 2, "a": 0},
            '{"a":0,"\U0001f600":1,"￿":2}'.encode(),
            id="keys by UTF-16 unit, not code point",
        ),
        pytest.param("\x00\x1f\x7f\u2028", b'"\\u0000\\u001f\x7f\xe2\x80\xa8"', id="escapes"),
        pytest.param(MAX_SAFE_INTEGER, b"9007199254740992", id="largest integer"),
        pytest.param((1, [2]), b"[1,[2]]", id="tuple as list"),
        pytest.param(MappingProxyType({"a": 1}), b'{"a":1}', id="any mapping"),
        pytest.param(Plan.PRO, b'"studio_pro"', id="text enum"),
        pytest.param(Limit.SEATS, b"5", id="number enum"),
        pytest.param(
            UUID("01a209b8-87eb-79ed-abe4-5b7130bf85cc"),
            b'"01a209b8-87eb-79ed-abe4-5b7130bf85cc"',
            id="uuid",
        ),
        pytest.param(
            datetime(2026, 3, 15, 9, 30, tzinfo=UTC), b'"2026-03-15T09:30:00.000000Z"', id="instant"
        ),
    ],
)
def test_values_with_one_obvious_form(value: object, written: bytes) -> None:
    assert canonical(value) == written


def _nest(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def _cycle() -> object:
    loop: dict[str, object] = {}
    loop["again"] = loop
    return loop


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        pytest.param({"n": [1, MAX_SAFE_INTEGER + 1]}, "n[1]", "2^53", id="integer too large"),
        pytest.param({"n": -MAX_SAFE_INTEGER - 1}, "n", "2^53", id="integer too small"),
        pytest.param({"a": {"b": float("nan")}}, "a.b", "nan", id="not a number"),
        pytest.param([float("inf")], "[0]", "inf", id="infinity"),
        pytest.param({"x": [{"y": object()}]}, "x[0].y", "type object", id="unknown object"),
        pytest.param({"x": b"bytes"}, "x", "type bytes", id="bytes"),
        pytest.param({"x": {1: 2}}, "x", "key of type int", id="key not text"),
        pytest.param({"x": ["ok", "\ud800"]}, "x[1]", "surrogate", id="half a pair"),
        pytest.param({"x": {"\udfff": 1}}, "x.(a key)", "surrogate", id="half a pair as key"),
        pytest.param(
            {"\U0001f600": {"\ud800": 1}}, "\U0001f600.(a key)", "surrogate", id="beside an emoji"
        ),
        pytest.param(
            {"t": datetime(2026, 1, 1)},  # noqa: DTZ001  # that it lacks a zone is the point
            "t",
            "without a time zone",
            id="naive datetime",
        ),
        pytest.param(
            {"t": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))},
            "t",
            "years 1 to 9999",
            id="for ever, west of Greenwich",
        ),
        pytest.param(_nest(MAX_DEPTH + 2), "[0]" * (MAX_DEPTH + 1), "deeper", id="too deep"),
        pytest.param(_cycle(), "again" + ".again" * MAX_DEPTH, "deeper", id="a cycle"),
    ],
)
def test_what_cannot_be_carried_is_refused_with_its_path(
    value: object, path: str, problem: str
) -> None:
    with pytest.raises(CanonicalError) as caught:
        canonical(value)
    assert caught.value.field == path
    assert problem in str(caught.value)
