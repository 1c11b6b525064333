"""Under which id an event is recorded, and whether it has what its action needs.

In the usual case one look into a dictionary, and one for each part that is needed.
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from audit_events import tally
from audit_events.catalogue import Catalogue
from audit_events.errors import EventError
from audit_events.event import ACTION_PATTERN, is_action

_SHOWN_CHARACTERS: Final = 80
_NOTHING: Final[Mapping[str, object]] = {}


def recorded_action(
    action: object, fields: Mapping[str, object], catalogue: Catalogue, *, strict: bool
) -> str:
    """Return the id that stands in the line: today's, where an old one is given.

    Args:
        action: as the call says it.
        fields: of the call; None is absent.
        catalogue: the actions that are known.
        strict: refuse what would otherwise be recorded and counted (`tally.counts`).

    Raises:
        EventError: no id of an action; and in a strict log an id that is not known, with the
            nearest ones, and a part that the action needs and the event lacks.
    """
    rule = catalogue.rules.get(action) if isinstance(action, str) else None
    if rule is None:
        return _uncatalogued(action, catalogue, strict=strict)
    recorded, needed_fields, needed_keys = rule
    if needed_fields or needed_keys:
        lacking = _first_lacking(fields, needed_fields, needed_keys)
        # What did not succeed changed nothing, and may lack any part.
        if lacking and fields.get("result") in (None, "success"):
            _refuse_or_count(lacking, recorded, catalogue, strict=strict)
    if recorded != action:
        tally.note_renamed(cast("str", action))
    return recorded


def _first_lacking(
    fields: Mapping[str, object], needed_fields: Iterable[str], needed_keys: Iterable[str]
) -> str:
    for name in needed_fields:
        if fields.get(name) is None:
            return name
    context = fields.get("context")
    if context is None:
        context = _NOTHING
    # What is no mapping is refused by the check of the context, in its own words.
    # A dict is asked for first: the test for the abstract class is many times slower.
    if type(context) is dict or isinstance(context, Mapping):
        for key in needed_keys:
            if key not in context:
                return f"context.{key}"
    return ""


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


def _refuse_or_count(part: str, action: str, catalogue: Catalogue, *, strict: bool) -> None:
    if strict:
        needs = ", ".join(catalogue[action].needs)
        raise EventError(part, f"is missing, and {action} needs {needs}", f"pass {part}")
    tally.note_incomplete(action)
