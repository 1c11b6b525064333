"""`indelible gaps`: whether anything of a time is known to be missing, and what may still come.

The question is read and answered by the API's own code (`/completeness`).
"""

from collections.abc import Iterator
from typing import Final

import click
import msgspec

from audit_events.event import SYSTEM_ORGANIZATION
from indelible.configuration import load
from indelible.moment import Moment
from indelible.quantity import counted
from indelible.question import asking, given_pairs
from indelible.terminal import write_json
from indelible.verdict import EXIT_UNKNOWN, EXIT_WRONG, saying_what_keeps_it
from indelible.whole_help import examples
from indexer.client import connect
from webapi.completeness import Completeness, KnownLoss, judge_window, read_window
from webapi.completeness_reading import CompletenessReading, LogView
from webapi.losses import BEHIND, KINDS
from webapi.page.completeness_view import loss_words
from webapi.reading import Reading
from webapi.storage import Storage

_VERDICTS: Final = {
    "complete": "complete: nothing is known to be missing or altered",
    "lagging": "lagging: nothing is known to be missing, but events may still come",
    "gaps": "gaps: something is missing or altered",
    "unknown": "unknown: nothing is known to be missing, but that does not say that nothing is",
}


@click.command("gaps", epilog=examples("gaps", "gaps --since 7d", "gaps --since 2026-03-01 --json"))
@click.option(
    "--since",
    type=Moment(),
    help="First instant, included: RFC 3339, a date (UTC), or how long ago, such as 7d.",
)
@click.option("--until", type=Moment(), help="Last instant, not included.")
@click.option("--json", "as_json", is_flag=True, help="Print what /completeness answers.")
@click.pass_context
def command(ctx: click.Context, *, since: str | None, until: str | None, as_json: bool) -> None:
    """Say whether anything of a time is known to be missing, and what may still come.

    By what applications and agents told: their numbers, heartbeats and findings; whole partitions
    that are gone, too. What is stored is not read again for it; `indelible verify` does that.

    Exit codes: 0 nothing is known to be missing, and all that record events were heard; 1 something
    is missing or altered; 2 nobody can say: processes are late or say nothing, an agent is behind,
    there is more than is read for this, the cluster does not answer in whole, settings or arguments
    are wrong, or stdout does not take it.
    """
    pairs = given_pairs(since=since, until=until)
    with saying_what_keeps_it(ctx):
        with asking():
            window = read_window(pairs)
            found = judge_window(_look(), *window)
        if as_json:
            write_json(msgspec.json.encode(found))
        else:
            click.echo("\n".join(describe(found)))
    ctx.exit({"complete": 0, "gaps": EXIT_WRONG}.get(found.verdict, EXIT_UNKNOWN))


def _look() -> LogView:
    configuration = load()
    with connect(configuration.connection, role="reader") as client:
        storage = Storage(client, configuration.index, configuration.web.query_timeout_seconds)
        reading = Reading(storage, configuration.index)
        return CompletenessReading(reading, configuration.index).look()


def describe(found: Completeness) -> Iterator[str]:
    """Yield the lines that people read."""
    yield _VERDICTS[found.verdict]
    for loss in reversed(found.losses):
        yield f"  {_describe(loss)}"
    untold = found.losses_total - len(found.losses)
    if untold:
        yield f"  and {counted(untold, 'older finding')}"
    if found.losses:
        asked = f"--organization {SYSTEM_ORGANIZATION} --action {','.join(KINDS)}"
        yield f"  more of them: `indelible search {asked}`"
    if found.complete_until is not None:
        yield f"all that was recorded before {found.complete_until} is stored, or told as missing"
    if found.verdict == "unknown":
        yield (
            "the log has more processes or findings than are read for this"
            if found.processes
            else "no process says that it is alive (`heartbeat_seconds` of `configure()`)"
        )
    if found.late_agents:
        asked = f"--organization {SYSTEM_ORGANIZATION} --action {BEHIND}"
        yield f"agents that are behind: {found.late_agents:,} (which: `indelible search {asked}`)"
    yield (
        f"processes that live: {found.processes:,}, of which late: {found.late_processes:,};"
        f" fell silent within a day: {found.silent_processes:,}"
    )


def _describe(loss: KnownLoss) -> str:
    words = loss_words(loss.kind, loss.events)
    after = "" if loss.after is None else f"after {loss.after} and "
    return f"{words}: {after}before {loss.before}, found {loss.found_at}"
