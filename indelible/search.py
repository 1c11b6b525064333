"""`indelible search`: ask the stored events, as an operator with the reader's credentials.

The question is read by the API's own parameters and becomes the API's own search, so what is found
here is what the API answers.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import click

from audit_events.catalogue import CATALOGUE, Catalogue
from indelible.event_table import event_table, summary
from indelible.listing import open_console
from indelible.organization_events import open_events
from indelible.question import (
    QuestionCommand,
    asked_pairs,
    asking,
    check_question,
    question_options,
    read_question,
)
from indelible.terminal import write_json
from indelible.whole_help import examples
from webapi.query import Query
from webapi.reading import Reading
from webapi.storage_answer import Found


@click.command(
    "search",
    cls=QuestionCommand,
    epilog=examples(
        "search 'role changed' --around 2026-03-15T09:00:00Z --window 10m",
        "search 'actor:jose -result:success ip:203.0.113.*'",
        "search --since 2h --action 'member.*'",
        "search --actor ana@company.com --json",
    ),
)
@question_options
@click.option("--limit", help="Most events to show, 1 to 200.  [default: 50]")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the events as they are stored, NDJSON."
)
def command(
    *,
    text: str | None,
    action: Sequence[str],
    actor: Sequence[str],
    since: str | None,
    until: str | None,
    around: str | None,
    window: str | None,
    organization: str | None,
    limit: str | None,
    as_json: bool,
) -> None:
    """Find events by TEXT, newest first.

    TEXT: words (all must match), "phrases", prefix*, -without, a OR b, and fields by name:
    actor:ana action:member.* -result:success resource:app_42 ip:203.0.113.0/24
    context.role:admin. Put it in single quotes; after -- where it begins with a minus.
    """
    pairs = asked_pairs(
        action, actor, q=text, since=since, until=until, around=around, window=window, limit=limit
    )
    events = open_events(organization, partial(check_question, pairs))
    query, found = find(events.reading, events.organization, pairs, events.catalogue)
    if as_json:
        write_lines(found, query.limit)
        return
    show(query, found, around)
    if not found.hits.hits:
        events.tell_what_there_is()


def find(
    reading: Reading,
    organization: str,
    pairs: Sequence[tuple[str, str]],
    catalogue: Catalogue = CATALOGUE,
) -> tuple[Query, Found]:
    """Read the question as the API does, and ask it.

    Raises:
        click.UsageError, CommandError: as `asking`.
    """
    with asking():
        query = read_question(reading, organization, pairs, catalogue)
        return query, reading.page(query)


def write_lines(found: Found, limit: int) -> None:
    """Write the events as they are stored, one a line."""
    for hit in found.hits.hits[:limit]:
        write_json(bytes(hit.source))


def show(query: Query, found: Found, around: str | None) -> None:
    """Print the table that people read."""
    console = open_console()
    moment = None
    if around is not None and query.since is not None and query.until is not None:
        moment = query.since + (query.until - query.since) / 2
    lines = [bytes(hit.source) for hit in found.hits.hits[: query.limit]]
    if lines:
        now = datetime.now(UTC)
        table = event_table(
            lines, now=now, around=moment, width=console.width, catalogue=query.catalogue
        )
        console.print(table)
    console.print(summary(query, len(lines), found.hits.total))
