"""Names with accents: `Jose` finds `José`, and the other way round.

The index keeps words with their accents: folding them there needs `analysis-common`, which the
embedded node has not. So the question folds: each letter becomes the class of its spellings. Two
patterns are made here, of letters alone: one of letters that carry their accents, and one of
letters with marks behind them, as macOS spells the names of files. They have no repetition, no
alternative and nothing of what a person wrote but letters, and their automata have about as many
states as the word has letters. As one pattern they would cost OpenSearch, which makes the automaton
anew for each field of each partition, two thirds more. What it costs grows with the ranges in the
classes; where all words are in lower case there are fewer.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_PATTERN_CHARACTERS: Final = 998
"""`index.max_regex_length` of OpenSearch, less what makes it a beginning: some 25 letters."""

_LATIN_GREEK_CYRILLIC: Final = (
    range(0xC0, 0x250),
    range(0x370, 0x530),
    range(0x1E00, 0x2000),
)
_STROKES: Final = MappingProxyType(
    {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "\u0131": "i", "ς": "\u03c3"}
)
"""Letters that Unicode does not decompose, and people write without their stroke; and the sigma at
the end of a word, which the index makes of no capital."""
_HALF_COMPOSED: Final = "âêôăơư"
"""Vietnamese letters that older encodings write with their accent, and a mark for the tone."""
_ACCENTS: Final = frozenset(map(chr, range(0x300, 0x370)))
_MARK: Final = "[\u0300-\u036f]?"


def fold(text: str) -> str:
    """Return a text in lower case and without accents, as it is compared."""
    return "".join(map(fold_character, text))


def fold_character(character: str) -> str:
    """Return what stands for one character; nothing for a mark that stands on the one before."""
    if character.isascii():
        return character.lower()
    parts = unicodedata.normalize("NFD", character.lower())
    return "".join(_STROKES.get(part, part) for part in parts if part not in _ACCENTS)


def patterns(word: str, *, lowered: bool = False) -> tuple[str, ...]:
    """Return Lucene's patterns of all spellings of a word, in any case: composed, then decomposed.

    A word that is spelled in part like this and in part like that is found by neither. Empty where
    there is nothing to fold: not only letters and digits, too long, or none that has accents.

    Args:
        word: as it was asked for.
        lowered: they are for words that the index keeps in lower case.
    """
    folded = fold(word)
    if not folded.isalnum() or not any(letter in _LETTERS for letter in folded):
        return ()
    found = _spell(folded, _IN_ANY_CASE)
    if max(map(len, found)) > MAX_PATTERN_CHARACTERS:
        return ()
    return _spell(folded, _LOWERED) if lowered else found


def is_spelled(text: str) -> bool:
    """Tell whether a text is a spelling that its own patterns find."""
    found = patterns(text)
    return bool(found) and (text.isascii() or any(re.fullmatch(one, text) for one in found))


class _Alphabet(NamedTuple):
    """The class of each letter that has accents, composed and decomposed."""

    composed: Mapping[str, str]
    decomposed: Mapping[str, str]
    lowered: bool

    def other(self, letter: str) -> str:
        """Return how a letter without accents is spelled."""
        upper = letter.upper()
        one_case = self.lowered or upper == letter or len(upper) > 1
        return letter if one_case else f"[{upper}{letter}]"


def _spell(folded: str, alphabet: _Alphabet) -> tuple[str, str]:
    composed, decomposed = (
        "".join(classes.get(letter) or alphabet.other(letter) for letter in folded)
        for classes in (alphabet.composed, alphabet.decomposed)
    )
    return composed, decomposed


def _letters() -> Mapping[str, set[int]]:
    letters: defaultdict[str, set[int]] = defaultdict(set)
    for code in (code for part in _LATIN_GREEK_CYRILLIC for code in part):
        folded = fold_character(chr(code))
        if len(folded) == 1 and folded.isalpha() and folded != chr(code).lower():
            letters[folded] |= {code, ord(folded), *map(ord, folded.upper())}
    return letters


def _carries_marks(code: int) -> bool:
    """Whether a letter is written before marks: alone, or one that has an accent of its own."""
    character = chr(code)
    return not unicodedata.decomposition(character) or character.lower() in _HALF_COMPOSED


def _is_lowered(code: int) -> bool:
    return chr(code).lower() == chr(code)


def _class(codes: Iterable[int], *, lowered: bool) -> str:
    """Write a class in few ranges: where all is lowered one may reach over capitals."""
    found: list[list[int]] = []
    for code in sorted(filter(_is_lowered, codes) if lowered else codes):
        between = range(found[-1][1] + 1, code) if found else ()
        if found and not any(_is_lowered(one) or not lowered for one in between):
            found[-1][1] = code
        else:
            found.append([code, code])
    ranges = (chr(a) if a == b else f"{chr(a)}-{chr(b)}" for a, b in found)
    return f"[{''.join(ranges)}]"


def _alphabet(*, lowered: bool) -> _Alphabet:
    return _Alphabet(
        {letter: _class(codes, lowered=lowered) for letter, codes in _LETTERS.items()},
        {
            letter: _class(filter(_carries_marks, codes), lowered=lowered) + _MARK
            for letter, codes in _LETTERS.items()
        },
        lowered,
    )


_LETTERS: Final = _letters()
_IN_ANY_CASE: Final = _alphabet(lowered=False)
_LOWERED: Final = _alphabet(lowered=True)
