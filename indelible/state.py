"""`indelible state`: what a user or a thing was like at a moment.

The question is read and answered by the API's own code (`/state`).
"""

import click
import msgspec
from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from audit_events.event import Actor
from indelible.event_table import shown, who
from indelible.listing import open_console
from indelible.moment import Moment
from indelible.organization_events import open_events
from indelible.quantity import counted
from indelible.question import asking, given_pairs, subject_options
from indelible.terminal import plain, write_json
from indelible.whole_help import examples
from webapi.state import State, read_question, state_of
from webapi.state_fields import EventReference, FieldState
from webapi.state_fold import TogetherState

_WORDS = {
    "known": "set by",
    "removed": "removed by",
    "until": "until",
    "unknown": "not known before",
}


@click.command(
    "state",
    epilog=examples(
        "state app app_42 --at 2026-03-15", "state --user 7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10"
    ),
)
@subject_options
@click.option(
    "--at",
    type=Moment(),
    help="The moment: RFC 3339, a date (UTC), or how long ago, such as 2h.  [default: now]",
)
@click.option("--since", type=Moment(), help="Leave out events before.")
@click.option("--organization", help="Whose events; needed where there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print what /state answers.")
def command(
    *,
    resource_type: str | None,
    resource_id: str | None,
    user: str | None,
    at: str | None,
    since: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Show what the thing of a TYPE with an ID, or a user, was like at a moment."""
    pairs = given_pairs(
        resourceType=resource_type,
        resourceId=resource_id,
        targetUserId=user,
        at=at,
        since=since,
    )
    events = open_events(organization, lambda known: read_question("", pairs, known))
    with asking():
        question = read_question(events.organization, pairs, events.catalogue)
        state = state_of(events.reading, question)
    if as_json:
        write_json(msgspec.json.encode(state))
        return
    show(state)
    if not state.events + state.later_events:
        events.tell_what_there_is()


def show(state: State) -> None:
    """Print the tables that people read."""
    console = open_console()
    existence = state.existence
    said = "" if existence.event is UNSET else f", by {_event(existence.event)}"
    if existence.event is UNSET and existence.until is not UNSET:
        said = f"; first named by {_event(existence.until)}"
    status = {"notYet": "did not exist yet", "unknown": "not known to exist"}
    subject = state.subject
    name = subject.email or subject.name
    called = f"{plain(name)} at" if name else "at"
    known = status.get(existence.status, existence.status)
    console.print(Text(f"{called} {state.at}: {known}{said}"))
    if state.fields:
        console.print(field_table(state.fields))
    for one in state.together:
        console.print("", Text(_other(one), "bold"), field_table(one.fields), sep="\n")
    events = f"{counted(state.events, 'event')} at or before it, {state.later_events:,} after it"
    console.print(Text(events + (" and more" if state.more_later_events else ""), "dim"))


def field_table(fields: list[FieldState]) -> Table:
    """Return the table of some fields."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("field", "value", "as told"):
        table.add_column(name, overflow="fold")
    for one in fields:
        event = one.event or one.until
        told = "" if event is UNSET else f"{_WORDS[one.status]} {_event(event)}"
        if one.contradicted_by is not UNSET:
            doubt = one.contradicted_by
            told += f"\nbut {_event(doubt.event)} found {shown(doubt.previous)}"
        value = "?" if one.value is UNSET else shown(one.value)
        table.add_row(Text(plain(one.path or "/")), Text(value), Text(told))
    return table


def _event(event: EventReference) -> str:
    try:
        actor = who(msgspec.convert(event.actor, Actor)).replace("\n", " ")
    except msgspec.ValidationError:
        actor = shown(event.actor)
    return f"{plain(event.action)} {plain(event.timestamp)} {actor}"


def _other(one: TogetherState) -> str:
    if one.resource is not UNSET:
        resource = one.resource
        name = f"{resource.name} ({resource.id})" if resource.name else resource.id
        return plain(f"together with {resource.type} {name}")
    if one.target_user is not UNSET:
        user = one.target_user
        return plain(f"together with {user.email or user.name or user.id}")
    return ""
