"""An incident as tables for people: what is unusual first, then who and what took part."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from audit_events.instant import parse_instant
from indelible.event_table import distance
from indelible.quantity import counted
from indelible.terminal import plain
from webapi.histogram import Histogram
from webapi.incident_shapes import (
    ActorParticipant,
    Incident,
    Participant,
    ResourceParticipant,
    TargetParticipant,
    Unusual,
    ValueParticipant,
)

_NEW: Final = "bold red"
_BARS: Final = "▁▂▃▄▅▆▇█"


def head(incident: Incident, organization: str) -> Text:
    """Return how many events there are, from when to when, and how they lie in that time."""
    since, until = incident.since[:19].replace("T", " "), incident.until[:19].replace("T", " ")
    text = Text(f"{counted(incident.total, 'event')} of {plain(organization)}", "bold")
    text.append(f", {since}Z to {until}Z", "not bold")
    if not incident.total:
        return text
    text.append(f", distances from {incident.origin}\n", "not bold")
    text.append(bars(incident.histogram), "blue")
    return text.append(f"\n{scale(incident.histogram)}", "dim")


def scale(histogram: Histogram) -> str:
    """Return what one of the signs stands for, and how many events the highest one."""
    most = max((bucket.count for bucket in histogram.buckets), default=0)
    return f"each sign {histogram.interval}, the highest {most}" if most else ""


def bars(histogram: Histogram) -> str:
    """Return one sign a bucket, as high as it is full; a blank where it is empty."""
    most = max((bucket.count for bucket in histogram.buckets), default=0)
    return "".join(
        _BARS[(bucket.count * len(_BARS) - 1) // most] if bucket.count else " "
        for bucket in histogram.buckets
    )


def unusual_table(incident: Incident) -> Table | Text:
    """Return what the window has more of than the days before let expect, or why nobody can say."""
    if incident.unusual is None:
        # Rounded down: 6.96 days are not yet the 7 that are needed.
        days = int(incident.before.covered_days * 10) / 10
        return Text(
            "What is new or unusual cannot be said. Needs 7 days of history before the moment;"
            f" there {'is' if days == 1 else 'are'} {days:g}.",
            "dim",
        )
    table = _table("unusual", "", "events", "before", "expected")
    lists = incident.unusual
    for label, rows in (
        ("action", lists.actions),
        ("actor", lists.actors),
        ("address", lists.ip_addresses),
        ("resource", lists.resources),
    ):
        for row in rows:
            table.add_row(label, _unusual_name(label, row, incident), *_unusual(row))
    if not table.row_count:
        return Text("Nothing is unusual against the 30 days before.", "dim")
    return table


def compared(incident: Incident, *, filtered: bool) -> Text:
    """Return what "before" and "new" mean: since when, and whether the filters hold there too."""
    if not incident.before.enough:
        return Text()
    since = incident.before.since[:19].replace("T", " ")
    filters = ", under the same filters" if filtered else ""
    whatever = ", whatever the filters" if filtered else ""
    return Text(
        f"unusual: against the days since {since}Z{filters};"
        f" new: not once as such in these days{whatever} (an actor's address: not by them)",
        "dim",
    )


def actor_table(incident: Incident) -> Table:
    """Return who acted, from where; what an actor never used before is marked."""
    table = _table("actor", "events", "first", "last", "addresses")
    origin = parse_instant(incident.origin)
    for row in incident.actors.values:
        used = Text("\n").join(_marked(plain(one.value), one) for one in row.ip_addresses)
        table.add_row(_marked(_who(row), row), *_times(row, origin), used)
    return table


def other_table(incident: Incident) -> Table:
    """Return who and what was affected, and from where and with what."""
    table = _table("", "took part", "events", "first", "last")
    origin = parse_instant(incident.origin)
    for label, named in _others(incident):
        for name, row in named:
            table.add_row(label, _marked(name, row), *_times(row, origin))
    return table


def _others(incident: Incident) -> Iterator[tuple[str, Iterable[tuple[str, Participant]]]]:
    yield "target", ((_target(row), row) for row in incident.targets.values)
    yield "resource", ((_resource(row), row) for row in incident.resources.values)
    yield "address", ((_value(row), row) for row in incident.ip_addresses.values)
    yield "user agent", ((_value(row), row) for row in incident.user_agents.values)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        counted = column in {"events", "before", "expected", "first", "last"}
        table.add_column(
            column, justify="right" if counted else "left", no_wrap=counted, overflow="fold"
        )
    return table


def _unusual_name(label: str, row: Unusual, incident: Incident) -> Text:
    if label == "resource":
        thing = incident.find_resource(row)
        return Text(_resource(thing) if thing else f"{plain(row.kind or '')} {plain(row.value)}")
    actor = incident.find_actor(row) if label == "actor" else None
    known = actor and (actor.email or actor.name)
    named = f" ({plain(known)})" if known and known != row.value else ""
    return Text(f"{plain(row.value)}{named}")


def _unusual(row: Unusual) -> tuple[str, str | Text, str]:
    before: str | Text = Text("never", _NEW) if row.never_before else str(row.count_before)
    return str(row.count), before, f"{row.expected:.1f}"


def _marked(name: str, row: Participant) -> Text:
    text = Text(name)
    return text.append(" new", _NEW) if row.first_seen else text


def _times(row: Participant, origin: datetime) -> tuple[str, str, str]:
    first, last = (
        distance(parse_instant(at), origin, origin) for at in (row.first_at, row.last_at)
    )
    return str(row.count), first, last


def _who(row: ActorParticipant) -> str:
    if row.id is None and row.email is None:
        return "System" if row.type == "system" else plain(row.type or "")
    return plain(row.email or row.id or "")


def _target(row: TargetParticipant) -> str:
    return plain(row.email or row.id or "")


def _resource(row: ResourceParticipant) -> str:
    named = f" ({plain(row.name)})" if row.name else ""
    return f"{plain(row.type)} {plain(row.id)}{named}"


def _value(row: ValueParticipant) -> str:
    return plain(row.value)
