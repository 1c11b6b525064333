"""The texts of one event, as a question is compared with them; each prepared once."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

import msgspec

from webapi.accents import fold
from webapi.pointer import step
from webapi.search_fields import CONTEXT

MAX_LEAVES: Final = 256
"""Values of one `context` that are looked at."""
MAX_TEXT_CHARACTERS: Final = 2048
"""Characters of one value that are looked at; the emitter allows no more outside of `context`."""


def compared(text: str, *, folded: bool) -> str:
    """Return a text as it is compared, without accents where it is folded."""
    # Python writes the sigma at the end of a word as people do; the index has one of all capitals.
    return fold(text) if folded else text.lower().replace("ς", "\u03c3")


class Tokens(NamedTuple):
    """The words of one text: as they are compared, from where to where, and where each stands."""

    words: list[str]
    spans: list[tuple[int, int]]
    at: dict[str, list[int]]


class Text:
    """One text of an event; what is asked of it again is kept."""

    __slots__ = ("_compared", "_tokens", "pointer", "text")

    def __init__(self, pointer: str, text: str) -> None:
        self.pointer = pointer
        self.text = text[:MAX_TEXT_CHARACTERS]
        self._compared: dict[bool, str] = {}
        self._tokens: dict[tuple[str, bool], Tokens] = {}

    def compared(self, *, folded: bool) -> str:
        """Return the text as it is compared, without accents where it is folded."""
        if folded not in self._compared:
            self._compared[folded] = compared(self.text, folded=folded)
        return self._compared[folded]

    def tokens(self, cut: re.Pattern[str], *, folded: bool) -> Tokens:
        """Return its words, as a pattern cuts them."""
        key = (cut.pattern, folded)
        if key not in self._tokens:
            found = list(cut.finditer(self.text))
            words = [compared(one[0], folded=folded) for one in found]
            at: defaultdict[str, list[int]] = defaultdict(list)
            for number, word in enumerate(words):
                at[word].append(number)
            self._tokens[key] = Tokens(words, [one.span() for one in found], at)
        return self._tokens[key]


class EventTexts:
    """The texts of one event by path."""

    def __init__(self, event: Mapping[str, object]) -> None:
        self._event = event
        self._at: dict[str, Sequence[Text]] = {}
        self._equal: dict[tuple[str, bool], dict[str, list[Text]]] = {}
        self._leaves: list[tuple[str, Text]] | None = None

    def at(self, path: str) -> Sequence[Text]:
        """Return what stands there; in `context`, all below it or where a dotted path leads."""
        if path not in self._at:
            inside = path == CONTEXT or path.startswith(CONTEXT + ".")
            self._at[path] = self._inside(path) if inside else self._outside(path)
        return self._at[path]

    def equal(self, path: str, wanted: str, *, folded: bool) -> Sequence[Text]:
        """Return the texts there that are all that is wanted."""
        key = (path, folded)
        if key not in self._equal:
            found: defaultdict[str, list[Text]] = defaultdict(list)
            for text in self.at(path):
                found[text.compared(folded=folded)].append(text)
            self._equal[key] = found
        return self._equal[key].get(wanted, ())

    def _inside(self, path: str) -> Sequence[Text]:
        if self._leaves is None:
            self._leaves = _leaves(self._event.get(CONTEXT))
        lowered = path.lower()
        return [
            text for dotted, text in self._leaves if path == CONTEXT or dotted.lower() == lowered
        ]

    def _outside(self, path: str) -> Sequence[Text]:
        value: object = self._event
        keys = path.split(".")
        for key in keys:
            value = _member(value, key)
        return [Text("/" + "/".join(keys), value)] if isinstance(value, str) and value else []


def _member(value: object, key: str) -> object:
    return cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None


def _leaves(context: object) -> list[tuple[str, Text]]:
    """Return dotted path (without places in lists) and text of each value, in order."""
    found: list[tuple[str, Text]] = []
    waiting: list[tuple[str, str, object]] = [(f"/{CONTEXT}", CONTEXT, context)]
    while waiting and len(found) < MAX_LEAVES:
        pointer, path, value = waiting.pop()
        if isinstance(value, dict):
            members = cast("dict[str, object]", value).items()
            inner = [(step(pointer, key), f"{path}.{key}", one) for key, one in members]
            waiting += reversed(inner)
        elif isinstance(value, list):
            items = enumerate(cast("list[object]", value))
            waiting += reversed([(step(pointer, at), path, one) for at, one in items])
        elif value is not None and value != "":
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            found.append((path, Text(pointer, text)))
    return found
