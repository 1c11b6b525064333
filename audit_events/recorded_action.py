"""Under which id an event is recorded, and whether it has what its action needs.

In the usual case one look into a dictionary, and one for each part that is needed.
"""

from collections.abc import Mapping
from typing import Final, cast

from audit_events import tally
from audit_events.catalogue import Catalogue
from audit_events.catalogue_entry import NEEDS, CatalogueEntry
from audit_events.errors import EventError
from audit_events.event import ACTION_PATTERN, is_action
from audit_events.given import Given

_SHOWN_CHARACTERS: Final = 80
_NOTHING: Final[Mapping[str, object]] = {}


def recorded_action(action: object, given: Given, catalogue: Catalogue, *, strict: bool) -> str:
    """Return the id that stands in the line: today's, where an old one is given.

    Args:
        action: as the call says it.
        given: what else it says, checked; the context is a mapping or None.
        catalogue: the actions that are known.
        strict: refuse what would otherwise be recorded and counted (`tally.counts`).

    Raises:
        EventError: no id of an action; and in a strict log an id that is not known, with the
            nearest ones, and a part that the action needs and the event lacks.
    """
    rule = catalogue.rules.get(action) if isinstance(action, str) else None
    if rule is None:
        return _uncatalogued(action, catalogue, strict=strict)
    recorded, target, resource, previous, new = rule
    context = given.context or _NOTHING
    if (
        (target and given.target_user is None)
        or (resource and given.resource is None)
        or (previous and "previous" not in context)
        or (new and "new" not in context)
    ):
        _refuse_or_count(given, catalogue[recorded], strict=strict)
    if recorded != action:
        tally.note_renamed(cast("str", action))
    return recorded


def _uncatalogued(action: object, catalogue: Catalogue, *, strict: bool) -> str:
    if not isinstance(action, str):
        kind = type(action).__name__
        raise EventError("action", f"is of type {kind}", "expected a string")
    if not is_action(action):
        shown = repr(action[:_SHOWN_CHARACTERS])
        raise EventError(
            "action", f"{shown} is malformed", f"expected noun.verb_past, {ACTION_PATTERN}"
        )
    if strict:
        near = " or ".join(catalogue.nearest(action))
        hint = f"did you mean {near}? or add it" if near else "add it"
        raise EventError(
            "action", f"{action!r} is not in the catalogue", f"{hint} to the file of catalogue_path"
        )
    tally.note_unknown(action, catalogue)
    return action


def _refuse_or_count(given: Given, entry: CatalogueEntry, *, strict: bool) -> None:
    # What did not succeed changed nothing, and may lack any part.
    if given.result not in {None, "success"}:
        return
    if not strict:
        tally.note_incomplete(entry.action)
        return
    there = {
        "target_user": given.target_user is not None,
        "resource": given.resource is not None,
        **{f"context.{key}": key in (given.context or _NOTHING) for key in ("previous", "new")},
    }
    needed = [part for need, part in zip(NEEDS, there, strict=True) if need in entry.needs]
    part = next(part for part in needed if not there[part])
    needs = ", ".join(entry.needs)
    raise EventError(part, f"is missing, and {entry.action} needs {needs}", f"pass {part}")
