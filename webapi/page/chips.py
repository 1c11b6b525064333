"""What filters the list, each as words and with the way to do without it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from audit_events.catalogue import Catalogue
from webapi.page.address import RANGES, Pair, State, first, instant_of, without, without_value
from webapi.page.moment import clock, offset
from webapi.values import DEFAULT_WINDOW

LABELS: Final = {
    "q": "Text",
    "action": "Action",
    "category": "Category",
    "colour": "Kind",
    "actorEmail": "Actor",
    "actorId": "Actor",
    "targetUserId": "Target user",
    "resourceType": "Resource type",
    "resourceId": "Resource",
    "ip": "Address",
    "result": "Result",
    "correlationId": "Request",
    "since": "From",
    "until": "Before",
    "around": "Around",
    "range": "Time",
}
KINDS: Final = {
    "green": "Creates, invites, connections",
    "blue": "Updates, changes",
    "red": "Deletions, removals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One active filter.

    Args:
        name: of the parameter.
        label: what it filters by.
        value: in words.
        rest: the pairs of the state without it.
    """

    name: str
    label: str
    value: str
    rest: Sequence[Pair]


def chips(state: State, catalogue: Catalogue) -> list[Chip]:
    """Return the active filters, in the order of the URL."""
    found: list[Chip] = []
    for name, text in dict.fromkeys(state.pairs):
        if name not in LABELS:
            continue
        rest = (
            without(state.pairs, "around", "window")
            if name == "around"
            else without_value(state.pairs, name, text)
        )
        value = _words(name, text, state, catalogue)
        found.append(Chip(name=name, label=LABELS[name], value=value, rest=rest))
    return found


def _words(name: str, text: str, state: State, catalogue: Catalogue) -> str:
    if name == "action":
        entry = catalogue.find(text)
        return text if entry is None else entry.title
    if name == "colour":
        return KINDS.get(text, text)
    if name == "range":
        return RANGES[text][0] if text in RANGES else text
    if name in {"since", "until", "around"}:
        window = first(state.pairs, "window") or DEFAULT_WINDOW
        return _moment(text, state.zone) + (f" ± {window}" if name == "around" else "")
    return text


def _moment(text: str, zone: tzinfo) -> str:
    instant = instant_of(text)
    return text if instant is None else f"{clock(instant, zone)} {offset(instant, zone)}"
