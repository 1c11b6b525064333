"""The dropdown of actions: the catalogue by category and colour, with what is chosen. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from audit_events.catalogue import Catalogue
from audit_events.catalogue_entry import COLOURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One action; `count` is None where it was not counted."""

    action: str
    title: str
    colour: str
    chosen: bool
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The actions of one category, green before blue before red."""

    category: str
    chosen: bool
    items: list[Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """The whole dropdown; `others` are chosen actions that no group has, `noun.*` too."""

    groups: list[Group]
    others: list[str]


def menu(
    catalogue: Catalogue,
    actions: Collection[str],
    categories: Collection[str],
    counts: Mapping[str, int] | None,
) -> Menu:
    """Return the dropdown.

    Args:
        catalogue: the actions that are known.
        actions: those that are asked for.
        categories: those that are asked for.
        counts: events by action, where they were counted.
    """
    groups = [
        Group(
            category=category,
            chosen=category in categories,
            items=[
                Item(
                    action=entry.action,
                    title=entry.title,
                    colour=entry.colour,
                    chosen=entry.action in actions,
                    count=None if counts is None else counts.get(entry.action, 0),
                )
                for colour in COLOURS
                for entry in catalogue.entries.values()
                if entry.category == category and entry.colour == colour
            ],
        )
        for category in catalogue.categories
    ]
    return Menu(groups=groups, others=[one for one in actions if one not in catalogue])
