"""Where a question matched an event: computed here from the tree, on the event as it is stored.

OpenSearch's own highlighter knows neither `context` nor ids nor addresses, and answers HTML. Here
it is places in texts, so that what is shown stays text whatever it holds. Words are cut as
`standard` and `simple` do it, nearly: a place that is told was looked for; in rare scripts one may
be missing. What must not hold has no place.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec
from msgspec import Raw, Struct

from audit_events.catalogue import CATALOGUE, Catalogue
from webapi.accents import fold, pattern
from webapi.addresses import network_span, prefix_spans
from webapi.grammar import Kind, Match, Node, Not, Value
from webapi.search_fields import CONTEXT, Scope
from webapi.search_text import chosen_of, name_of, scope_of

MAX_PLACES: Final = 100
"""Of one event."""
MAX_LEAVES: Final = 256
"""Values of one `context` that are looked at."""
MAX_TEXT_CHARACTERS: Final = 4096
"""Characters of one value that are looked at; the emitter allows 2,048 at most outside context."""

_STANDARD: Final = re.compile(
    r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff]+(?:['.\u2019:\u00b7][^\W_]+)*"
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


def add_highlights(source: Raw, node: Node | None, catalogue: Catalogue = CATALOGUE) -> Raw:
    """Return the same bytes of an event with `highlights` as its last member."""
    event = cast("dict[str, object]", msgspec.json.decode(source))
    found = Highlighted([] if node is None else highlights(node, event, catalogue))
    body = bytes(source).rstrip()
    separator = b"," if event else b""
    return Raw(body[:-1] + separator + msgspec.json.encode(found)[1:])


def highlights(
    node: Node, event: Mapping[str, object], catalogue: Catalogue = CATALOGUE
) -> list[Highlight]:
    """Return where a question matched, in the order of fields and within them."""
    texts = _Texts(event)
    found: set[Highlight] = set()
    for match in _positive(node):
        for value in match.values:
            found.update(_special(match, value, event, catalogue))
            if not _is_action(match, value):
                found.update(_places(scope_of(match), value, texts))
    return sorted(found)[:MAX_PLACES]


def _positive(node: Node) -> Iterator[Match]:
    if isinstance(node, Match):
        yield node
    elif not isinstance(node, Not):
        for part in node.parts:
            yield from _positive(part)


def _special(
    match: Match, value: Value, event: Mapping[str, object], catalogue: Catalogue
) -> Iterator[Highlight]:
    """Yield places of what is no text of the event: the catalogue's, and results."""
    name = name_of(match)
    action = event.get("action")
    if not isinstance(action, str):
        return
    if name in {"category", "colour"}:
        entry = catalogue.find(action)
        if entry is not None and getattr(entry, name) in chosen_of(name, value, catalogue):
            yield Highlight("/action", 0, len(action))
    elif _is_action(match, value):
        yield from _named_action(action, value, catalogue)
    elif name == "result":
        result = event.get("result")
        if isinstance(result, str) and result in chosen_of(name, value, catalogue):
            yield Highlight("/result", 0, len(result))


def _named_action(action: str, value: Value, catalogue: Catalogue) -> Iterator[Highlight]:
    text = value.text.lower()
    if value.kind is Kind.PREFIX and action.startswith(text):
        yield Highlight("/action", 0, len(text))
    elif action in catalogue.names_of(text):
        yield Highlight("/action", 0, len(action))


def _is_action(match: Match, value: Value) -> bool:
    """Tell whether a value is an action or its beginning, not words of one."""
    return name_of(match) == "action" and "." in value.text


def _places(scope: Scope, value: Value, texts: "_Texts") -> Iterator[Highlight]:
    folds = value.kind is not Kind.PHRASE and pattern(value.text) is not None
    beginning = value.kind is Kind.PREFIX
    for path in scope.whole + (() if beginning else scope.only_whole):
        for pointer, text in texts.at(path):
            found = _whole(text, value, folded=folds and path in scope.folded)
            if found:
                yield Highlight(pointer, 0, found)
    letters = () if any(map(str.isdigit, value.text)) else scope.letters
    for paths, cut in ((scope.words, _STANDARD), (letters, _LETTERS)):
        for path in paths:
            for pointer, text in texts.at(path.rpartition(".")[0]):
                folded = folds and path in scope.folded
                wanted = _cut(value.text, cut, folded=folded).words
                tokens = texts.tokens(text, cut, folded=folded)
                yield from _tokens(pointer, tokens, wanted, value.kind)
    yield from _identity(scope, value, texts)


def _identity(scope: Scope, value: Value, texts: "_Texts") -> Iterator[Highlight]:
    if scope.address:
        span = network_span(value.text)
        spans = prefix_spans(value.text) if value.kind is Kind.PREFIX else (span,)
        for pointer, text in texts.at("ipAddress"):
            if any(one is not None and one.holds(text) for one in spans):
                yield Highlight(pointer, 0, len(text))
    if scope.event_id and value.kind is not Kind.PREFIX:
        for pointer, text in texts.at("id"):
            if text == value.text.lower():
                yield Highlight(pointer, 0, len(text))


def _whole(text: str, value: Value, *, folded: bool) -> int:
    """Return how much of a text matches from its beginning; 0 when it does not."""
    compare = fold if folded else str.lower
    wanted = compare(value.text)
    if value.kind is not Kind.PREFIX:
        return len(text) if compare(text) == wanted else 0
    end = 0
    for end in range(1, len(text) + 1):
        if len(compare(text[:end])) >= len(wanted):
            break
    return end if compare(text[:end]) == wanted else 0


class Tokens(Struct, frozen=True):
    """The words of one text: as they are compared, and from where to where they stand."""

    words: list[str]
    spans: list[tuple[int, int]]
    at: dict[str, list[int]]


def _tokens(pointer: str, tokens: Tokens, wanted: Sequence[str], kind: Kind) -> Iterator[Highlight]:
    """Yield the words of a text that are wanted, where all of them are there."""
    if not wanted:
        return
    if kind is Kind.PHRASE:
        yield from _phrases(pointer, tokens, wanted)
        return
    places = [tokens.at.get(word, []) for word in wanted]
    cut = 0
    if kind is Kind.PREFIX:
        last = wanted[-1]
        cut = len(last)
        places[-1] = [at for at, word in enumerate(tokens.words) if word.startswith(last)]
    if not all(places):
        return
    for at in places.pop():
        start, end = tokens.spans[at]
        yield Highlight(pointer, start, min(start + cut, end) if cut else end)
    for at in (at for found in places for at in found):
        yield Highlight(pointer, *tokens.spans[at])


def _phrases(pointer: str, tokens: Tokens, wanted: Sequence[str]) -> Iterator[Highlight]:
    for at in tokens.at.get(wanted[0], []):
        if tokens.words[at : at + len(wanted)] == list(wanted):
            yield Highlight(pointer, tokens.spans[at][0], tokens.spans[at + len(wanted) - 1][1])


class _Texts:
    """The texts of one event by path, and their words, each cut once."""

    def __init__(self, event: Mapping[str, object]) -> None:
        self._event = event
        self._leaves: list[tuple[str, str, str]] | None = None
        self._tokens: dict[tuple[str, str, bool], Tokens] = {}

    def at(self, path: str) -> Sequence[tuple[str, str]]:
        """Return pointers and texts; of `context`, of all below it or where a dotted path leads."""
        if path == CONTEXT or path.startswith(CONTEXT + "."):
            return [
                (pointer, text)
                for pointer, dotted, text in self._context()
                if path in {CONTEXT, dotted}
            ]
        value: object = self._event
        keys = path.split(".")
        for key in keys:
            value = _member(value, key)
        text = value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else ""
        return [("/" + "/".join(keys), text)] if text else []

    def tokens(self, text: str, cut: re.Pattern[str], *, folded: bool) -> Tokens:
        key = (text, cut.pattern, folded)
        if key not in self._tokens:
            self._tokens[key] = _cut(text, cut, folded=folded)
        return self._tokens[key]

    def _context(self) -> list[tuple[str, str, str]]:
        if self._leaves is None:
            self._leaves = _leaves(self._event.get(CONTEXT))
        return self._leaves


def _member(value: object, key: str) -> object:
    return cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None


def _cut(text: str, cut: re.Pattern[str], *, folded: bool) -> Tokens:
    found = list(cut.finditer(text))
    words = [fold(one[0]) if folded else one[0].lower() for one in found]
    at: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        at.setdefault(word, []).append(number)
    return Tokens(words, [one.span() for one in found], at)


def _leaves(context: object) -> list[tuple[str, str, str]]:
    """Return pointer, dotted path (without places in lists) and text of each value, in order."""
    found: list[tuple[str, str, str]] = []
    waiting: list[tuple[str, str, object]] = [(f"/{CONTEXT}", CONTEXT, context)]
    while waiting and len(found) < MAX_LEAVES:
        pointer, path, value = waiting.pop()
        if isinstance(value, dict):
            members = cast("dict[str, object]", value).items()
            inner = [(f"{pointer}/{_escaped(key)}", f"{path}.{key}", one) for key, one in members]
            waiting += reversed(inner)
        elif isinstance(value, list):
            items = enumerate(cast("list[object]", value))
            waiting += reversed([(f"{pointer}/{at}", path, one) for at, one in items])
        elif value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            found.append((pointer, path, text[:MAX_TEXT_CHARACTERS]))
    return found


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
