"""`indelible history`: the life of a user or a thing, and what each event changed.

The question is read and answered by the API's own code (`/history`).
"""

from datetime import UTC, datetime

import click
import msgspec
from rich.text import Text

from audit_events.catalogue import Catalogue
from indelible.event_table import event_table
from indelible.listing import open_console
from indelible.moment import Moment
from indelible.organization_events import open_events
from indelible.quantity import counted
from indelible.question import asking, given_pairs, subject_options
from indelible.terminal import plain, write_json
from indelible.whole_help import examples
from webapi.history import History, history_of, read_question
from webapi.query import MAX_LIMIT
from webapi.reading import Reading
from webapi.request_reading import Pairs


@click.command(
    "history",
    epilog=examples(
        "history app app_42", "history --user 7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10 --newest-first"
    ),
)
@subject_options
@click.option(
    "--since",
    type=Moment(),
    help="First instant, included: RFC 3339, a date (UTC), or how long ago, such as 2h.",
)
@click.option("--until", type=Moment(), help="Last instant, not included.")
@click.option("--newest-first", is_flag=True, help="The other way round.")
@click.option("--limit", help="Most events to show, 1 to 200.  [default: 50]")
@click.option("--organization", help="Whose events; needed where there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print what /history answers.")
def command(
    *,
    resource_type: str | None,
    resource_id: str | None,
    user: str | None,
    since: str | None,
    until: str | None,
    newest_first: bool,
    limit: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Show the events of the thing of a TYPE with an ID, or of a user, oldest first."""
    pairs = given_pairs(
        resourceType=resource_type,
        resourceId=resource_id,
        targetUserId=user,
        since=since,
        until=until,
        order="desc" if newest_first else None,
        limit=limit,
    )
    events = open_events(organization, lambda known: read_question("", pairs, b"", known))
    with asking():
        history = told(events.reading, events.organization, pairs, events.catalogue)
    if as_json:
        write_json(msgspec.json.encode(history))
        return
    show(history, events.organization, events.catalogue)
    if not history.entries:
        events.tell_what_there_is()


def told(reading: Reading, organization: str, pairs: Pairs, catalogue: Catalogue) -> History:
    """Read the question as the API does, and answer it."""
    subject, query = read_question(organization, pairs, b"", catalogue)
    return history_of(subject, query, reading.page(query), b"")


def show(history: History, organization: str, catalogue: Catalogue) -> None:
    """Print the table that people read."""
    console = open_console()
    lines = [bytes(one.event) for one in history.entries]
    if not lines:
        about = f"{history.subject.types[-1]} {history.subject.id}"
        console.print(Text(f"No event of {plain(organization)} about {plain(about)}."))
        return
    now = datetime.now(UTC)
    table = event_table(lines, now=now, around=None, width=console.width, catalogue=catalogue)
    console.print(table)
    more = "" if history.total_relation == "eq" else "more than "
    rest = ""
    if len(lines) < history.total:
        is_most = history.limit == MAX_LIMIT
        rest = "; the others with --since or --until" if is_most else "; see more with --limit"
    console.print(f"{len(lines)} of {more}{counted(history.total, 'event')}{rest}")
