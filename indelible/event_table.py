"""Events as a table for people: times without doubt, colours of the catalogue, changes in short."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import msgspec
from rich.table import Table
from rich.text import Text

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.event import UUID_PATTERN, Actor, Event, decode_event
from audit_events.instant import parse_instant
from indelible.quantity import counted
from indelible.terminal import plain
from webapi.event_values import read_parts
from webapi.page.moment import duration as spell_duration
from webapi.query import MAX_LIMIT, Query
from webapi.storage_answer import Total

MAX_VALUE_CHARACTERS: Final = 40
MAX_CHANGES: Final = 4
WIDE: Final = 110
"""Columns from which each detail has a column of its own, where none is folded then."""
ROOMY: Final = 160
"""Columns from which it has one in any case."""
_STYLES: Final = {"green": "green", "blue": "blue", "red": "red"}
_ABSENT: Final = object()
MAX_PATH_CHARACTERS: Final = 200
MAX_NAME_CHARACTERS: Final = 200
"""Of names, emails and ids, as on the page: whoever is recorded chooses them, up to 1,024."""
MAX_FIELD_CHARACTERS: Final = 80
REST: Final = 20
"""Columns for address and change, before who and what are kept from being folded."""
PADDING: Final = 2
_is_uuid: Final = re.compile(UUID_PATTERN).fullmatch
_TIMED_VERSIONS: Final = "167"
_FOUND: Final = {
    "audit_log.gap_detected": "missing",
    "audit_log.gap_closed": "arrived after all",
    "audit_log.chain_broken": "altered",
    "audit_log.source_silent": "silent",
    "audit_log.backlog_detected": "behind",
    "audit_log.backlog_cleared": "caught up",
    "audit_log.event_missing": "stored no more",
}
"""What the agent found, by the action that tells of it (`agent.trail`)."""


def event_table(
    lines: Sequence[bytes],
    *,
    now: datetime,
    around: datetime | None,
    width: int,
    catalogue: Catalogue = CATALOGUE,
) -> Table:
    """Return the table of some stored events, in their order.

    Args:
        lines: the events as they are stored.
        now: what "ago" is counted from.
        around: the moment that distances are counted from, instead of now.
        width: columns of the terminal; on a narrow one all but time and action share a column.
        catalogue: the actions that are known.
    """
    rows = [_row(line, now, around, catalogue) for line in lines]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, PADDING, 0, 0))
    times, ago, actors, actions, things, *_ = (_longest(rows, at) for at in range(6))
    actions = max(6, min(actions, width // 4))
    # What is left when the rest has a little: who and what are folded only where they do not fit.
    left = width - times - max(ago, 7) - actions - REST - 7 * PADDING
    is_whole = actors + things <= left
    if width >= (WIDE if is_whole else ROOMY):
        whole = (actors, things) if is_whole else (None, None)
        _fill_wide(table, rows, "from it" if around else "ago", actions, whole)
    else:
        _fill_narrow(table, rows, "" if around else " ago", actions)
    return table


def _fill_wide(
    table: Table,
    rows: list[list[Text]],
    ago: str,
    action_width: int,
    whole: tuple[int | None, int | None],
) -> None:
    table.add_column("time", no_wrap=True)
    table.add_column(ago, justify="right", no_wrap=True)
    table.add_column("actor", overflow="fold", min_width=whole[0])
    # Of a fixed width, so that what identifies an event is folded last.
    table.add_column("action", overflow="fold", width=action_width)
    table.add_column("on", overflow="fold", min_width=whole[1])
    table.add_column("address", overflow="fold")
    table.add_column("change", overflow="fold")
    for cells in rows:
        table.add_row(*cells)


def _fill_narrow(table: Table, rows: list[list[Text]], ago_word: str, action_width: int) -> None:
    """Who, on what, from where and what changed below each other, so that each is in one piece."""
    table.add_column("time", no_wrap=True)
    table.add_column("action", overflow="fold", width=action_width)
    table.add_column("details", overflow="fold")
    for time, ago, actor, action, on, address, changed in rows:
        said = (("by ", actor), ("on ", on), ("from ", address), ("", changed))
        details = [Text(word, "dim").append_text(text) for word, text in said if text]
        time.append(f"\n{ago}{ago_word}", "dim")
        table.add_row(time, action, Text("\n").join(details))


def _longest(rows: Sequence[Sequence[Text]], column: int) -> int:
    return max((longest_line(row[column]) for row in rows), default=0)


def longest_line(text: Text) -> int:
    """Return how many columns a cell would like to have."""
    return max(map(len, text.plain.splitlines()), default=0)


def summary(query: Query, shown: int, total: Total) -> Text:
    """Return the line below the table."""
    if shown == 0:
        return Text(f"No event of {plain(query.organization_id)} matches{_window(query)}.")
    least = "more than " if total.relation != "eq" else ""
    line = f"{shown} of {least}{counted(total.value, 'event')} of {plain(query.organization_id)}"
    line += ", newest first" if query.newest_first else ""
    if shown < total.value:
        line += f"; {further(query.limit)}, or narrow with --since, --until or --action"
    return Text(line, style="dim")


def further(limit: int) -> str:
    """Say how to see the events that a table has no room for."""
    return "see more with --limit" if limit < MAX_LIMIT else "all of them: `indelible export`"


def _window(query: Query) -> str:
    """Say from when to when was looked: what --around and --window came to."""
    ends = (("from", query.since), ("until", query.until))
    said = [f"{word} {second(instant)}" for word, instant in ends if instant is not None]
    return " ".join(["", *said]).rstrip()


def second(instant: datetime) -> str:
    """Return an instant in UTC, to the second."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def when(instant: datetime) -> Text:
    """Return local time with UTC below it, or UTC alone where that is the same."""
    local = instant.astimezone()
    text = Text(local.strftime("%Y-%m-%d %H:%M:%S"))
    if not local.utcoffset():
        return text.append("Z", "dim")
    same_day = local.date() == instant.date()
    utc = instant.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")
    return text.append(f"\n{utc.rjust(len(text))}Z", "dim")


def distance(instant: datetime, now: datetime, around: datetime | None) -> str:
    """Return how far an event is from the moment asked about (`+2m 13s`), or how long ago."""
    if around is None:
        return span(now - instant)
    sign = "−" if instant < around else "+"  # noqa: RUF001  # a minus sign, as wide as the plus
    return sign + span(abs(instant - around))


def span(duration: timedelta) -> str:
    """Return a duration by its two largest units: `45s`, `2m 13s`, `3h 5m`, `12d 4h`."""
    if duration < timedelta(0):
        return f"in {span(-duration)}"
    return spell_duration(duration)


def what(action: str, catalogue: Catalogue = CATALOGUE) -> Text:
    """Return an action in the colour of the catalogue, with its title."""
    entry = catalogue.find(action)
    if entry is None:
        return Text(plain(action)).append("\nuncatalogued", "dim")
    return Text(action, _STYLES[entry.colour]).append(f"\n{entry.title}", "dim")


def who(actor: Actor) -> str:
    """Return who did it: `System` and which part of it, or the most telling of what is known."""
    if actor.type == "system":
        named, known = "System", actor.name or actor.id
    else:
        named, known = actor.email or actor.id or actor.type, actor.name
    lines = [named, known] if known and known != named else [named]
    if actor.on_behalf_of:
        lines.append(f"for {actor.on_behalf_of}")
    return "\n".join(_named(line) for line in lines)


def affected(event: Event) -> str:
    """Return the person and the resource that were affected."""
    lines: list[str] = []
    target = event.target_user
    if target is not None:
        lines.append(_named(target.email or target.name or brief(target.id or "")))
    resource = event.resource
    if resource is not None:
        name = f" ({_named(resource.name)})" if resource.name else ""
        lines.append(f"{_named(resource.type)} {_named(brief(resource.id))}{name}")
    return "\n".join(line for line in lines if line)


def _named(text: str) -> str:
    return plain(_shorten(text, MAX_NAME_CHARACTERS))


def brief(text: str) -> str:
    """Return an id in short where it is a UUID: its beginning, `513644f7…`.

    Of one that begins with the time also its end, or all of one minute would look the same.
    """
    if _is_uuid(text) is None:
        return text
    end = text[-8:] if text[14] in _TIMED_VERSIONS else ""
    return f"{text[:8]}…{end}"


def change(context: Mapping[str, object] | None) -> str:
    """Return what changed, `field: previous → new`, or the reason that is given."""
    if not context:
        return ""
    previous, new = context.get("previous", _ABSENT), context.get("new", _ABSENT)
    lines: list[str] = []
    if previous is not _ABSENT or new is not _ABSENT:
        before, after = _members(previous), _members(new)
        lines = [
            f"{plain(_shorten(name, MAX_FIELD_CHARACTERS))}: " * bool(name)
            + f"{shown(before.get(name, _ABSENT))} → {shown(after.get(name, _ABSENT))}"
            for name in dict.fromkeys([*before, *after])
            if before.get(name, _ABSENT) != after.get(name, _ABSENT)
        ]
    if "reason" in context:
        lines.append(f"reason: {shown(context['reason'])}")
    rest = len(lines) - MAX_CHANGES
    return "\n".join([*lines[:MAX_CHANGES], *([f"… {rest} more"] if rest > 0 else [])])


def finding(action: str, context: Mapping[str, object] | None) -> str:
    """Return what the agent found and where, `seq 3-7 missing`; empty for any other action."""
    verb = _FOUND.get(action)
    if verb is None or not context:
        return ""
    if verb == "silent":
        return _describe_silence(context)
    if "eventId" in context:
        told = f"event {shown(context['eventId'])} of {shown(context.get('eventTimestamp'))} {verb}"
        return f"{told}\nas {shown(context.get('host'))} found"
    ranges = context.get("ranges")
    if isinstance(ranges, list) and ranges:
        lines = [f"seq {_list_ranges(cast('list[object]', ranges), context)} {verb}"]
    else:
        sources = f" of {shown(context['sources'])} sources" if "sources" in context else ""
        lines = [f"{shown(context.get('events'))} events{sources} {verb}"]
    if "file" in context:
        path = _shorten(plain(str(context["file"])), MAX_PATH_CHARACTERS)
        lines.append(f"{path}:{shown(context.get('offset'))}")
    if "host" in context:
        lines.append(f"on {shown(context['host'])}")
    return "\n".join(lines)


def _describe_silence(context: Mapping[str, object]) -> str:
    lines = [
        f"{shown(context.get('service'))} silent behind seq {shown(context.get('lastSeq'))}",
        f"since {shown(context.get('silentSince'))}",
    ]
    if "sources" in context:
        lines = [f"{shown(context['sources'])} sources silent"]
    if "file" in context:
        lines.append(_shorten(plain(str(context["file"])), MAX_PATH_CHARACTERS))
    host = context.get("sourceHost", context.get("host"))
    return "\n".join([*lines, f"on {shown(host)}"])


def shown(value: object) -> str:
    """Return a value in short; `∅` where there is none."""
    if value is _ABSENT or value is None:
        return "∅"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return _shorten(plain(text), MAX_VALUE_CHARACTERS)


def _row(line: bytes, now: datetime, around: datetime | None, catalogue: Catalogue) -> list[Text]:
    try:
        event = decode_event(line)
        instant = parse_instant(event.timestamp)
    except (msgspec.MsgspecError, ValueError):
        return _odd_row(read_parts(line, _Odd), now, around, catalogue)
    action = what(event.action, catalogue)
    if event.result not in {None, "success"}:
        action.append(f"\n{event.result}", "bold red")
    return [
        when(instant),
        Text(distance(instant, now, around)),
        Text(who(event.actor)),
        action,
        Text(affected(event)),
        Text(plain(event.ip_address or "")),
        Text(finding(event.action, event.context) or change(event.context)),
    ]


class _Odd(msgspec.Struct, frozen=True):
    """What is shown of what another application wrote, not in our shape, as far as it is sure."""

    id: str = "?"
    timestamp: str = "?"
    action: str = "?"


def _odd_row(
    event: _Odd, now: datetime, around: datetime | None, catalogue: Catalogue
) -> list[Text]:
    try:
        instant = parse_instant(event.timestamp)
    except ValueError:
        cells = [Text(_named(event.timestamp)), Text()]
    else:
        cells = [when(instant), Text(distance(instant, now, around))]
    return [
        *cells,
        Text("?"),
        what(_shorten(event.action, MAX_NAME_CHARACTERS), catalogue),
        Text(_named(event.id)),
        Text(),
        Text(),
    ]


def _members(value: object) -> Mapping[str, object]:
    """Return the members of an object; a bare value is the member without a name."""
    if value is _ABSENT:
        return {}
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value)
    return {"": value}


def _list_ranges(ranges: list[object], context: Mapping[str, object]) -> str:
    listed = ", ".join(shown(one) for one in ranges[:MAX_CHANGES])
    unlisted = context.get("unlistedRanges")
    more = len(ranges[MAX_CHANGES:]) + (unlisted if isinstance(unlisted, int) else 0)
    return f"{listed}, … {more} ranges more" if more else listed


def _shorten(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
