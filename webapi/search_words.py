"""The words of a value: in which fields they are looked for, and by which clauses. Pure.

OpenSearch cuts them: `standard` keeps words as they stand, `simple` runs of letters.
"""

import re
from collections.abc import Sequence
from typing import Final

from audit_events.catalogue import Catalogue
from webapi.query import Clause
from webapi.question import Kind, Value
from webapi.search_fields import ACTION_WORDS, ANY_ORDER, Scope

_RUN: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_FIRST_OF_MANY_WORDS: Final = "\u0e00"
"""From Thai on there are scripts of which each character may be a word of the index."""
_LONGEST_TOKEN: Final = 255
"""`standard` and `simple` cut longer words into several."""
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_EMAIL_BEGINNING: Final = re.compile(r"[^\s@]+@[^\s@]*")
_GOES_ON: Final = re.compile(r"(.*?)(\w+(?:['.,:\u2019\u00b7]\w+)*['.,:\u2019\u00b7])", re.DOTALL)


def token_fields(scope: Scope, value: Value) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a scope where the words of a value are asked for, and its letters.

    Whoever writes a whole email means that one, and by its words `bob.ana@x.com` is found too.
    """
    shape = _EMAIL_BEGINNING if value.kind is Kind.PREFIX else _EMAIL
    if shape.fullmatch(value.text) is None:
        return scope.words, () if is_numbered(value.text) else scope.letters
    return tuple(path for path in scope.words if path.removesuffix(".text") not in scope.whole), ()


def phrase_clauses(fields: Sequence[str], text: str, catalogue: Catalogue) -> list[Clause]:
    """Return the clauses for words beside each other.

    `match_only_text` knows no positions: for a phrase OpenSearch reads each event that has the
    words, also one that has them in another order. So that is asked of names alone. In addresses,
    user agents and types the words may stand in any order, and what the catalogue knows of an
    action is not asked of the events.
    """
    clauses: list[Clause] = []
    ordered = [path for path in fields if path not in ANY_ORDER and path != ACTION_WORDS]
    if ordered:
        clauses.append(words_clause(ordered, text, "phrase"))
    unordered = [path for path in fields if path in ANY_ORDER]
    if unordered:
        clauses.append(words_clause(unordered, text, "best_fields"))
    if ACTION_WORDS in fields:
        clauses += _action_phrase(text, catalogue)
    return clauses


def beginning_clauses(words: Sequence[str], letters: Sequence[str], text: str) -> list[Clause]:
    """Return the clauses for words of which the last one begins so.

    OpenSearch takes the last one for whole where a sign stands behind it. `128.` begins `128.0`.
    """
    fields = [*words, *letters]
    clauses = [words_clause(fields, text, "bool_prefix")] if fields else []
    found = _GOES_ON.fullmatch(text)
    if found is None:
        return clauses
    before, last = found.groups()
    for path in words:
        begins: Clause = {"prefix": {path: last.lower()}}
        with_others = [words_clause([path], before, "best_fields"), begins]
        others = any(map(str.isalnum, before))
        clauses.append({"bool": {"filter": with_others}} if others else begins)
    return clauses


def _action_phrase(text: str, catalogue: Catalogue) -> list[Clause]:
    wanted = _LETTERS.findall(text.lower())
    found = [name for name in catalogue.rules if _beside(wanted, _LETTERS.findall(name))]
    others: Clause = {
        "bool": {
            "filter": [words_clause([ACTION_WORDS], text, "phrase")],
            "must_not": [{"terms": {"action": list(catalogue.rules)}}],
        }
    }
    return [{"terms": {"action": found}}, others] if found else [others]


def _beside(wanted: Sequence[str], words: Sequence[str]) -> bool:
    starts = range(len(words) - len(wanted) + 1)
    return any(list(wanted) == list(words[at : at + len(wanted)]) for at in starts)


def words_clause(fields: Sequence[str], text: str, kind: str) -> Clause:
    """Return the clause that finds these words in any of the fields."""
    asked: dict[str, object] = {"query": text, "fields": list(fields), "type": kind}
    if kind != "phrase":
        asked["operator"] = "and"
    return {"multi_match": {**asked, "lenient": True}}


def is_numbered(text: str) -> bool:
    """Runs of letters have no digits: `app_42` would find every `app` there."""
    return any(map(str.isdigit, text))


def words_at_most(text: str) -> int:
    """Return into how many words the index can split a text, never too few."""
    runs = sum(1 + len(run) // _LONGEST_TOKEN for run in _RUN.findall(text))
    return max(1, runs + sum(character >= _FIRST_OF_MANY_WORDS for character in text))
