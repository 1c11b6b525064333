"""What may reach a terminal of texts that others wrote."""

import sys
import unicodedata
from typing import Final

import msgspec

_LAST_PRINTED: Final = 0x7E
"""Of ASCII."""
_OBEYED: Final = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


class _Escapes(dict[int, str]):
    """What stands in JSON for a code point; looked for when it is met, as there are a million."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_obeyed = code > _LAST_PRINTED and unicodedata.category(character) in _OBEYED
        self[code] = _escape(character) if is_obeyed else character
        return self[code]


_ESCAPES: Final = _Escapes()


def plain(text: str) -> str:
    """Make visible what a terminal would obey: controls, and marks that turn the line around."""
    return "".join(
        character if unicodedata.category(character) not in _OBEYED else _escape(character)
        for character in text
    )


def write_json(line: bytes) -> None:
    """Print a line of JSON byte for byte; to a terminal the same value, which it cannot obey."""
    if sys.stdout.isatty():
        line = line.decode("utf-8", "replace").translate(_ESCAPES).encode()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def plain_json(value: object) -> str:
    """One line of JSON that holds nothing that a terminal would obey; the same value all the same.

    JSON itself escapes only the first 32 characters.
    """
    return msgspec.json.encode(value).decode("utf-8", "surrogatepass").translate(_ESCAPES)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
