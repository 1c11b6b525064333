"""Python modules made of a catalogue: constants that an editor completes, and our own entries.

Constants are plain texts in a class, not an enumeration: what a log call gets is a `str`, so it
costs what a text that is written out would, and a misspelt name is found before it runs.
"""

from collections.abc import Iterable
from typing import Final, cast

import msgspec

from audit_events.catalogue_entry import CatalogueEntry
from audit_events.errors import CatalogueError

_DEFAULTS: Final = CatalogueEntry("", "", "blue", "", "", "info")
_OPTIONAL: Final = ("needs", "critical", "aliases")


def constant_of(action: str) -> str:
    """Return `MEMBER_ROLE_CHANGED` for `member.role_changed`."""
    return action.replace(".", "_").upper()


def render_actions(
    entries: Iterable[CatalogueEntry], *, source: str, taken: Iterable[str], base: str = ""
) -> str:
    """Return a module with the class `Action`.

    Args:
        entries: a constant for each.
        source: what it is made from and how, for whoever opens it.
        taken: ids whose constants the base class has.
        base: module of the class `Action` to extend; none where empty.

    Raises:
        CatalogueError: two ids whose constants would be the same.
    """
    entries = tuple(entries)
    _check_constants(entries, taken)
    lines = [f'"""Actions as constants. Generated from {source}; do not edit."""', ""]
    lines += ["# ruff: noqa: E501, S105", "", "from typing import Final", ""]
    if base:
        lines += [f"from {base} import Action as _Action", ""]
    head = "class Action(_Action):" if base else "class Action:"
    what = "Indelible's actions and our own" if base else "What Indelible knows"
    lines += ["", head, f'    """{what}: `log.info(Action.{_example(entries)}, …)`."""', ""]
    for entry in entries:
        lines.append(f'    {constant_of(entry.action)}: Final = "{entry.action}"')
        lines.append(f'    """{_escape(entry.description)}"""')
    return "\n".join(lines) + "\n"


def render_entries(entries: Iterable[CatalogueEntry], *, source: str) -> str:
    """Return the module that `catalogue.py` loads, one entry a line."""
    rows = [f"    {_call(entry)}," for entry in entries]
    return "\n".join(
        [
            f'"""Our catalogue as it is loaded. Generated from {source}; do not edit."""',
            "",
            "# ruff: noqa: E501",
            "",
            "from typing import Final",
            "",
            "from audit_events.catalogue_entry import CatalogueEntry",
            "",
            "# fmt: off",
            "ENTRIES: Final[tuple[CatalogueEntry, ...]] = (",
            *rows,
            ")",
            "",
        ]
    )


def _check_constants(entries: Iterable[CatalogueEntry], taken: Iterable[str]) -> None:
    holders = {constant_of(action): action for action in taken}
    problems: list[str] = []
    for entry in entries:
        holder = holders.setdefault(constant_of(entry.action), entry.action)
        if holder != entry.action:
            name = constant_of(entry.action)
            problems.append(f"[{entry.action}]: {name} is the constant of [{holder}]; rename it")
    if problems:
        raise CatalogueError(tuple(problems))


def _example(entries: tuple[CatalogueEntry, ...]) -> str:
    return constant_of(entries[0].action) if entries else "MEMBER_ROLE_CHANGED"


def _call(entry: CatalogueEntry) -> str:
    texts = (
        entry.action,
        entry.category,
        entry.colour,
        entry.title,
        entry.description,
        entry.severity,
    )
    given = [_literal(text) for text in texts]
    given += [
        f"{name}={_literal(getattr(entry, name))}"
        for name in _OPTIONAL
        if getattr(entry, name) != getattr(_DEFAULTS, name)
    ]
    return f"CatalogueEntry({', '.join(given)})"


def _literal(value: object) -> str:
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, tuple):
        items = [_literal(item) for item in cast("tuple[object, ...]", value)]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
