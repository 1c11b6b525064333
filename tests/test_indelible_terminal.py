"""What others wrote reaches a terminal so that it obeys none of it."""

import os
import pty
import sys

import msgspec
import pytest

from indelible.terminal import plain, plain_json, write_json


@pytest.mark.parametrize("mark", ["\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\U000e0041"])
def test_a_mark_is_spelled_and_json_stays_the_same_value(mark: str) -> None:
    """The last is of those that spell a hidden text, beyond the first 65,536 characters."""
    value = {f"{mark}a": f'"\\{mark} é 😀'}
    text = plain_json(value)
    assert mark not in text
    assert "é 😀" in text
    assert msgspec.json.decode(text) == value
    assert mark not in plain(f"a{mark}")


LINE = '{"name":"a\x9b2J\u202e é"}'.encode()


def test_to_a_terminal_a_stored_event_is_the_same_value_and_obeyed_in_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal, os.fdopen(reader, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stdout", terminal)
        write_json(LINE)
        shown = screen.read(1000).rstrip()
    assert b"a\\u009b2J\\u202e" in shown
    assert msgspec.json.decode(shown) == msgspec.json.decode(LINE)


def test_to_anything_else_it_is_written_byte_for_byte(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    write_json(LINE)
    assert capfdbinary.readouterr().out == LINE + b"\n"
