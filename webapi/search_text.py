"""What is asked by `q` becomes clauses of OpenSearch, all in filter context.

Nothing of a person's reaches a language of the cluster: words go to `multi_match`, ids to `term`
and `prefix`, addresses to `range`, and the only patterns are made by `webapi.accents`. No clause
begins with a wildcard. A question has no more clauses than OpenSearch takes (1,024), by a count
that is never too low.
"""

import re
import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Final

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import COLOURS
from audit_events.event import UUID_PATTERN, is_action
from indexer.document_id import possible_document_ids
from webapi.accents import is_spelled, patterns
from webapi.addresses import network_span, prefix_spans
from webapi.caret import caret
from webapi.errors import ParameterError
from webapi.grammar import parse
from webapi.query import (
    Clause,
    TextFilter,
    any_action,
    any_of,
    any_result,
    between_addresses,
    catalogued,
    stored_as,
)
from webapi.question import Every, Kind, Match, Node, Not, Value, matches_of
from webapi.search_fields import ANYWHERE, CONTEXT, Scope, field_named
from webapi.search_words import (
    beginning_clauses,
    is_numbered,
    phrase_clauses,
    token_fields,
    words_at_most,
    words_clause,
)
from webapi.values import RESULTS, action_of, is_catalogued

MAX_CLAUSES: Final = 880
"""OpenSearch takes 1,024 in all; the other parameters need some."""

_UUID: Final = re.compile(UUID_PATTERN, re.ASCII)
_ASCII_LOWERED: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def text_reader(catalogue: Catalogue) -> Callable[[str], TextFilter]:
    """Return the reader of questions whose actions and categories are those of a catalogue."""
    return partial(read_text, catalogue=catalogue)


def read_text(text: str, catalogue: Catalogue = CATALOGUE) -> TextFilter:
    """Read a question.

    Raises:
        ParameterError: with position and hint.
    """
    try:
        node = parse(text)
        return TextFilter(text=text, node=node, clause=_Making(catalogue).clause(node))
    except ParameterError as error:
        raise pointed(error, text) from None


def pointed(error: ParameterError, text: str) -> ParameterError:
    """Return the same error with a hint that shows its place."""
    hint = None if error.position is None else caret(text, error.position)
    return _with(error, error.position, hint)


def placed(error: ParameterError, position: int) -> ParameterError:
    """Return the same error at a place."""
    return _with(error, position, None)


def _with(error: ParameterError, position: int | None, hint: str | None) -> ParameterError:
    return ParameterError(
        error.code,
        error.reason,
        position=position,
        hint=hint,
        allowed=error.allowed,
        nearest=error.nearest,
    )


def uncatalogued_actions(node: Node, catalogue: Catalogue) -> Mapping[str, int]:
    """Return the actions and `noun.*` that only events can tell of, and where they are asked."""
    found: dict[str, int] = {}
    values = (
        one for match in matches_of(node) if name_of(match) == "action" for one in match.values
    )
    for value in values:
        name = _action_of(value)
        if name is not None and not is_catalogued(name, catalogue):
            found.setdefault(name, value.position)
    return found


def name_of(match: Match) -> str | None:
    """Return the documented name of the field of a match; None for one anywhere."""
    return None if match.name is None else field_named(match.name, match.position).name


def chosen_of(name: str, value: Value, catalogue: Catalogue) -> Sequence[str]:
    """Return what a value of `category`, `colour` or `result` stands for."""
    choices = {"category": catalogue.categories, "colour": COLOURS, "result": RESULTS}
    return _chosen(value, choices[name])


def scope_of(match: Match) -> Scope:
    """Return where a match looks; nowhere for what is not in the text of an event."""
    return ANYWHERE if match.name is None else field_named(match.name, match.position).scope


@dataclass(slots=True)
class _Making:
    """The clauses of one question, counted."""

    catalogue: Catalogue
    clauses: int = 0

    def clause(self, node: Node) -> Clause:
        if isinstance(node, Match):
            return any_of([self._value(node, value) for value in node.values])
        if isinstance(node, Not):
            return {"bool": {"must_not": [self.clause(node.part)]}}
        parts = [self.clause(part) for part in node.parts]
        return {"bool": {"filter": parts}} if isinstance(node, Every) else any_of(parts)

    def _value(self, match: Match, value: Value) -> Clause:
        if match.name is None:
            scope, found = ANYWHERE, None
        else:
            field = field_named(match.name, match.position)
            special = _SPECIAL.get(field.name)
            scope, found = field.scope, None if special is None else special(value, self.catalogue)
        made = scoped(scope, value, self.catalogue) if found is None else [found]
        self.clauses += _cost(made, scope, value)
        if self.clauses > MAX_CLAUSES:
            reason = "this is too much for one question; ask for less, or for fields by name"
            raise ParameterError("out_of_range", reason, position=value.position)
        return any_of(made)


def scoped(scope: Scope, value: Value, catalogue: Catalogue) -> list[Clause]:
    """Return the clauses, any of which finds a value in a scope."""
    if value.kind is Kind.PREFIX:
        return _beginnings(scope, value)
    text = value.text
    words, letters = token_fields(scope, value)
    tokens = words + letters
    if value.kind is Kind.PHRASE:
        clauses = phrase_clauses(tokens, text, catalogue)
    else:
        clauses = [words_clause(tokens, text, "best_fields")] if tokens else []
    spelled = is_spelled(text)
    # What is no whole email is found there by its words.
    paths = [
        path
        for path in scope.whole + scope.only_whole
        if f"{path}.text" not in tokens and not (spelled and path in scope.folded)
    ]
    clauses += _whole("term", paths, text)
    clauses += _folded(scope, text)
    if scope.address:
        span = network_span(text)
        clauses += [] if span is None else [between_addresses(span)]
    if scope.event_id and _UUID.fullmatch(text.lower()) is not None:
        clauses.append({"ids": {"values": possible_document_ids(text.lower())}})
    return clauses


def _beginnings(scope: Scope, value: Value) -> list[Clause]:
    text = value.text
    clauses = beginning_clauses(*token_fields(scope, value), text)
    spelled = is_spelled(text)
    paths = [path for path in scope.whole if not (spelled and path in scope.folded)]
    clauses += _whole("prefix", paths, text)
    clauses += _folded(scope, text, ".*")
    if scope.address:
        clauses += [between_addresses(span) for span in prefix_spans(text)]
    return clauses


def _whole(kind: str, paths: Sequence[str], text: str) -> list[Clause]:
    # Ids are kept as they were written; people ask for them in any case.
    cases = _in_cases(text)
    return [
        {kind: {path: {"value": one, "case_insensitive": True}}} for path in paths for one in cases
    ]


def _in_cases(text: str) -> Collection[str]:
    """Return a text in the cases in which people write it: OpenSearch ignores that of ASCII alone.

    As it is, all small, all capital, and with a capital where it, or each of its words, begins.
    """
    found: dict[str, str] = {}
    for one in (text, text.lower(), text.upper(), text.capitalize(), text.title()):
        if len(one) == len(text):  # `ß` stays what it is
            found.setdefault(one.translate(_ASCII_LOWERED), one)
    return found.values()


def _folded(scope: Scope, text: str, ending: str = "") -> list[Clause]:
    found: list[Clause] = []
    for path in scope.folded:
        is_letters = path in scope.letters
        if is_letters and is_numbered(text):
            continue
        # Names are indexed in lower case, values of `context` as they were written.
        spellings = patterns(text, lowered=path != CONTEXT)
        # A mark is no letter: a run of letters ends there.
        wanted = spellings[:1] if is_letters else spellings
        found += [{"regexp": {path: {"value": one + ending, "flags": "NONE"}}} for one in wanted]
    return found


def _cost(made: Sequence[Clause], scope: Scope, value: Value) -> int:
    """Return how many clauses OpenSearch counts at most, once texts are split into words."""
    fields = len(scope.words) + len(scope.letters)
    if value.kind is Kind.PREFIX and not value.text[-1].isalnum():
        fields += len(scope.words)  # `128.` may be all of a word, or its beginning
    return len(made) + words_at_most(value.text) * fields


def _action_of(value: Value) -> str | None:
    """Return the action, or `noun.*`, that a value names; None when it is words or a beginning."""
    text = value.text.lower()
    if value.kind is Kind.PREFIX:
        return text + "*" if text.endswith(".") and is_action(text + "x") else None
    return text if "." in text and value.kind is Kind.WORD else None


def _action(value: Value, catalogue: Catalogue) -> Clause | None:
    name = _action_of(value)
    if name is None:
        if value.kind is not Kind.PREFIX or "." not in value.text:
            return None
        others = sorted(actions_of(value, catalogue))
        clauses: list[Clause] = [{"prefix": {"action": value.text.lower()}}]
        return any_of([*clauses, {"terms": {"action": others}}] if others else clauses)
    try:
        return any_action(stored_as(catalogue, [action_of(catalogue)(name)]))
    except ParameterError as error:
        raise placed(error, value.position) from None


def actions_of(value: Value, catalogue: Catalogue) -> frozenset[str]:
    """Return the ids, of today and before, under which events of a named action may be stored.

    Of a beginning, only those that do not begin so.
    """
    text = value.text.lower()
    if value.kind is not Kind.PREFIX:
        return frozenset(catalogue.names_of(text))
    begun = [name for name in catalogue.rules if name.startswith(text)]
    names = {one for name in begun for one in catalogue.names_of(name)}
    return frozenset(name for name in names if not name.startswith(text))


def _category(value: Value, catalogue: Catalogue) -> Clause:
    chosen = chosen_of("category", value, catalogue)
    return any_action(catalogued(catalogue, "category", chosen))


def _colour(value: Value, catalogue: Catalogue) -> Clause:
    return any_action(catalogued(catalogue, "colour", chosen_of("colour", value, catalogue)))


def _result(value: Value, catalogue: Catalogue) -> Clause:
    return any_result(chosen_of("result", value, catalogue))


def _chosen(value: Value, allowed: Sequence[str]) -> list[str]:
    """Return those of a few texts that a value names: whole, by a word, or by its beginning."""
    text = value.text.lower()
    whole = [one for one in allowed if one.lower() == text]
    if value.kind is Kind.PREFIX:
        found = [one for one in allowed if one.lower().startswith(text)]
    else:
        found = whole or [one for one in allowed if text in one.lower().split()]
    if found:
        return found
    lowered = {one.lower(): one for one in allowed}
    near = get_close_matches(text[:100], lowered, n=2, cutoff=0.5)
    raise ParameterError(
        "unknown_value",
        "expected one of the values there are",
        position=value.position,
        allowed=tuple(allowed),
        nearest=tuple(lowered[one] for one in near),
    )


def _ip(value: Value, _: Catalogue) -> Clause:
    span = None if value.kind is Kind.PREFIX else network_span(value.text)
    spans = prefix_spans(value.text) if span is None and value.kind is Kind.PREFIX else (span,)
    clauses = [between_addresses(one) for one in spans if one is not None]
    if clauses:
        return any_of(clauses)
    reason = "expected an address, a block such as 203.0.113.0/24, or a beginning: 203.0.113.*"
    raise ParameterError("invalid", reason, position=value.position)


def _id(value: Value, _: Catalogue) -> Clause:
    if value.kind is Kind.PREFIX or _UUID.fullmatch(value.text.lower()) is None:
        raise ParameterError("invalid", "expected the whole id, a UUID", position=value.position)
    return {"ids": {"values": possible_document_ids(value.text.lower())}}


_SPECIAL: Final[Mapping[str, Callable[[Value, Catalogue], Clause | None]]] = MappingProxyType(
    {
        "action": _action,
        "category": _category,
        "colour": _colour,
        "result": _result,
        "ip": _ip,
        "id": _id,
    }
)
"""Fields whose values are not just looked for in a scope."""
