"""The values of one request by name, and everything that is wrong with them, told at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final, TypeVar

from webapi import values
from webapi.caret import caret
from webapi.errors import ParameterError, ParameterProblem, ParametersError
from webapi.parameters import MAX_VALUES, Parameter

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]

_FIRST_PRINTABLE: Final = " "
_DELETE: Final = "\x7f"


class RequestReading:
    """The values of one request by name, and what was found wrong so far.

    Args:
        pairs: names and values as they came.
        taken: the parameters of the address; every other one is refused.
    """

    def __init__(self, pairs: Pairs, taken: Mapping[str, Parameter[object]]) -> None:
        self.problems: list[ParameterProblem] = []
        self._texts: dict[str, list[str]] = {}
        for name, text in pairs:
            if name in taken:
                self._texts.setdefault(name, []).append(text)
        for name in dict.fromkeys(name for name, _ in pairs):
            if name not in taken:
                self.refuse(name[: values.MAX_NAME_CHARACTERS], _unknown(name, taken))

    def refuse(self, name: str, error: ParameterError) -> None:
        """Note that a parameter cannot be taken."""
        self.problems.append(error.of(name))

    def refuse_unless_before(self, since: datetime | None, until: datetime | None) -> None:
        """Note that a window ends before it begins, or right then."""
        if since is not None and until is not None and since >= until:
            self.refuse("since", ParameterError("conflict", "must be before `until`"))

    def given(self, parameter: Parameter[object]) -> bool:
        """Tell whether the request has a parameter, well or badly."""
        return parameter.name in self._texts

    def finish(self) -> None:
        """Raise `ParametersError` with everything that was found wrong, if anything was."""
        if self.problems:
            raise ParametersError(tuple(self.problems))

    def several(self, parameter: Parameter[T]) -> tuple[T, ...]:
        """Return all values of a repeatable parameter that can be read, each once."""
        texts = self._texts.get(parameter.name)
        if texts is None:
            return ()
        if parameter.commas:
            texts = [part.strip() for text in texts for part in text.split(",")]
        if len(texts) > MAX_VALUES:
            reason = f"expected at most {MAX_VALUES} values, not {len(texts)}"
            self.refuse(parameter.name, ParameterError("out_of_range", reason))
            return ()
        found = [self._read(parameter, text) for text in dict.fromkeys(texts)]
        return tuple(dict.fromkeys(value for value in found if value is not None))

    def single(self, parameter: Parameter[T]) -> T | None:
        """Return the value of a parameter that may be given once."""
        texts = self._texts.get(parameter.name, [])
        if len(texts) > 1:
            reason = f"may be given once, not {len(texts)} times"
            self.refuse(parameter.name, ParameterError("repeated", reason))
            return None
        return self._read(parameter, texts[0]) if texts else None

    def _read(self, parameter: Parameter[T], text: str) -> T | None:
        try:
            return parameter.read(_checked(text))
        except ParameterError as error:
            self.refuse(parameter.name, error)
            return None


def _checked(text: str) -> str:
    if not text.strip():
        raise ParameterError("empty", "has no value; leave it out to ask for all")
    for position, character in enumerate(text):
        if character < _FIRST_PRINTABLE or character == _DELETE:
            hint = caret(text, position)
            raise ParameterError(
                "invalid", "contains control characters", position=position, hint=hint
            )
    return text


def _unknown(name: str, taken: Mapping[str, Parameter[object]]) -> ParameterError:
    lowered = {known.lower(): known for known in taken}
    near = get_close_matches(name.lower(), lowered, n=2, cutoff=0.5)
    return ParameterError(
        "unknown_parameter",
        "there is no such parameter",
        # `from` or `page` is near to none.
        allowed=() if near else tuple(taken),
        nearest=tuple(lowered[one] for one in near),
    )
