"""Paths into a context, as settings name them: `context.new.ssn`, `context.items[*].iban`."""

import re
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

from audit_events.errors import ParameterError


class Wildcard(Enum):
    """The step that any key or place in a list takes."""

    ANY = "*"


ANY: Final = Wildcard.ANY
Step = str | int | Wildcard
Verdict = TypeVar("Verdict")
_STEP: Final = r"""\.([^.\[\]"]+)|\[(\*|[0-9]{1,9})\]|\["([^"]+)"\]"""


class Path(NamedTuple, Generic[Verdict]):
    """What is left to go, and what becomes of the value at its end."""

    steps: tuple[Step, ...]
    verdict: Verdict


def parse_path(parameter: str, text: str) -> tuple[Step, ...]:
    """Read a path; keys are compared without regard to case.

    Args:
        parameter: what an error names.
        text: `context`, then `.key`, `["key with. dots"]`, `[3]`, `[*]` or `.*`.

    Raises:
        ParameterError: it cannot be read.
    """
    hint = "such as context.new.ssn, context.items[*].iban or context.*.phone"
    steps: list[Step] = []
    end = len("context")
    if not text.startswith("context"):
        raise ParameterError(parameter, f"{text!r} does not begin with context", hint)
    while end < len(text):
        step = re.compile(_STEP).match(text, end)
        if step is None:
            raise ParameterError(parameter, f"{text!r} can't be read from character {end}", hint)
        steps.append(_to_step(step))
        end = step.end()
    if not steps:
        raise ParameterError(parameter, "names the whole context", hint)
    return tuple(steps)


def _to_step(match: re.Match[str]) -> Step:
    key, place, quoted = match.groups()
    if quoted is not None:
        return str(quoted).casefold()
    if key == "*" or place == "*":
        return ANY
    return int(place) if place else str(key).casefold()


def enter_key(paths: tuple[Path[Verdict], ...], key: str) -> tuple[Path[Verdict], ...]:
    """Return what is left of the paths that lead through a key."""
    folded = key.casefold()
    return tuple(
        Path(path.steps[1:], path.verdict)
        for path in paths
        if path.steps and path.steps[0] in (ANY, folded)
    )


def enter_place(paths: tuple[Path[Verdict], ...], place: int) -> tuple[Path[Verdict], ...]:
    """Return what is left of the paths that lead through a place in a list.

    A list is passed through where a path goes on with a key.
    """
    return tuple(
        path if isinstance(path.steps[0], str) else Path(path.steps[1:], path.verdict)
        for path in paths
        if path.steps and (isinstance(path.steps[0], str) or path.steps[0] in (ANY, place))
    )


def find_end(paths: tuple[Path[Verdict], ...]) -> Verdict | None:
    """Return the verdict of the first path that ends here."""
    return next((path.verdict for path in paths if not path.steps), None)
