"""What filters the list, each as words and with the way to do without it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi.page.address import RANGES, TIME, Pair, State, first, instant_of, without, without_value
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
MOMENTS: Final = frozenset({"since", "until", "around"})
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
        text: its value, as the URL has it.
        label: what it filters by.
        value: in words.
        rest: the pairs of the state without it.
        instant: of a moment, as it is written for programs; else empty.
        suffix: what stands behind a moment.
    """

    name: str
    text: str
    label: str
    value: str
    rest: Sequence[Pair]
    instant: str = ""
    suffix: str = ""

    @property
    def is_time(self) -> bool:
        """Whether it bounds the time."""
        return self.name in TIME


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
        if name in MOMENTS:
            found.append(_moment(name, text, rest, state))
        else:
            value = _words(name, text, catalogue)
            found.append(Chip(name=name, text=text, label=LABELS[name], value=value, rest=rest))
    return found


def _words(name: str, text: str, catalogue: Catalogue) -> str:
    if name == "action":
        entry = catalogue.find(text)
        return text if entry is None else entry.title
    if name == "colour":
        return KINDS.get(text, text)
    if name == "range":
        return RANGES[text][0] if text in RANGES else text
    return text


def _moment(name: str, text: str, rest: Sequence[Pair], state: State) -> Chip:
    instant = instant_of(text)
    if instant is None:
        return Chip(name=name, text=text, label=LABELS[name], value=text, rest=rest)
    window = first(state.pairs, "window") or DEFAULT_WINDOW
    return Chip(
        name=name,
        text=text,
        label=LABELS[name],
        value=f"{clock(instant, state.zone)} {offset(instant, state.zone)}",
        rest=rest,
        instant=format_instant(instant),
        suffix=f" ± {window}" if name == "around" else "",
    )
