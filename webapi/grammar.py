r"""The language of `q`: from text to a tree with positions, and back.

    question = either
    either   = every, { ("OR" | "|"), every }
    every    = part, { ["AND"], part }
    part     = ["-" | "NOT"], ("(", either, ")" | match)
    match    = [name, ":"], values
    values   = value, { ",", value } | "(", value, { ("," | "OR" | "|"), value }, ")"
    value    = word | word, ("*" | "…") | '"', phrase, '"'

Several values stand only behind a name, and mean any of them. `\` takes the next character as it
is. A piece without a letter or digit says nothing and is skipped. Pure: which names there are, and
what they can hold, is of `webapi.search_fields`.

Every text is read or refused, with a position within it; the depth of the tree, the number of its
values and so the time are bounded, whatever is sent.
"""

import re
import unicodedata
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Final

from webapi.errors import ParameterError
from webapi.question import Either, Every, Kind, Match, Node, Not, Value

MAX_CHARACTERS: Final = 1024
MAX_VALUES: Final = 64
MAX_DEPTH: Final = 10
"""Parentheses within parentheses."""
MAX_PHRASE_WORDS: Final = 24
MAX_PHRASE_CHARACTERS: Final = 300
MIN_PREFIX_CHARACTERS: Final = 2
"""Letters and digits before a `*`; one would match a large part of all words."""
CUT: Final = "…"

_NAME: Final = re.compile(r"([^\W\d_][\w.-]*):(?!//)")
_RUN: Final = re.compile(r"[^\W_]+")
_ENDS: Final = frozenset('()|"')


def parse(text: str) -> Node:
    """Read a question.

    Raises:
        ParameterError: with the position.
    """
    if len(text) > MAX_CHARACTERS:
        reason = f"expected at most {MAX_CHARACTERS} characters, not {len(text)}"
        raise ParameterError("out_of_range", reason, position=MAX_CHARACTERS)
    for position, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs"} and not character.isspace():
            raise ParameterError("invalid", "contains a control character", position=position)
    return _Parser(text).question()


def is_address(text: str) -> bool:
    """Tell whether this is an IP address or a block in CIDR notation."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class _Parser:
    """One text, and how far it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._values = 0

    def question(self) -> Node:
        if not any(map(str.isalnum, self._text)):
            raise ParameterError("invalid", "expected at least one letter or digit", position=0)
        node = self._either()
        if self._at < len(self._text):
            raise ParameterError("invalid", "there is no ( for this )", position=self._at)
        return node

    def _either(self) -> Node:
        parts = [self._every()]
        while self._takes_or():
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self) -> Node:
        parts: list[Node] = []
        missing = False
        while not self._ends() and not self._sees_or():
            if self._takes("AND"):
                if missing or not parts:
                    break
                missing = True
                continue
            parts.append(self._part())
            missing = False
        if missing or not parts:
            raise ParameterError("invalid", "expected something to look for", position=self._at)
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _part(self) -> Node:
        if self._takes("NOT") or self._takes_sign("-"):
            self._skip()
            if self._sees("NOT") or self._next() == "-":
                raise ParameterError(
                    "invalid", "is already excluded; leave one of the two out", position=self._at
                )
            return Not(self._positive())
        self._takes_sign("+")
        return self._positive()

    def _positive(self) -> Node:
        if self._next() == "(":
            return self._group()
        start = self._at
        name = self._name()
        if name is None:
            return Match(None, (self._value(listed=False),), start)
        return Match(name, self._values_of(name), start)

    def _group(self) -> Node:
        opened = self._at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            reason = f"expected at most {MAX_DEPTH} parentheses within each other"
            raise ParameterError("out_of_range", reason, position=opened)
        self._at += 1
        node = self._either()
        self._close(opened)
        self._depth -= 1
        return node

    def _close(self, opened: int) -> None:
        if self._next() != ")":
            raise ParameterError("invalid", "this ( is never closed", position=opened)
        self._at += 1

    def _name(self) -> str | None:
        found = _NAME.match(self._text, self._at)
        if found is None or self._address_ahead():
            return None
        self._at = found.end()
        return found[1]

    def _address_ahead(self) -> bool:
        """`fe80::1` looks like a field `fe80`; so does the beginning `fd00:1:*`."""
        chunk = re.match(r"[^\s()|\",]+", self._text[self._at :])
        if chunk is None:
            return False
        text = chunk[0]
        if text.endswith(":*"):
            text = text[:-1] + ("" if text.endswith("::*") else ":")
        return is_address(text)

    def _values_of(self, name: str) -> tuple[Value, ...]:
        if self._next() == "(":
            opened = self._at
            self._at += 1
            self._skip()
            values = [self._value(listed=True)]
            while self._takes_or() or self._takes_sign(","):
                self._skip()
                values.append(self._value(listed=True))
            self._skip()
            if self._next() not in {")", ""}:
                raise ParameterError(
                    "invalid",
                    f"expected `,`, `OR` or `)` between values of `{name}`",
                    position=self._at,
                )
            self._close(opened)
            return tuple(values)
        values = [self._value(listed=True)]
        while self._takes_sign(","):
            values.append(self._value(listed=True))
        return tuple(values)

    def _value(self, *, listed: bool) -> Value:
        start = self._at
        self._values += 1
        if self._values > MAX_VALUES:
            reason = f"expected at most {MAX_VALUES} words and values"
            raise ParameterError("out_of_range", reason, position=start)
        value = self._phrase() if self._next() == '"' else self._word(listed=listed)
        if not any(map(str.isalnum, value.text)):
            reason = "expected a value with at least one letter or digit"
            raise ParameterError("invalid", reason, position=min(start, len(self._text)))
        return value

    def _phrase(self) -> Value:
        start = self._at
        self._at += 1
        found: list[str] = []
        while (character := self._next()) != '"':
            if not character:
                raise ParameterError("invalid", "these quotes are never closed", position=start)
            found.append(self._character(character))
        self._at += 1
        if self._next() == "*":
            raise ParameterError(
                "invalid", "only a word takes a *, not a phrase", position=self._at
            )
        text = "".join(found)
        if len(text) > MAX_PHRASE_CHARACTERS or len(_RUN.findall(text)) > MAX_PHRASE_WORDS:
            reason = (
                f"expected at most {MAX_PHRASE_WORDS} words and {MAX_PHRASE_CHARACTERS} characters"
                " in quotes"
            )
            raise ParameterError("out_of_range", reason, position=start)
        return Value(Kind.PHRASE, text, start)

    def _word(self, *, listed: bool) -> Value:
        start = self._at
        found: list[str] = []
        kind = Kind.WORD
        while character := self._next():
            if character.isspace() or character in _ENDS or (listed and character == ","):
                break
            if character == "*":
                self._star(found, listed=listed)
                kind = Kind.PREFIX
                break
            if character == CUT and self._is_cut(found, listed=listed):
                self._at += 1
                kind = Kind.PREFIX
                break
            found.append(self._character(character))
        if self._next() == '"' and found:
            raise ParameterError(
                "invalid",
                r"put a blank before the quotes, or \" for the character",
                position=self._at,
            )
        return Value(kind, "".join(found), start)

    def _star(self, found: Sequence[str], *, listed: bool) -> None:
        at = self._at
        self._at += 1
        if not found or not self._word_ends(listed=listed):
            reason = r"a * stands at the end of a word only; for the character itself write \*"
            raise ParameterError("invalid", reason, position=at)
        if sum(map(str.isalnum, found)) < MIN_PREFIX_CHARACTERS:
            reason = f"expected {MIN_PREFIX_CHARACTERS} letters or digits before a *"
            raise ParameterError("invalid", reason, position=at)

    def _is_cut(self, found: Sequence[str], *, listed: bool) -> bool:
        """Tables show ids as `513644f7…`, and what is copied from them is searched for."""
        told = sum(map(str.isalnum, found)) >= MIN_PREFIX_CHARACTERS
        return told and self._word_ends(listed=listed, behind=1)

    def _word_ends(self, *, listed: bool, behind: int = 0) -> bool:
        after = self._text[self._at + behind : self._at + behind + 1]
        return not after or after.isspace() or after in "()|" or (listed and after == ",")

    def _character(self, character: str) -> str:
        if character == "\\":
            self._at += 1
            character = self._next()
            if not character:
                raise ParameterError("invalid", r"nothing follows this \ ", position=self._at - 1)
        self._at += 1
        return character

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        """Go on behind blanks, and behind pieces that say nothing."""
        while True:
            blank = re.compile(r"\s*").match(self._text, self._at)
            self._at = self._at if blank is None else blank.end()
            said = re.compile(r'[^\s()|",*\\]+(?=[\s()|]|$)').match(self._text, self._at)
            if said is None or any(map(str.isalnum, said[0])) or self._signs_group(said):
                return
            self._at = said.end()

    def _signs_group(self, said: re.Match[str]) -> bool:
        return said[0][-1] in "-+" and self._text[said.end() : said.end() + 1] == "("

    def _ends(self) -> bool:
        self._skip()
        return self._next() in {"", ")"}

    def _sees(self, operator: str) -> bool:
        end = self._at + len(operator)
        follows = self._text[end : end + 1]
        ended = not follows or follows.isspace() or follows in "()|"
        return ended and self._text.startswith(operator, self._at)

    def _takes(self, operator: str) -> bool:
        if not self._sees(operator):
            return False
        self._at += len(operator)
        return True

    def _sees_or(self) -> bool:
        return self._next() == "|" or self._sees("OR")

    def _takes_or(self) -> bool:
        self._skip()
        return self._takes_sign("|") or self._takes("OR")

    def _takes_sign(self, sign: str) -> bool:
        if self._next() != sign:
            return False
        self._at += 1
        return True
