"""What may reach a terminal of texts that others wrote."""

import unicodedata
from typing import Final

import msgspec

_OBEYED: Final = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_ESCAPES: Final = {
    code: f"\\u{code:04x}"
    for code in range(0x7F, 0xFFFF)
    if unicodedata.category(chr(code)) in _OBEYED
}


def plain(text: str) -> str:
    """Make visible what a terminal would obey: controls, and marks that turn the line around."""
    return "".join(
        character if unicodedata.category(character) not in _OBEYED else f"\\u{ord(character):04x}"
        for character in text
    )


def plain_json(value: object) -> str:
    """One line of JSON that holds nothing that a terminal would obey; the same value all the same.

    JSON itself escapes only the first 32 characters.
    """
    return msgspec.json.encode(value).decode("utf-8", "surrogatepass").translate(_ESCAPES)
