"""Showing a place in a text: an excerpt, and below it a caret."""

import unicodedata
from typing import Final

AROUND: Final = 36
"""Characters of the text that are shown on each side."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_WIDE: Final = frozenset("WF")


def caret(text: str, position: int) -> str:
    """Return two lines: the text around a place, and a caret below it.

    What is not seen, or would be obeyed by a terminal, is a dot; wide characters count two columns
    and marks on the letter before none, as a terminal has them.
    """
    first = max(0, position - AROUND)
    excerpt = text[first : position + AROUND]
    before = [_shown(character) for character in excerpt[: position - first]]
    after = [_shown(character) for character in excerpt[position - first :]]
    lead = "…" if first else ""
    trail = "…" if position + AROUND < len(text) else ""
    columns = len(lead) + sum(map(_columns, before))
    return f"{lead}{''.join(before + after)}{trail}\n{' ' * columns}^"


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    return "·" if unicodedata.category(character) in _INVISIBLE else character


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
