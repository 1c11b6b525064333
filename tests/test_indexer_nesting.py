import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.nesting import nesting_levels

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
