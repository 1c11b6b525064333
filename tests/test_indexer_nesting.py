import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.nesting import (
    MAX_LEVELS,
    SHALLOW_LINE_BYTES,
    SHALLOW_OBJECTS_BYTES,
    is_too_deep,
    nesting_levels,
)
from tests.agent_world import event_line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def levels(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{}", 1),
        (b'{"a":[{"b":[]}]}', 4),
        (rb'{"a":"{{{[[["}', 1),
        (rb'{"a":"\"{{{","b":"\\"}', 1),
        (b'{"a":' * 70 + b"1" + b"}" * 70, 70),
    ],
)
def test_levels_count_objects_and_arrays_outside_of_strings(line: bytes, expected: int) -> None:
    assert nesting_levels(line) == expected


@settings(deadline=None)
@given(JSON)
def test_levels_are_those_of_the_decoded_value(value: object) -> None:
    assert nesting_levels(msgspec.json.encode(value)) == levels(value)


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([(b"[", b"]"), (b'{"":', b"}")]), st.integers(0, 600))
def test_an_event_beyond_the_limit_is_found_whatever_its_length(
    depth: int, brackets: tuple[bytes, bytes], pad: int
) -> None:
    begin, end = brackets
    value = begin * depth + (b"[]" if begin != b"[" else b"") + end * depth
    line = event_line(0, pad=pad).replace(b'"context":{', b'"context":{"deep":' + value + b",")
    assert is_too_deep(line) == (nesting_levels(line) > MAX_LEVELS)


def test_no_event_within_the_shallow_length_is_deeper_than_the_limit() -> None:
    """The shortest event with the deepest list that fits."""
    shortest = (
        b'{"action":"a.b","hash":"%s","id":"%s","organizationId":"o","source":{"id":"%s","seq":0},'
        b'"timestamp":"2026-11-01T00:00:00.000000Z"}'
    ) % (b"A" * 43, b"0" * 36, b"0" * 36)
    room = SHALLOW_LINE_BYTES - len(shortest) - len(b'"":,')
    line = shortest.replace(b"{", b'{"":' + b"[" * (room // 2) + b"]" * (room // 2) + b",", 1)
    assert SHALLOW_LINE_BYTES - 1 <= len(line) <= SHALLOW_LINE_BYTES
    assert nesting_levels(line) <= MAX_LEVELS


def test_no_event_of_objects_alone_within_their_shallow_length_is_deeper_than_the_limit() -> None:
    shortest = (
        b'{"action":"a.b","hash":"%s","id":"%s","organizationId":"o","source":{"id":"%s","seq":0},'
        b'"timestamp":"2026-11-01T00:00:00.000000Z"}'
    ) % (b"A" * 43, b"0" * 36, b"0" * 36)
    room = (SHALLOW_OBJECTS_BYTES - len(shortest) - len(b'"":1,')) // len(b'{"":}')
    line = shortest.replace(b"{", b'{"":' + b'{"":' * room + b"1" + b"}" * room + b",", 1)
    assert SHALLOW_OBJECTS_BYTES - 5 <= len(line) <= SHALLOW_OBJECTS_BYTES
    assert nesting_levels(line) <= MAX_LEVELS
    assert not is_too_deep(line)
