"""Where a question matched an event: computed here from the tree, on the event as it is stored.

OpenSearch's own highlighter knows neither `context` nor ids nor addresses, and answers HTML. Here
it is places in texts, so that what is shown stays text whatever it holds. Words are cut as
`standard` and `simple` do it, nearly: a place that is told was looked for; in rare scripts one may
be missing. What must not hold has no place.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi.accents import patterns
from webapi.addresses import Span, network_span, prefix_spans
from webapi.event_texts import EventTexts, Text, Tokens, compared
from webapi.event_values import read_spelled
from webapi.query import catalogued
from webapi.question import Kind, Match, Node, Not, Value
from webapi.search_fields import ANY_ORDER, Scope
from webapi.search_text import actions_of, chosen_of, name_of, scope_of
from webapi.search_words import token_fields

MAX_PLACES: Final = 100
"""Of one event."""

_MARKS: Final = "".join(
    one for one in map(chr, range(0x300, 0x2000)) if unicodedata.category(one).startswith("M")
)
"""They stand on the letter before, and end no word; `\\w` has none of them."""
_IN_WORDS: Final = rf"[{_MARKS}\u00ad\u200c\u200d]"
_STANDARD: Final = re.compile(
    r"[\u30a1-\u30fa\u30fc-\u30ff]+|[\u2e80-\u9fff\uf900-\ufaff]"
    rf"|[^\W\u2e80-\u9fff](?:[^\W\u2e80-\u9fff]|{_IN_WORDS})*"
    rf"(?:['.\u2019:\u00b7][^\W_](?:[^\W_]|{_IN_WORDS})*)*"
)
_LETTERS: Final = re.compile(r"[^\W\d_]+")


class Highlight(Struct, frozen=True, order=True):
    """A place where the question matched.

    Args:
        field: JSON Pointer (RFC 6901) to the value in the event.
        start: first character, in code points; of a number or a boolean as JSON writes it.
        end: behind the last.
    """

    field: str
    start: int
    end: int


class Highlighted(Struct, frozen=True):
    """What is added to an event."""

    highlights: list[Highlight]


def add_highlights(source: Raw, highlighter: "Highlighter | None", shown: Raw | None = None) -> Raw:
    """Return the same bytes of an event with `highlights` as its last member.

    Args:
        source: the event, whole.
        highlighter: of the question, if it has words.
        shown: what the answer has of the event, where that is not all.
    """
    found = Highlighted([] if highlighter is None else highlighter.places(read_spelled(source)))
    body = bytes(source if shown is None else shown).strip()
    separator = b"" if body == b"{}" else b","
    return Raw(body[:-1] + separator + msgspec.json.encode(found)[1:])


class Highlighter:
    """One question, ready to be looked for in many events.

    Args:
        node: the question.
        catalogue: what its categories and actions mean.
    """

    def __init__(self, node: Node, catalogue: Catalogue = CATALOGUE) -> None:
        pairs = [(match, value) for match in _positive(node) for value in match.values]
        self._sought = [_sought(match, value, catalogue) for match, value in pairs]

    def places(self, event: Mapping[str, object]) -> list[Highlight]:
        """Return where the question matched, in the order of fields and within them."""
        texts = EventTexts(event)
        found: set[Highlight] = set()
        for sought in self._sought:
            for place in _places(sought, texts):
                found.add(place)
                if len(found) == MAX_PLACES:
                    return sorted(found)
        return sorted(found)


class Words(NamedTuple):
    """Where words are looked for: how its text is cut and compared, and what is wanted there."""

    path: str
    cut: re.Pattern[str]
    folded: bool
    wanted: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """One value, prepared.

    Args:
        kind: how it is looked for.
        whole: paths where it is looked for whole or by its beginning, and whether folded.
        lower: the value as it is compared there.
        folded: the same without accents.
        words: where its words are.
        actions: the actions that it stands for; a beginning where `kind` says so.
        results: the results that it stands for.
        spans: the addresses.
        event_id: the id.
    """

    kind: Kind
    whole: tuple[tuple[str, bool], ...] = ()
    lower: str
    folded: str
    words: tuple[Words, ...] = ()
    actions: frozenset[str] = frozenset()
    results: frozenset[str] = frozenset()
    spans: tuple[Span, ...] = ()
    event_id: frozenset[str] = frozenset()


def _positive(node: Node) -> Iterator[Match]:
    if isinstance(node, Match):
        yield node
    elif not isinstance(node, Not):
        for part in node.parts:
            yield from _positive(part)


def _sought(match: Match, value: Value, catalogue: Catalogue) -> Sought:
    name = name_of(match)
    plain = Sought(
        kind=value.kind,
        lower=compared(value.text, folded=False),
        folded=compared(value.text, folded=True),
    )
    if name in {"category", "colour"}:
        chosen = chosen_of(name, value, catalogue)
        return replace(
            plain, kind=Kind.WORD, actions=frozenset(catalogued(catalogue, name, chosen))
        )
    if name == "result":
        return replace(plain, results=frozenset(chosen_of(name, value, catalogue)))
    if name == "action" and "." in value.text:
        return replace(plain, actions=actions_of(value, catalogue) | {plain.lower})
    return _in_scope(scope_of(match), value, plain)


def _in_scope(scope: Scope, value: Value, plain: Sought) -> Sought:
    folds = bool(patterns(value.text))
    beginning = value.kind is Kind.PREFIX
    span = None if beginning else network_span(value.text)
    spans = prefix_spans(value.text) if beginning else (span,)
    return replace(
        plain,
        whole=tuple(
            (path, folds and path in scope.folded)
            for path in scope.whole + (() if beginning else scope.only_whole)
        ),
        words=tuple(_words(scope, value, folds=folds)),
        spans=tuple(one for one in spans if one is not None) if scope.address else (),
        event_id=frozenset({plain.lower} if scope.event_id and not beginning else ()),
    )


def _words(scope: Scope, value: Value, *, folds: bool) -> Iterator[Words]:
    words, letters = token_fields(scope, value)
    for paths, cut in ((words, _STANDARD), (letters, _LETTERS)):
        for path in paths:
            folded = folds and path in scope.folded
            kind = Kind.WORD if value.kind is Kind.PHRASE and path in ANY_ORDER else value.kind
            wanted = tuple(compared(one, folded=folded) for one in cut.findall(value.text))
            if wanted:
                yield Words(path.rpartition(".")[0], cut, folded, wanted, kind)


def _places(sought: Sought, texts: EventTexts) -> Iterator[Highlight]:
    for path, folded in sought.whole:
        wanted = sought.folded if folded else sought.lower
        if sought.kind is Kind.PREFIX:
            yield from _beginnings(texts.at(path), wanted, folded=folded)
        else:
            yield from map(_all, texts.equal(path, wanted, folded=folded))
    for one in sought.words:
        for text in texts.at(one.path):
            yield from _tokens(text, one)
    yield from _identity(sought, texts)


def _identity(sought: Sought, texts: EventTexts) -> Iterator[Highlight]:
    """Yield what is matched as a whole: action, result, address, id."""
    if sought.actions and sought.kind is Kind.PREFIX:
        yield from _beginnings(texts.at("action"), sought.lower, folded=False)
    wholes = (("action", sought.actions), ("result", sought.results), ("id", sought.event_id))
    for path, wanted in wholes:
        yield from (_all(text) for text in texts.at(path) if text.text in wanted)
    for text in texts.at("ipAddress") if sought.spans else ():
        if any(span.holds(text.text) for span in sought.spans):
            yield _all(text)


def _all(text: Text) -> Highlight:
    return Highlight(text.pointer, 0, len(text.text))


def _beginnings(texts: Iterable[Text], wanted: str, *, folded: bool) -> Iterator[Highlight]:
    for text in texts:
        if text.compared(folded=folded).startswith(wanted):
            yield Highlight(text.pointer, 0, _end(text.text, len(wanted), folded=folded))


def _end(text: str, length: int, *, folded: bool) -> int:
    """Return where so many compared characters end, with the marks that stand on the last."""
    reached = 0
    for at, character in enumerate(text):
        width = len(compared(character, folded=folded))
        if reached >= length and width:
            return at
        reached += width
    return len(text)


def _tokens(text: Text, words: Words) -> Iterator[Highlight]:
    """Yield the words of a text that are wanted, where all of them are there."""
    tokens = text.tokens(words.cut, folded=words.folded)
    wanted = words.wanted
    if words.kind is Kind.PHRASE:
        yield from _phrases(text.pointer, tokens, wanted)
        return
    places = [tokens.at.get(word, ()) for word in wanted]
    cut = 0
    if words.kind is Kind.PREFIX:
        last = wanted[-1]
        cut = len(last)
        places[-1] = [at for at, word in enumerate(tokens.words) if word.startswith(last)]
    if not all(places):
        return
    for at in places.pop():
        start, end = tokens.spans[at]
        if cut:
            end = start + _end(text.text[start:end], cut, folded=words.folded)
        yield Highlight(text.pointer, start, end)
    for at in (at for found in places for at in found):
        yield Highlight(text.pointer, *tokens.spans[at])


def _phrases(pointer: str, tokens: Tokens, wanted: Sequence[str]) -> Iterator[Highlight]:
    for at in tokens.at.get(wanted[0], ()):
        if tokens.words[at : at + len(wanted)] == list(wanted):
            yield Highlight(pointer, tokens.spans[at][0], tokens.spans[at + len(wanted) - 1][1])
