"""Text that others wrote, as it may stand on a page: all of it seen, none of it obeyed. Pure."""

import unicodedata
from collections.abc import Callable
from typing import Final

from markupsafe import Markup, escape

_OBEYED: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line breaks, and the joiners without which Persian and emoji are not themselves."""
ELLIPSIS: Final = "…"
_LAST_OF_BASIC_PLANE: Final = 0xFFFF


def visible(text: str) -> str:
    r"""Return `text` with what a browser would obey spelled out, such as `\u202e`.

    Controls, and the marks that turn a line around or that nobody sees.
    """
    return text if text.isprintable() else _spelled(text, _escape)


def isolated(text: object) -> Markup:
    """Return markup in which `text` is text, whatever it holds and whichever way it runs."""
    return Markup("<bdi>%s</bdi>") % visible(str(text))


def shortened(text: str, characters: int) -> str:
    """Return at most so many characters of `text`, the last of them an ellipsis where it is cut."""
    return text if len(text) <= characters else text[: characters - 1] + ELLIPSIS


def preformatted(text: str) -> Markup:
    """Return markup for JSON whose lines count; what is spelled out means the same in JSON."""
    clean = text.replace("\n", "").isprintable()
    return escape(text if clean else _spelled(text, _json_escape))


def _spelled(text: str, spell: Callable[[str], str]) -> str:
    return "".join(
        one if one in _KEPT or unicodedata.category(one) not in _OBEYED else spell(one)
        for one in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_OF_BASIC_PLANE else f"\\u{{{code:x}}}"


def _json_escape(character: str) -> str:
    """Spell a character in units of UTF-16, as JSON does (RFC 8259, section 7)."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
