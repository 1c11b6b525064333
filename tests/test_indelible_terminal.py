"""What others wrote reaches a terminal so that it obeys none of it."""

import msgspec
import pytest

from indelible.terminal import plain, plain_json


@pytest.mark.parametrize("mark", ["\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\U000e0041"])
def test_a_mark_is_spelled_and_json_stays_the_same_value(mark: str) -> None:
    """The last is of those that spell a hidden text, beyond the first 65,536 characters."""
    value = {f"{mark}a": f'"\\{mark} é 😀'}
    text = plain_json(value)
    assert mark not in text
    assert "é 😀" in text
    assert msgspec.json.decode(text) == value
    assert mark not in plain(f"a{mark}")
