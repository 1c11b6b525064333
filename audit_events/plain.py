"""Contexts that are recorded as they are: small, of plain values, under keys that are known.

Most contexts are: previous and new values of a few fields. To see that costs a look at each key and
the type of each value (1 µs for five keys), where the walk that refuses, replaces and cuts takes
three times as long.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from audit_events.redaction import Redaction
from audit_events.walk import MAX_SAFE_INTEGER

MAX_TEXT_CHARACTERS: Final = 128
MAX_VALUES: Final = 32
"""So that no context that passes comes near any limit of size or depth."""
_MAX_KEYS: Final = 4_096
_MAX_KEY_CHARACTERS: Final = 64


class PlainContexts:
    """Learns the keys of contexts that were walked, but for those that redaction is about.

    Args:
        redaction: what a plain context must leave nothing to do for.
    """

    __slots__ = ("_clean", "_keys", "_redaction", "_shortest_text")

    def __init__(self, redaction: Redaction) -> None:
        self._keys: set[str] = set()
        self._redaction = redaction
        self._clean = redaction.clean
        self._shortest_text = min(redaction.shortest_text, MAX_TEXT_CHARACTERS + 1)

    def knows(self, context: Any) -> bool:  # noqa: ANN401, C901  # a call for each value doubles it
        """Tell whether `context` is a dictionary that needs neither walk nor measuring."""
        if type(context) is not dict:  # a subclass may answer otherwise
            return False
        keys, shortest = self._keys, self._shortest_text
        outermost: dict[Any, Any] = context  # pyright: ignore[reportUnknownVariableType]  # as below
        room = MAX_VALUES - len(outermost)
        if room < 0 or not keys.issuperset(outermost):
            return False
        mappings = [outermost]
        for mapping in mappings:
            for value in mapping.values():
                kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # a cast is a call
                if kind is str:
                    if len(value) >= shortest and not self._is_clean(value):
                        return False
                elif kind is dict:
                    room -= len(value) or 1
                    if room < 0 or not keys.issuperset(value):
                        return False
                    mappings.append(value)
                elif not (value is None or kind is bool or _is_safe_integer(value)):
                    return False
        return True

    def _is_clean(self, value: object) -> bool:
        text = cast("str", value)
        return len(text) <= MAX_TEXT_CHARACTERS and self._clean(text) == text

    def learn(self, context: Mapping[str, object]) -> None:
        """Remember the keys of a context that was walked and found right."""
        if self._redaction.all_paths:
            return
        mappings: list[Mapping[str, object]] = [context]
        for one in mappings:
            for key, value in one.items():
                # In what was redacted or cut nobody looked: a key may be anything there.
                if key not in self._keys and isinstance(cast("object", key), str):
                    self._learn_key(key)
                if isinstance(value, dict) and len(mappings) < MAX_VALUES:
                    mappings.append(cast("Mapping[str, object]", value))

    def _learn_key(self, key: str) -> None:
        # Only ASCII: keys beyond the basic plane sort otherwise in RFC 8785 than by code point.
        if len(key) > _MAX_KEY_CHARACTERS or not key.isascii() or len(self._keys) >= _MAX_KEYS:
            return
        if self._redaction.treatments[key] is None:
            self._keys.add(key)


def _is_safe_integer(value: object) -> bool:
    if type(value) is not int:
        return False
    return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
