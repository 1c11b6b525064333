"""The URL is the state: what stands in it, what a form adds to it, and the ways on from it. Pure.

Most parameters are the API's. The page adds `range` (the last `24h`, counted back from now), `zone`
(in which times are shown) and `newer` (a cursor that reads upwards). Those of `FORM` come from the
form alone, and are spelled in the others before anything is asked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final
from urllib.parse import urlencode

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi.errors import ParameterError
from webapi.page.moment import clock, read_zone
from webapi.request_reading import Pairs
from webapi.values import NEWEST_FIRST, OLDEST_FIRST, read_instant

Pair = tuple[str, str]

RANGES: Final[Mapping[str, tuple[str, timedelta]]] = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "90d": ("Last 90 days", timedelta(days=90)),
}
DAYS: Final[Mapping[str, str]] = {"today": "Today", "yesterday": "Yesterday"}
OWN: Final = frozenset({"range", "zone", "newer"})
FORM: Final = frozenset({"from", "to", "preset", "in", "actor", "target", "resource"})
PLACE: Final = frozenset({"cursor", "newer", "offset"})
"""Where in the list one is; of no meaning once the question is another."""
TIME: Final = frozenset({"since", "until", "around", "window", "range"})
_FIRST_YEAR: Final = 1
_LAST_YEAR: Final = 9999
_COMMAS: Final = frozenset({"action", "category", "colour", "result"})
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@:\"]+@[^\s@:\"]+\.[^\s@:\"]+")


@dataclass(frozen=True, slots=True)
class State:
    """What a URL asks of the page.

    Args:
        pairs: names and values, as the URL has them.
        api: what the API is asked.
        fixed: the same as pairs, with the range of this moment, and from the beginning of the list.
        zone: in which times are shown.
        range: a key of `RANGES`, or empty.
        newer: a cursor that reads upwards, or empty.
        problems: what is wrong with the page's own parameters.
    """

    pairs: Sequence[Pair]
    api: Sequence[Pair]
    fixed: Sequence[Pair]
    zone: tzinfo
    range: str = ""
    newer: str = ""
    problems: Mapping[str, ParameterError] = field(default_factory=dict[str, ParameterError])

    @property
    def zone_name(self) -> str:
        """The zone as the URL names it."""
        return first(self.pairs, "zone") or "UTC"


def link(pairs: Iterable[Pair]) -> str:
    """Return pairs as a query string, with its question mark."""
    written = urlencode(list(pairs))
    return f"?{written}" if written else "?"


def read_state(pairs: Pairs, now: datetime, order: str = NEWEST_FIRST) -> State:
    """Read the page's own parameters, and leave the others to the API.

    Args:
        pairs: as the URL has them.
        now: what ranges are counted back from.
        order: that of the address where the URL names none.
    """
    problems: dict[str, ParameterError] = {}
    zone: tzinfo = UTC
    try:
        zone = read_zone(first(pairs, "zone") or "UTC")
    except ParameterError as error:
        problems["zone"] = error
    fixed = [pair for pair in pairs if pair[0] not in PLACE | {"range"}]
    chosen = first(pairs, "range")
    if chosen in RANGES:
        since = (now - RANGES[chosen][1]).replace(microsecond=0)
        fixed.append(("since", format_instant(since)))
    elif chosen:
        problems["range"] = ParameterError(
            "unknown_value", "is not one of the ranges there are", allowed=tuple(RANGES)
        )
    newer = first(pairs, "newer")
    return State(
        pairs=pairs,
        api=_asked(fixed, pairs, newer, order),
        fixed=fixed,
        zone=zone,
        range=chosen,
        newer=newer,
        problems=problems,
    )


def _asked(fixed: Iterable[Pair], pairs: Pairs, newer: str, order: str) -> list[Pair]:
    """Return the API's pairs; what is newer is read against the order of the list."""
    asked = [pair for pair in fixed if pair[0] not in OWN]
    if not newer:
        return asked + [pair for pair in pairs if pair[0] in PLACE]
    order = first(asked, "order") or order
    against = NEWEST_FIRST if order == OLDEST_FIRST else OLDEST_FIRST
    return [*[pair for pair in asked if pair[0] != "order"], ("order", against), ("cursor", newer)]


def settle(pairs: Pairs, now: datetime, catalogue: Catalogue) -> list[Pair]:
    """Return what a form sent as it is spelled in the URL: without what is empty, each value once.

    The same pairs come back where there was nothing to settle.

    Args:
        pairs: as they came.
        now: what days are counted from.
        catalogue: tells which actions a category has.
    """
    given = [
        (name, part.strip() if name in _COMMAS else part)
        for name, text in pairs
        for part in (text.split(",") if name in _COMMAS else [text])
        if part.strip()
    ]
    kept = [pair for pair in dict.fromkeys(given) if pair[0] not in FORM]
    if first(pairs, "in"):
        kept = _either(kept, catalogue)
    kept = _texts(kept, given)
    return _times(kept, pairs, now)


def settle_moment(pairs: Pairs) -> list[Pair]:
    """Return what the form of a history sent as it is spelled in the URL: a moment is its `at`.

    The same pairs come back where there was nothing to settle.
    """
    kept = [pair for pair in pairs if pair[0] not in {"moment", "in"} and pair[1].strip()]
    if all(name != "moment" for name, _ in pairs):
        return kept
    typed, rest = first(pairs, "moment").strip(), without(kept, "at")
    return [*rest, ("at", _bound(typed, first(kept, "at"), _form_zone(pairs)))] if typed else rest


def first(pairs: Iterable[Pair], name: str) -> str:
    """Return the first value of a name, empty where there is none."""
    return next((text for key, text in pairs if key == name), "")


def without(pairs: Iterable[Pair], *names: str) -> list[Pair]:
    """Return pairs without some names, at the beginning of the list."""
    return [pair for pair in pairs if pair[0] not in names and pair[0] not in PLACE]


def without_value(pairs: Iterable[Pair], name: str, text: str) -> list[Pair]:
    """Return pairs without one value of a name, at the beginning of the list."""
    return [pair for pair in pairs if pair != (name, text) and pair[0] not in PLACE]


def having(pairs: Iterable[Pair], name: str, text: str) -> list[Pair]:
    """Return pairs with this value alone for a name, at the beginning of the list."""
    return [*without(pairs, name), (name, text)]


def quoted(text: str) -> str:
    """Return a text as one phrase of the query language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _either(kept: list[Pair], catalogue: Catalogue) -> list[Pair]:
    """Let what was ticked in one dropdown be alternatives: to the API, different names are not."""
    categories = [text for name, text in kept if name == "category"]
    inside = {entry.action for entry in catalogue.entries.values() if entry.category in categories}
    kept = [pair for pair in kept if pair[0] != "action" or pair[1] not in inside]
    actions = [text for name, text in kept if name == "action"]
    if not categories or not actions:
        return kept
    words = [f"action:{one}" for one in actions]
    words += [f"category:{quoted(one)}" for one in categories]
    return with_words(without(kept, "action", "category"), [f"({' OR '.join(words)})"])


def with_words(kept: list[Pair], words: Sequence[str]) -> list[Pair]:
    """Add conditions to `q`."""
    text = first(kept, "q")
    if " OR " in text or "|" in text:
        text = f"({text})"
    return [*without(kept, "q"), ("q", " ".join([*([text] if text else []), *words]))]


def _texts(kept: list[Pair], given: Sequence[Pair]) -> list[Pair]:
    """Spell what was typed as actor, target and resource in parameters of the API, or in `q`."""
    words: list[str] = []
    actor, target, resource = (
        first(given, name).strip() for name in ("actor", "target", "resource")
    )
    if _EMAIL.fullmatch(actor):
        kept = [*kept, ("actorEmail", actor)]
    elif actor:
        words.append(f"actor:{quoted(actor)}")
    if _UUID.fullmatch(target):
        kept = [*kept, ("targetUserId", target)]
    elif target:
        words.append(f"target:{quoted(target)}")
    if resource:
        words.append(f"resource:{quoted(resource)}")
    kept = list(dict.fromkeys(kept))
    return with_words(kept, words) if words else kept


def _times(kept: list[Pair], pairs: Pairs, now: datetime) -> list[Pair]:
    """Spell presets and local times in instants: a preset before what was typed."""
    zone = _form_zone(pairs)
    preset = first(pairs, "preset")
    if preset in DAYS:
        return [*without(kept, *TIME), *_day(preset, now, zone)]
    if preset:
        return [*without(kept, *TIME), ("range", preset)]
    typed = [("since", first(pairs, "from").strip()), ("until", first(pairs, "to").strip())]
    if any(text for _, text in typed):
        settled = [(name, _bound(text, first(kept, name), zone)) for name, text in typed if text]
        return [*without(kept, *TIME), *settled]
    emptied = any(name in {"from", "to"} for name, _ in pairs)
    return without(kept, "since", "until") if emptied else kept


def _form_zone(pairs: Iterable[Pair]) -> tzinfo:
    """Return the zone in which the form showed its times."""
    try:
        return read_zone(first(pairs, "in") or first(pairs, "zone") or "UTC")
    except ParameterError:
        return UTC


def _day(day: str, now: datetime, zone: tzinfo) -> list[Pair]:
    today = now.astimezone(zone).date()
    start = datetime.combine(today, time(), zone)
    if day == "today":
        return [("since", format_instant(start))]
    before = datetime.combine(today - timedelta(days=1), time(), zone)
    return [("since", format_instant(before)), ("until", format_instant(start))]


def _bound(text: str, exact: str, zone: tzinfo) -> str:
    """Return an instant for a local time; the exact one where the form only showed it again."""
    shown = instant_of(exact)
    try:
        # A browser leaves out seconds that are zero: they are meant all the same.
        typed = datetime.fromisoformat(text)
        if typed.tzinfo is not None:
            return format_instant(typed)
        if shown is not None and f"{typed:%Y-%m-%d %H:%M:%S}" == clock(shown, zone):
            return exact
        return format_instant(typed.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return text


def instant_of(text: str) -> datetime | None:
    """Return the moment that a parameter names; None where it names none that can be shown."""
    try:
        instant = read_instant(text)
    except ParameterError:
        return None
    # A zone may lie a day off: at the ends of what a date can hold there is no such day.
    return instant if _FIRST_YEAR < instant.year < _LAST_YEAR else None
