"""Spellings of one word are one, with and without accents, and nothing else is."""

import re

import pytest

from webapi.accents import fold, fold_character, is_spelled, patterns

CHARACTERS = [*map(chr, range(0x21, 0x300)), *map(chr, range(0x370, 0x2000))]
"""Those that patterns are made of, and their neighbours."""


@pytest.mark.parametrize(
    ("one", "other"),
    [("José", "jose"), ("JOSE\u0301", "josé"), ("Łukasz", "lukasz"), ("Ørsted", "orsted"),
     ("Άλφα", "αλφα"), ("Ёлка", "елка"), ("Nguyễn", "nguyen"), ("ΟΔΥΣΣΕΥΣ", "οδυσσεύς")],
)  # fmt: skip
def test_spellings_that_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert patterns(one) == patterns(other) != ()
    assert patterns(one, lowered=True) == patterns(other, lowered=True) != ()


@pytest.mark.parametrize("text", ["a.b", "日本", "a*", "[a]", "x" * 300, "हिन्दी", "42"])
def test_what_is_not_folded(text: str) -> None:
    assert patterns(text) == ()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("jose", True), ("José", True), ("JOSE\u0301", True), ("Ade\u0301ba\u0301yo", True),
     ("Ad\u00e9bayo\u0323\u0300", False), ("\u1ecc\u0300ya", False), ("42", False)],
)  # fmt: skip
def test_a_word_that_mixes_spellings_is_not_found_by_its_own_patterns(
    text: str, *, spelled: bool
) -> None:
    assert is_spelled(text) == spelled


@pytest.mark.parametrize("lowered", [False, True], ids=["in any case", "lowered"])
@pytest.mark.parametrize("letter", [*"aceghijklnorstuwyz", *"иеησω"])
def test_a_letter_stands_for_all_its_spellings_and_for_nothing_else(
    letter: str, *, lowered: bool
) -> None:
    composed, decomposed = map(re.compile, patterns(letter, lowered=lowered))
    index = [one for one in CHARACTERS if not lowered or one.lower() == one]
    wanted = [one for one in index if fold_character(one) == letter]
    assert [one for one in index if composed.fullmatch(one)] == wanted
    assert decomposed.fullmatch(letter + "\u0301")
    assert all(fold_character(one) == letter for one in index if decomposed.fullmatch(one))


def test_a_pattern_for_lowered_words_is_shorter_than_one_for_any_case() -> None:
    word = fold("äçêğíñøšüž")
    for one, other in zip(patterns(word, lowered=True), patterns(word), strict=True):
        assert len(one) < len(other)
