"""A catalogue in TOML: ours, and what an application adds to it.

    [invoice.approved]
    category = "Billing & Subscriptions"
    colour = "blue"
    title = "Invoice approved"
    description = "An invoice was approved for payment."
    severity = "medium"
    needs = ["resource"]
    aliases = ["invoice.accepted"]

An entry of ours means the same in every application, so a file may only make it stricter:
`critical = true`, more `needs`, more `aliases`. Everything that is wrong is told at once.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

import msgspec

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import COLOURS, NEEDS, SEVERITIES, CatalogueEntry
from audit_events.errors import CatalogueError
from audit_events.event import ACTION_PATTERN, is_action
from audit_events.small_file import read_small_file

REQUIRED: Final = ("category", "colour", "title", "description")
KEYS: Final = (*REQUIRED, "severity", "needs", "critical", "aliases", "example")
"""`example` is the context of the line that documentation shows."""
STRICTER: Final = ("critical", "needs", "aliases")
"""What a file may say of an entry of ours."""
MAX_CHARACTERS: Final = {"category": 60, "title": 80, "description": 300}
_CHOICES: Final = {"colour": COLOURS, "severity": SEVERITIES}
_EXPECTED: Final = f"write a table [noun.verb_past], {ACTION_PATTERN}"
_HEAD: Final = re.compile(r"\s*\[([^\[\]]+)\]")
_LISTS: Final = ("needs", "aliases")

T = TypeVar("T")


class Definition(NamedTuple):
    """One table of a file."""

    place: str
    """File, line where it can be told, and the entry: how a problem begins."""
    action: str
    members: Mapping[str, object]


def read_catalogue(path: str | PathLike[str], own: Catalogue = CATALOGUE) -> Catalogue:
    """Return our entries and behind them those of a file, or of every `*.toml` of a directory.

    Raises:
        CatalogueError: everything that is wrong, with file, line, entry, cause and next step.
    """
    problems: list[str] = []
    definitions = [one for file in _files(Path(path)) for one in read_definitions(file, problems)]
    entries = extend(own, definitions, problems)
    if problems:
        raise CatalogueError(tuple(problems))
    return Catalogue(entries)


def read_examples(path: Path) -> dict[str, object]:
    """Return the contexts that a right catalogue shows as examples, by action."""
    definitions = [one for file in _files(path) for one in read_definitions(file, [])]
    return {one.action: one.members.get("example") for one in definitions}


def read_definitions(path: Path, problems: list[str]) -> list[Definition]:
    """Return the tables of one file, their keys and values not yet looked at."""
    try:
        text = read_small_file(path)
        document = tomllib.loads(text)
    except OSError as error:
        cause = error.strerror or str(error)
        problems.append(f"{path}: cannot be read: {cause}; name a file that is there and readable")
        return []
    except ValueError as error:
        problems.append(f"{path}: is not TOML: {error}; mend it there")
        return []
    lines = _lines_of_tables(text)
    definitions: list[Definition] = []
    for noun, verbs in document.items():
        for verb, members in _tables(verbs):
            action = f"{noun}.{verb}" if verb else noun
            line = lines.get(action) or lines.get(noun)
            place = f"{path}:{line}" if line else str(path)
            if isinstance(members, Mapping) and is_action(action):
                one = Definition(f"{place}: [{action}]", action, cast("dict[str, object]", members))
                definitions.append(one)
            else:
                problems.append(f"{place}: [{action}]: is no action; {_EXPECTED}")
    # As they stand in the file: TOML puts the tables of a noun together.
    return sorted(definitions, key=lambda one: lines.get(one.action, len(text)))


def extend(
    own: Catalogue, definitions: Iterable[Definition], problems: list[str]
) -> list[CatalogueEntry]:
    """Return our entries, made stricter where a definition says so, and the new ones behind them.

    What is wrong is added to `problems`.
    """
    entries = dict(own.entries)
    places = dict.fromkeys(entries, "Indelible's own catalogue")
    added: list[Definition] = []
    for one in definitions:
        if one.action in places and one.action not in own:
            problems.append(f"{one.place}: stands in {places[one.action]} too; keep one of them")
            continue
        # Of ours, each file may add something.
        known = entries.get(one.action)
        entry = _stricter(known, one, problems) if known else _entry(one, problems)
        if entry is not None:
            entries[one.action] = entry
            places[one.action] = one.place
            added.append(one)
    _check_aliases(entries, places, added, problems)
    _check_titles(entries, added, problems)
    return list(entries.values())


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.toml")) if path.is_dir() else [path]


def _tables(verbs: object) -> Iterator[tuple[str, object]]:
    """Return the tables of a noun; what is no table of tables stands under an empty verb."""
    if isinstance(verbs, Mapping) and verbs:
        yield from cast("Mapping[str, object]", verbs).items()
    else:
        yield "", verbs


def _lines_of_tables(text: str) -> dict[str, int]:
    """Return in which line each table begins that has a head of its own."""
    return {
        re.sub(r"[\s\"']", "", found[1]): number
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := _HEAD.match(line)) is not None
    }


def _entry(one: Definition, problems: list[str]) -> CatalogueEntry | None:
    before = len(problems)
    missing = [key for key in REQUIRED if key not in one.members]
    if missing:
        problems.append(f"{one.place}: lacks {', '.join(missing)}; say what people will read")
    _check_members(one, problems)
    if len(problems) > before:
        return None
    members = {name: value for name, value in one.members.items() if name != "example"}
    return msgspec.convert({"severity": "low", **members, "action": one.action}, CatalogueEntry)


def _stricter(known: CatalogueEntry, one: Definition, problems: list[str]) -> CatalogueEntry | None:
    before = len(problems)
    ours = [key for key in one.members if key in KEYS and key not in STRICTER]
    if ours:
        problems.append(
            f"{one.place}: is an action of Indelible, which says {', '.join(ours)} for everybody;"
            f" leave out all but {', '.join(STRICTER)}, or take another id"
        )
    if one.members.get("critical") is False:
        problems.append(
            f"{one.place}: critical: an action of Indelible can't be weakened; leave it out"
        )
    _check_members(one, problems)
    if len(problems) > before:
        return None
    more = msgspec.convert(one.members, _Stricter)
    return msgspec.structs.replace(
        known,
        critical=known.critical or more.critical,
        needs=tuple(need for need in NEEDS if need in (*known.needs, *more.needs)),
        aliases=tuple(dict.fromkeys((*known.aliases, *more.aliases))),
    )


class _Stricter(msgspec.Struct, frozen=True):
    critical: bool = False
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def _check_members(one: Definition, problems: list[str]) -> None:
    for key, value in one.members.items():
        wrong = _unknown_key(key) if key not in KEYS else _wrong_value(key, value)
        if wrong:
            problems.append(f"{one.place}: {key}: {wrong}")


def _unknown_key(key: str) -> str:
    near = get_close_matches(key, KEYS, n=1)
    return f"no such key; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(KEYS)}"


def _wrong_value(key: str, value: object) -> str:
    if key in _CHOICES:
        return _wrong_choice(value, _CHOICES[key])
    if key == "critical":
        return "" if isinstance(value, bool) else "is neither true nor false; write one of them"
    if key == "example":
        return "" if isinstance(value, Mapping) else "is no table; write the context of an event"
    if key in _LISTS:
        return _wrong_list(key, value)
    return _wrong_text(value, MAX_CHARACTERS[key])


def _wrong_choice(value: object, allowed: Sequence[str]) -> str:
    if value in allowed:
        return ""
    near = get_close_matches(str(value), allowed, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(allowed)}"
    return f"{str(value)[:40]!r} is not known; {hint}"


def _wrong_list(key: str, value: object) -> str:
    if not isinstance(value, list):
        return "is no list; write it in brackets"
    items = cast("list[object]", value)
    wrong = [_wrong_choice(item, NEEDS) if key == "needs" else _wrong_alias(item) for item in items]
    if len(set(map(str, items))) < len(items):
        wrong.append("says one thing twice; keep it once")
    return next(filter(None, wrong), "")


def _wrong_alias(item: object) -> str:
    if isinstance(item, str) and is_action(item):
        return ""
    return f"{str(item)[:80]!r} is no id of an action; write noun.verb_past"


def _wrong_text(value: object, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        return "is no line of text; write one"
    return "" if len(value) <= most else f"has {len(value)} characters; at most {most}"


def _check_aliases(
    entries: Mapping[str, CatalogueEntry],
    places: Mapping[str, str],
    added: Sequence[Definition],
    problems: list[str],
) -> None:
    holders: dict[str, str] = {}
    new = dict.fromkeys(one.action for one in added)
    # Ours first: whoever comes later is told.
    for action in (*(action for action in entries if action not in new), *new):
        for alias in entries[action].aliases:
            holder = alias if alias in entries else holders.setdefault(alias, action)
            if alias in entries or holder != action:
                problems.append(
                    f"{places[action]}: aliases: {alias!r} is taken by [{holder}] of"
                    f" {places[holder]}; an old id leads to one action"
                )


def _check_titles(
    entries: Mapping[str, CatalogueEntry], added: Sequence[Definition], problems: list[str]
) -> None:
    """Refuse what people could not tell apart: titles and categories that look the same."""
    new = {one.action: one.place for one in added if one.action not in CATALOGUE}
    old = [entry for action, entry in entries.items() if action not in new]
    titles = {entry.title.casefold(): entry.action for entry in old}
    categories = {entry.category.casefold(): entry.category for entry in old}
    for action, place in new.items():
        entry = entries[action]
        holder = titles.setdefault(entry.title.casefold(), action)
        if holder != action:
            problems.append(
                f"{place}: title: is that of [{holder}] too; people could not tell them apart"
            )
        spelled = categories.setdefault(entry.category.casefold(), entry.category)
        if spelled != entry.category:
            problems.append(f"{place}: category: differs from {spelled!r} in case only; write that")
