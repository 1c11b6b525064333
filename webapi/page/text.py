"""Text that others wrote, as it may stand on a page: all of it seen, none of it obeyed. Pure."""

import unicodedata
from typing import Final

from markupsafe import Markup, escape

_OBEYED: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line breaks, and the joiners without which Persian and emoji are not themselves."""
ELLIPSIS: Final = "…"


def visible(text: str) -> str:
    r"""Return `text` with what a browser would obey spelled out, such as `\u202e`.

    Controls, and the marks that turn a line around or that nobody sees.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one in _KEPT or unicodedata.category(one) not in _OBEYED else f"\\u{ord(one):04x}"
        for one in text
    )


def isolated(text: object) -> Markup:
    """Return markup in which `text` is text, whatever it holds and whichever way it runs."""
    return Markup("<bdi>%s</bdi>") % visible(str(text))


def shortened(text: str, characters: int) -> str:
    """Return at most so many characters of `text`, the last of them an ellipsis where it is cut."""
    return text if len(text) <= characters else text[: characters - 1] + ELLIPSIS


def preformatted(text: str) -> Markup:
    """Return markup for lines whose blanks count; only the marks are spelled out."""
    return escape(visible(text))
