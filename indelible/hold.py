"""`indelible hold`: keep what a court may ask for, whatever its age."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from audit_events.identifier import new_uuid7
from audit_events.instant import format_instant, parse_instant
from indelible.access import Entry, enter, find_user
from indelible.configuration import Configuration, load
from indelible.listing import new_table, open_console, print_table
from indelible.terminal import plain, plain_json
from indelible.whole_help import WholeHelpGroup, examples
from indexer.deletion import await_decision
from indexer.errors import HoldError, IndexerError, NoAnswerError
from indexer.hold import OPEN_END, Hold, place, read_holds, touches
from indexer.hold import release as release_hold
from indexer.ism import take_out
from indexer.journal import Journal
from indexer.mode import find_mode
from indexer.observe import observe
from indexer.records import DELETED, MISSING, is_told
from indexer.span import span_of

MAX_REASON_CHARACTERS: Final = 2000


class Moment(click.ParamType[datetime]):
    """An instant or a date, its first instant in UTC."""

    name = "instant"

    @override
    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the text of the option."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Gone(Struct, frozen=True):
    """A partition of the window that is there no more."""

    name: str
    action: str
    at: str


class Reach(Struct, frozen=True):
    """What a hold reaches of what there is."""

    keeps: tuple[str, ...]
    gone: tuple[Gone, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands work with."""

    configuration: Configuration
    entry: Entry
    journal: Journal

    def live(self) -> list[str]:
        """Names of the partitions and indices of late events that are there."""
        seen = observe(self.entry.access.lifecycle, None, self.configuration.index)
        return [one.name for one in seen if one.exists]

    def is_touched(self, hold: Hold, name: str) -> bool:
        """Whether a hold keeps the partition of this name."""
        span = span_of(name, self.configuration.index)
        return span is not None and touches(hold, span)

    def reach(self, hold: Hold) -> Reach:
        """What a hold keeps, and what of its window went before."""
        live = self.live()
        gone = {
            event.resource.id: Gone(event.resource.id, event.action, event.timestamp)
            for event in self.journal.read((DELETED, MISSING))
            if event.resource is not None and event.resource.id not in live
        }
        return Reach(
            tuple(name for name in live if self.is_touched(hold, name)),
            tuple(one for name, one in sorted(gone.items()) if self.is_touched(hold, name)),
        )

    def take_out(self, hold: Hold, names: tuple[str, ...]) -> bool:
        """Take from the ISM plugin what it must not delete; False where it can delete nothing."""
        client, settings = self.entry.access.lifecycle, self.configuration.index
        if not find_mode(client, settings, self.configuration.lifecycle).may_delete:
            return False
        for name in names:
            try:
                take_out(client, name)
            except IndexerError as error:
                raise HoldError(
                    f"the hold {hold.id} is placed, but ISM may still delete {name}: {error}",
                    hint=f"indelible lifecycle run --once tries again; or take {name} out of ISM by"
                    f" hand: POST _plugins/_ism/remove/{name}",
                ) from error
        return True


@contextmanager
def open_desk() -> Generator[Desk]:
    """Read the settings, and have the clients."""
    configuration = load()
    with enter(configuration) as entry:
        yield Desk(configuration, entry, Journal(entry.access.lifecycle, configuration.index))


@click.group("hold", cls=WholeHelpGroup)
def command() -> None:
    """Keep what a court may ask for, whatever its age."""


@command.command(
    "add",
    epilog=examples(
        "hold add --organization org_1 --from 2026-03-01 --until 2026-04-01 --reason 'case 17'"
    ),
)
@click.option(
    "--organization", "organization_id", required=True, help="Whose events are asked for."
)
@click.option("--from", "since", required=True, type=Moment(), help="First instant to keep.")
@click.option("--until", type=Moment(), help="First instant after it; without it there is no end.")
@click.option("--reason", required=True, help="Why; everybody reads it who may read the log.")
@click.option("--by", help="Who places it; else the user of this terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def add(
    *,
    organization_id: str,
    since: datetime,
    until: datetime | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """Place a hold: partitions with events of its window are not deleted until it is released.

    A deletion that was decided on at that moment is waited for, and its outcome told.
    """
    now = datetime.now(UTC)
    hold = Hold(
        id=new_uuid7(int(now.timestamp() * 1000) * 1_000_000),
        organization_id=check_organization(organization_id),
        since=since,
        until=check_until(since, until),
        reason=check_reason(reason),
        placed_by=by or name_user(),
        placed_at=now,
    )
    with open_desk() as desk:
        desk.journal.prepare()
        with _telling(f"whether the hold {hold.id} is placed is not known", NoAnswerError):
            place(desk.journal, hold)
        if not as_json:
            # Now, as what follows may wait, fail or be stopped.
            click.echo(f"hold {hold.id} is placed")
        with _telling(f"the hold {hold.id} is placed, but what it keeps cannot be told"):
            awaited, reach = _settle(desk, hold)
    kept = None if awaited is None else awaited in reach.keeps
    if as_json:
        awaited_report = None if awaited is None else {"name": awaited, "kept": kept}
        report = {**as_report(hold), **msgspec.to_builtins(reach), "awaited": awaited_report}
        click.echo(msgspec.json.encode(report).decode())
        return
    if awaited is not None:
        outcome = "it is kept" if kept else "it is gone"
        click.echo(f"{awaited} was being deleted at that moment: {outcome}")
    for name in reach.keeps:
        click.echo(f"keeps {name}")
    for one in reach.gone:
        click.echo(f"too late for {one.name}: {one.action} at {one.at}")
    if not reach.keeps:
        click.echo("no partition of its window is there now; ones that come are kept")


def _settle(desk: Desk, hold: Hold) -> tuple[str | None, Reach]:
    """Wait for a deletion that was decided on before, and find what the hold reaches."""
    awaited = await_decision(
        desk.entry.document,
        lambda name: desk.is_touched(hold, name),
        lease_seconds=desk.configuration.lifecycle.lease_seconds,
    )
    reach = desk.reach(hold)
    if desk.take_out(hold, reach.keeps):
        reach = desk.reach(hold)
    return awaited, reach


@contextmanager
def _telling(what: str, kind: type[IndexerError] = IndexerError) -> Generator[None]:
    """Say what stands where the cluster fails meanwhile: a second hold would be another one."""
    try:
        yield
    except HoldError:
        raise
    except kind as error:
        raise HoldError(
            f"{what}: {error}", hint="`indelible hold list` tells, when the cluster answers again"
        ) from error


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def list_holds(*, as_json: bool) -> None:
    """Show the active holds, and the partitions that each of them keeps."""
    with open_desk() as desk:
        holds, live = read_holds(desk.journal), desk.live()
        keeps = {hold.id: [name for name in live if desk.is_touched(hold, name)] for hold in holds}
    if as_json:
        rows = [{**as_report(hold), "keeps": keeps[hold.id]} for hold in holds]
        click.echo(plain_json({"holds": rows}))
        return
    print_table(open_console(), tabulate(holds, keeps))


@command.command(
    "release",
    epilog=examples(
        "hold release 01a20b65-6d9c-7000-b0ea-d6399cf83c66 --reason 'closed by the court'"
    ),
)
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why; everybody reads it who may read the log.")
@click.option("--by", help="Who releases it; else the user of this terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def release(*, hold_id: str, reason: str, by: str | None, as_json: bool) -> None:
    """Release a hold: what it kept is deleted when its time has come, if no other hold keeps it."""
    check_reason(reason)
    with open_desk() as desk:
        holds = {hold.id: hold for hold in read_holds(desk.journal)}
        hold = holds.pop(hold_id, None)
        if hold is None:
            raise HoldError(
                f"no active hold has the id {hold_id}", hint="indelible hold list shows them"
            )
        with _telling(f"whether the hold {hold.id} is released is not known", NoAnswerError):
            now = datetime.now(UTC)
            release_hold(desk.journal, hold, by=by or name_user(), reason=reason, at=now)
        with _telling(f"the hold {hold.id} is released, but what that frees cannot be told"):
            freed = [
                name
                for name in desk.live()
                if desk.is_touched(hold, name)
                and not any(desk.is_touched(other, name) for other in holds.values())
            ]
    if as_json:
        click.echo(msgspec.json.encode({"id": hold.id, "frees": freed}).decode())
        return
    click.echo(f"hold {hold.id} is released")
    for name in freed:
        click.echo(f"no longer kept: {name}")


def tabulate(holds: list[Hold], keeps: dict[str, list[str]]) -> Table:
    """The holds as a table; instants in UTC."""
    table = new_table("hold", "why", "keeps", caption=None if holds else "no active hold")
    for hold in holds:
        until = "no end" if hold.until == OPEN_END else f"{hold.until:%Y-%m-%d %H:%M}"
        window = f"{hold.since:%Y-%m-%d %H:%M} to {until}"
        placed = f"{hold.placed_at:%Y-%m-%d} by {hold.placed_by}"
        # What somebody wrote is neither mark-up nor what a terminal obeys.
        what = Text("\n".join((plain(hold.id), plain(hold.organization_id), window)))
        why = Text(f"{plain(hold.reason)}\n{plain(placed)}")
        table.add_row(what, why, "\n".join(keeps[hold.id]) or "nothing that is there")
    return table


def as_report(hold: Hold) -> dict[str, object]:
    """A hold as JSON has it."""
    return {
        "id": hold.id,
        "organizationId": hold.organization_id,
        "from": format_instant(hold.since),
        "until": None if hold.until == OPEN_END else format_instant(hold.until),
        "reason": hold.reason,
        "placedBy": hold.placed_by,
        "placedAt": format_instant(hold.placed_at),
    }


def name_user() -> str:
    """Who sits at this terminal, who has to have a name."""
    name = find_user()
    if name is None:
        raise click.BadParameter("this user has no name: say who", param_hint="--by")
    return name


def check_organization(organization_id: str) -> str:
    """Refuse what cannot be an organisation."""
    if not organization_id.strip() or not is_told(organization_id):
        raise click.BadParameter(
            "not an organisation: empty, too long, or begins with `_`, which is the log itself",
            param_hint="--organization",
        )
    return organization_id


def check_until(since: datetime, until: datetime | None) -> datetime:
    """Refuse a window that holds nothing; the end is `OPEN_END` where there is none."""
    if until is None:
        return OPEN_END
    if until <= since:
        raise click.BadParameter("is not after --from: the window is empty", param_hint="--until")
    return until


def check_reason(reason: str) -> str:
    """Refuse a reason that is none, or a book."""
    if not reason.strip():
        raise click.BadParameter("is empty: say why, it is recorded", param_hint="--reason")
    if len(reason) > MAX_REASON_CHARACTERS:
        raise click.BadParameter(
            f"has {len(reason)} characters, at most {MAX_REASON_CHARACTERS}",
            param_hint="--reason",
        )
    return reason
