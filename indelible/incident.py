"""`indelible incident`: what happened around a moment, who and what took part, and what is new.

The question is read and answered by the API's own code (`/incident`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import click
import msgspec
from rich.console import Group

from audit_events.catalogue import Catalogue
from audit_events.instant import parse_instant
from indelible.event_table import event_table, further
from indelible.incident_tables import actor_table, compared, head, other_table, unusual_table
from indelible.listing import open_console
from indelible.moment import Moment
from indelible.organization_events import open_events
from indelible.quantity import counted
from indelible.question import QuestionCommand, asked_pairs, asking
from indelible.terminal import write_json
from indelible.whole_help import examples
from webapi.incident_analysis import incident_of
from webapi.incident_request import read_question
from webapi.incident_shapes import Incident
from webapi.reading import Reading


@click.command(
    "incident",
    cls=QuestionCommand,
    epilog=examples("incident --around 2026-03-15T09:00:00Z --window 15m"),
)
@click.argument("text", required=False)
@click.option(
    "--around", type=Moment(), help="The moment: RFC 3339, a date (UTC), or how long ago, as 2h."
)
@click.option("--window", help="How far --around reaches to each side.  [default: 15m]")
@click.option(
    "--since",
    type=Moment(),
    help="First instant, included; with --until instead of --around.",
)
@click.option("--until", type=Moment(), help="Last instant, not included.")
@click.option("--action", multiple=True, help="Event type, or noun.*; may be given several times.")
@click.option("--actor", multiple=True, help="Email or id of who did it.")
@click.option("--organization", help="Whose events; needed where there are several.")
@click.option("--limit", help="Most events to show, 1 to 200.  [default: 50]")
@click.option("--json", "as_json", is_flag=True, help="Print what /incident answers.")
def command(
    *,
    text: str | None,
    around: str | None,
    window: str | None,
    since: str | None,
    until: str | None,
    action: Sequence[str],
    actor: Sequence[str],
    organization: str | None,
    limit: str | None,
    as_json: bool,
) -> None:
    """Show what happened around a moment: what is unusual, who and what took part, the events.

    TEXT narrows it, as of `indelible search`.
    """
    pairs = asked_pairs(
        action, actor, q=text, around=around, window=window, since=since, until=until, limit=limit
    )
    events = open_events(
        organization,
        lambda known: read_question("", pairs, present=set, cursor_key=b"", catalogue=known),
    )
    incident = examine(events.reading, events.organization, pairs, events.catalogue)
    if as_json:
        write_json(msgspec.json.encode(incident))
        return
    show(incident, events.organization, events.catalogue, filtered=bool(text or action or actor))
    if not incident.total:
        events.tell_what_there_is()


def examine(
    reading: Reading, organization: str, pairs: Sequence[tuple[str, str]], catalogue: Catalogue
) -> Incident:
    """Read the question as the API does, and answer it.

    Raises:
        click.UsageError, CommandError: as `indelible.question.asking`.
    """
    present = partial(reading.present, organization)
    with asking():
        question = read_question(
            organization, pairs, present=present, cursor_key=b"", catalogue=catalogue
        )
        return incident_of(reading, question, b"")


def show(incident: Incident, organization: str, catalogue: Catalogue, *, filtered: bool) -> None:
    """Print the tables that people read; `filtered` is whether more was asked than a window."""
    console = open_console()
    console.print(head(incident, organization))
    if not incident.total:
        return
    told = unusual_table(incident), compared(incident, filtered=filtered)
    for part in (Group(*told), actor_table(incident), other_table(incident)):
        console.print("", part, sep="\n")
    lines = [bytes(one.event) for one in incident.events]
    table = event_table(
        lines,
        now=datetime.now(UTC),
        around=parse_instant(incident.origin),
        width=console.width,
        catalogue=catalogue,
    )
    console.print("", table, sep="\n")
    if len(lines) < incident.total:
        events = counted(incident.total, "event")
        console.print(f"the first {len(lines)} of {events}; {further(incident.limit)}")
