"""The catalogue: the actions that are known, what they mean, and what their events carry.

Ours stand in `catalogue.toml`; what is imported is generated from it, as reading TOML would cost
every application 17 ms at its start. An application adds its own (`catalogue_file.py`). An action
that is not listed is recorded all the same, as uncatalogued, unless the log is strict: a log must
not lose what a newer application says.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from audit_events.catalogue_entries import ENTRIES
from audit_events.catalogue_entry import NEEDS, CatalogueEntry

NEAREST: Final = 3


class Catalogue:
    """The entries by their ids, in their order. Immutable; `in`, `len` and iteration are of ids.

    Args:
        entries: no two of which share an id or an alias (`catalogue_file` checks that).

    Attributes:
        entries: each by its id of today.
        rules: for each id and alias, the id under which it is recorded, and whether it needs each
            of `NEEDS`, in their order.
        critical_actions: ids and aliases whose lines are synced to the disk.
        categories: in the order in which they first appear.
    """

    __slots__ = ("categories", "critical_actions", "entries", "rules")

    def __init__(self, entries: Iterable[CatalogueEntry]) -> None:
        self.entries: Mapping[str, CatalogueEntry] = MappingProxyType(
            {entry.action: entry for entry in entries}
        )
        self.rules: Mapping[str, tuple[str, bool, bool, bool, bool]] = {
            name: _rule(entry)
            for entry in self.entries.values()
            for name in (entry.action, *entry.aliases)
        }
        self.critical_actions = frozenset(
            name
            for entry in self.entries.values()
            if entry.critical
            for name in (entry.action, *entry.aliases)
        )
        self.categories = tuple(dict.fromkeys(entry.category for entry in self.entries.values()))

    def __getitem__(self, action: str) -> CatalogueEntry:
        return self.entries[action]

    def __contains__(self, action: object) -> bool:
        return action in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, action: str) -> CatalogueEntry | None:
        """Return the entry that has this id now, or had it before."""
        rule = self.rules.get(action)
        return None if rule is None else self.entries[rule[0]]

    def names_of(self, action: str) -> tuple[str, ...]:
        """Return every id under which events of this action may be stored, today's first."""
        entry = self.find(action)
        return (action,) if entry is None else (entry.action, *entry.aliases)

    def under(self, noun: str) -> tuple[str, ...]:
        """Return every id of the actions that are, or once were, called `noun.` something."""
        prefix = f"{noun}."
        found = [name for name in self.rules if name.startswith(prefix)]
        return tuple(dict.fromkeys(one for name in found for one in self.names_of(name)))

    def nearest(self, text: str) -> list[str]:
        """Return up to `NEAREST` ids that somebody who wrote `text` may have meant."""
        from difflib import get_close_matches  # noqa: PLC0415  # only a mistake needs it

        close = get_close_matches(text.lower(), self.entries, n=NEAREST, cutoff=0.6)
        words = _words(text.lower())
        by_words = sorted(
            (action for action in self.entries if action not in close and words & _words(action)),
            key=lambda action: -len(words & _words(action)),
        )
        return (close + by_words)[:NEAREST]


def _rule(entry: CatalogueEntry) -> tuple[str, bool, bool, bool, bool]:
    target, resource, previous, new = (need in entry.needs for need in NEEDS)
    return entry.action, target, resource, previous, new


def _words(text: str) -> set[str]:
    return {word for word in text.replace(".", "_").split("_") if word}


CATALOGUE: Final = Catalogue(ENTRIES)
"""What Indelible knows without an application's own file."""
