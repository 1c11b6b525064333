"""The catalogue: the actions that are known, each with category, colour and title.

Data stands in `catalogue.csv`. An action that is not listed is recorded all the same, as
uncatalogued: a log must not lose what a newer application says.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from types import MappingProxyType
from typing import Final, Literal, get_args

from audit_events.errors import CatalogueError
from audit_events.event import is_action

Colour = Literal["green", "blue", "red"]
Origin = Literal["exact", "named", "extension"]

COLOURS: Final[tuple[Colour, ...]] = get_args(Colour)
"""green: creates, invites, connections; blue: updates, changes; red: deletions, removals."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One known action, as people see it."""

    action: str
    category: str
    colour: Colour
    title: str
    origin: Origin


def read_catalogue(lines: Iterable[str]) -> Mapping[str, CatalogueEntry]:
    """Read rows of `action,category,colour,title,origin`, keeping their order.

    Raises:
        CatalogueError: naming the line that is malformed or stands twice.
    """
    entries: dict[str, CatalogueEntry] = {}
    for number, row in enumerate(csv.DictReader(lines), start=2):
        action = row["action"]
        if not is_action(action) or row["colour"] not in COLOURS or not row["title"]:
            raise CatalogueError(f"catalogue line {number} ({action}) is malformed")
        if action in entries:
            raise CatalogueError(f"catalogue line {number} repeats {action}")
        entries[action] = CatalogueEntry(**row)  # type: ignore[arg-type]  # checked above
    return MappingProxyType(entries)


def _load() -> Mapping[str, CatalogueEntry]:
    text = resources.files("audit_events").joinpath("catalogue.csv").read_text(encoding="utf-8")
    return read_catalogue(text.splitlines())


CATALOGUE: Final = _load()
CATEGORIES: Final = tuple(dict.fromkeys(entry.category for entry in CATALOGUE.values()))


def nearest_actions(text: str, n: int = 3) -> list[str]:
    """Return up to `n` catalogued actions that somebody who wrote `text` may have meant."""
    close = get_close_matches(text.lower(), CATALOGUE, n=n, cutoff=0.6)
    if len(close) < n:
        words = {word for word in text.lower().replace(".", "_").split("_") if word}
        by_words = sorted(
            (action for action in CATALOGUE if action not in close),
            key=lambda action: -len(words & set(action.replace(".", "_").split("_"))),
        )
        close += [
            action for action in by_words if words & set(action.replace(".", "_").split("_"))
        ][: n - len(close)]
    return close
