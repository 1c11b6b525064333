"""Text that others wrote, as it may stand on a page: all of it seen, none of it obeyed. Pure."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from markupsafe import Markup, escape

_OBEYED: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line breaks, and the joiners without which Persian and emoji are not themselves."""
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_ALIKE: Final = re.compile(
    "[\u0370-\u052f\u0531-\u0587\u13a0-\u13fd\u1c80-\u1c8f\u1f00-\u1fff\ua640-\ua69f\uab70-\uabbf]"
)
"""Greek, Cyrillic, Armenian and Cherokee: some of their letters cannot be told from Latin ones."""
_SEAM: Final = re.compile(f"{_LATIN.pattern}{_ALIKE.pattern}|{_ALIKE.pattern}{_LATIN.pattern}")
_WORD: Final = re.compile(r"\\u[{]?[0-9a-f]+[}]?|[^\W\d_]+")
"""Letters, and what is spelled out, which is no word together with them."""
ELLIPSIS: Final = "…"
_LAST_OF_BASIC_PLANE: Final = 0xFFFF


def visible(text: str) -> str:
    r"""Return `text` with what a browser would obey spelled out, such as `\u202e`.

    Controls, and the marks that turn a line around or that nobody sees.
    """
    return text if text.isprintable() else _spelled(text, _escape)


def isolated(text: object) -> Markup:
    """Return markup in which `text` is text, whatever it holds and whichever way it runs.

    In a word of two scripts the letters of the rarer one are marked: who takes another's name
    writes it so, and nobody can type what they see.
    """
    seen = visible(str(text))
    if seen.isascii() or _SEAM.search(seen) is None:
        return Markup("<bdi>%s</bdi>") % seen
    told = _WORD.sub(lambda word: _told_apart(word[0]), str(escape(seen)))
    return Markup(f"<bdi>{told}</bdi>")  # noqa: S704  # escaped: letters alone were marked in it


def shortened(text: str, characters: int) -> str:
    """Return at most so many characters of `text`, the last of them an ellipsis where it is cut."""
    return text if len(text) <= characters else text[: characters - 1] + ELLIPSIS


def preformatted(text: str) -> Markup:
    """Return markup for JSON whose lines count; what is spelled out means the same in JSON."""
    clean = text.replace("\n", "").isprintable()
    return escape(text if clean else _spelled(text, _json_escape))


def _told_apart(word: str) -> str:
    latin, alike = len(_LATIN.findall(word)), len(_ALIKE.findall(word))
    if not latin or not alike:
        return word
    rarer = _ALIKE if alike <= latin else _LATIN
    return rarer.sub(_marked, word)


def _marked(letter: re.Match[str]) -> str:
    name = f"U+{ord(letter[0]):04X} {unicodedata.name(letter[0], '')}".strip()
    return f'<u class="alike" title="{name}">{letter[0]}</u>'


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
