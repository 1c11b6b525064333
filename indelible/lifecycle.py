"""`indelible lifecycle run`: seal, copy and delete partitions when their time has come."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import structlog
from joserfc.jwk import OKPKey
from rich.table import Table
from rich.text import Text

from agent.flag import Flag
from audit_events.instant import format_instant
from indelible.access import Entry, enter, find_user
from indelible.configuration import Configuration, load
from indelible.listing import new_table, open_console, print_table
from indelible.stopping import stop_on_signals
from indelible.whole_help import WholeHelpGroup
from indexer.clock import check_clock
from indexer.deletion import find_block
from indexer.errors import DeletionBlockedError, HeadError, IndexerError, SettingsError
from indexer.lifecycle import Executor
from indexer.mode import find_mode, resolve
from indexer.plan import Plan
from indexer.policy import read_all
from indexer.repository import Repository
from indexer.round import Round
from indexer.settings import LifecycleSettings
from indexer.shift import Standby, work, work_once
from indexer.signing_key import read_private

EXIT_PROBLEM = 1

_log = structlog.get_logger("indelible")


@click.group("lifecycle", cls=WholeHelpGroup)
def command() -> None:
    """Seal, copy and delete partitions when their time has come."""


@command.command("run")
@click.option("--once", is_flag=True, help="Take what is due now, then exit.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done next.")
@click.option("--json", "as_json", is_flag=True, help="With --once or --dry-run: print JSON.")
@click.option(
    "--accept-journal",
    is_flag=True,
    help="With --once: go on with another journal than the one that was known.",
)
@click.option(
    "--accept-shorter-retention",
    is_flag=True,
    help="With --once: delete also what was sealed under a longer retention than the present one.",
)
@click.pass_context
def run(
    ctx: click.Context,
    *,
    once: bool,
    dry_run: bool,
    as_json: bool,
    accept_journal: bool,
    accept_shorter_retention: bool,
) -> None:
    """Look after the partitions until SIGTERM or Ctrl-C, which ends it between two steps.

    Of several that run at once, one works and the others stand by. Its own log is JSON lines on
    stderr. Exit codes with --once: 0 all that was due is done, or another process does it; 1 a
    step could not be taken; 2 settings are wrong; 130 it was stopped.
    """
    _check_options(once=once, dry_run=dry_run, as_json=as_json, accept_journal=accept_journal)
    _check_acceptance(accept=accept_shorter_retention, is_one_round=once or dry_run)
    configuration = load()
    check_files(configuration.lifecycle)
    signing_key = read_signing_key(configuration.lifecycle)
    # Before anything is asked: what this executor cannot carry out is refused by name.
    read_all(configuration.index, configuration.lifecycle)
    stop = Flag()
    stop_on_signals(stop)
    with enter(configuration) as entry:
        foresight = Foresight(configuration, entry)

        def open_executor() -> Executor:
            executor = executor_of(
                configuration,
                entry,
                stop,
                signing_key=signing_key,
                accept_shorter_retention=accept_shorter_retention,
            )
            if not (once or dry_run):
                foresight.tell()
            return executor

        if dry_run:
            show(open_executor().preview(), as_json=as_json, block=foresight.look())
        elif once:
            found = work_once(open_executor, entry.lease, stop=stop, accept_journal=accept_journal)
            show(found, as_json=as_json, block=foresight.look())
            if isinstance(found, Round) and found.problems:
                ctx.exit(EXIT_PROBLEM)
        else:
            # Whoever stands by is to know it too, before it has the lease.
            foresight.tell()
            work(
                open_executor,
                entry.lease,
                interval_seconds=configuration.lifecycle.interval_seconds,
                stop=stop,
            )


def _check_options(*, once: bool, dry_run: bool, as_json: bool, accept_journal: bool) -> None:
    if as_json and not (once or dry_run):
        raise click.UsageError("--json says what --once or --dry-run came to; give one of them")
    if accept_journal and (dry_run or not once):
        raise click.UsageError("--accept-journal is for one round; give --once alone")


def _check_acceptance(*, accept: bool, is_one_round: bool) -> None:
    if accept and not is_one_round:
        raise click.UsageError("--accept-shorter-retention is for one round; give --once")


def check_files(lifecycle: LifecycleSettings) -> None:
    """Refuse certificate files that are not there: years may pass before one is asked for.

    Raises:
        SettingsError: naming each.
    """
    files = {"CERT": lifecycle.admin_cert_file, "KEY": lifecycle.admin_key_file}
    problems = tuple(
        f"INDELIBLE_LIFECYCLE_ADMIN_{name}_FILE (lifecycle.admin_{name.lower()}_file): there is no"
        f" file {path}"
        for name, path in files.items()
        if path is not None and _is_absent(path)
    )
    if problems:
        raise SettingsError(problems)


def read_signing_key(lifecycle: LifecycleSettings) -> OKPKey | None:
    """Return what sealings are signed with, None where that is not set.

    Read once, at the start: with a key that cannot be had nothing is sealed, rather than unsigned.

    Raises:
        SettingsError: it cannot be read, or is none; or heads are to be kept, and none is signed.
    """
    setting = "INDELIBLE_LIFECYCLE_SIGNING_KEY_FILE (lifecycle.signing_key_file)"
    path = lifecycle.signing_key_file
    if path is None:
        if lifecycle.heads_file is not None:
            raise SettingsError((f"{setting}: needed where heads_file is set",))
        return None
    try:
        return read_private(path)
    except HeadError as error:
        raise SettingsError((f"{setting}: {error}",)) from None


def _is_absent(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        # It may be there: what cannot be read is told when it is tried.
        return False
    return False


class Foresight:
    """Tells that nothing can be deleted here, long before anything is due."""

    def __init__(self, configuration: Configuration, entry: Entry) -> None:
        self._configuration = configuration
        self._entry = entry
        self._told = ""

    def look(self) -> DeletionBlockedError | None:
        """Why nothing can be deleted in mode `worm`; None where it can, or nobody can tell now."""
        index, lifecycle = self._configuration.index, self._configuration.lifecycle
        access = self._entry.access
        try:
            if find_mode(access.lifecycle, index, lifecycle).name != "worm":
                return None
        except IndexerError:
            return None
        return find_block(access.deleter, index)

    def tell(self) -> None:
        """Log it, once for each cause."""
        block = self.look()
        cause = "" if block is None else str(block)
        if block is not None and cause != self._told:
            _log.warning("deletion_blocked", cause=cause, hint=block.hint)
        self._told = cause


def executor_of(
    configuration: Configuration,
    entry: Entry,
    stop: Flag,
    *,
    signing_key: OKPKey | None,
    accept_shorter_retention: bool,
) -> Executor:
    """The executor of one round, for the cluster as it is now.

    Raises:
        ClockError: this host's clock is wrong, or the cluster's.
    """
    check_clock(entry.access.lifecycle, datetime.now(UTC))
    index = configuration.index
    lifecycle = configuration.lifecycle
    mode = find_mode(entry.access.lifecycle, index, lifecycle)
    copies = Repository(entry.access.lifecycle, index, lifecycle)
    return Executor(
        entry.access,
        index,
        resolve(lifecycle, mode),
        lease=entry.lease,
        archive=copies if lifecycle.snapshot_repository is not None else None,
        signing_key=signing_key,
        with_ism=mode.may_delete,
        accept_shorter_retention=accept_shorter_retention,
        operator=find_user(),
        stop=stop,
    )


def show(
    found: Round | Standby, *, as_json: bool, block: DeletionBlockedError | None = None
) -> None:
    """Print what a round came to, and why nothing can be deleted here, if that is known."""
    if block is not None and not _is_told(found):
        click.echo(f"warning: {block}\nnext: {block.hint}", err=True)
    if isinstance(found, Standby):
        words = f"nothing done here: {found.holder} looks after the partitions"
        click.echo(msgspec.json.encode({"standby": found.holder}) if as_json else words)
        return
    if as_json:
        click.echo(msgspec.json.encode(as_report(found)).decode())
        return
    console = open_console()
    print_table(console, tabulate(found.plans))
    for taken in found.taken:
        console.print(f"done: {taken.partition}: {taken.step}")
    for problem in found.problems:
        words = f"error: {problem.partition}: {problem.step}: {problem.what}"
        click.echo(f"{words}\nnext: {problem.hint}", err=True)


def _is_told(found: Round | Standby) -> bool:
    """Whether a deletion was due, and failed for that very reason."""
    return isinstance(found, Round) and any(one.is_blocked for one in found.problems)


def as_report(found: Round) -> dict[str, object]:
    """A round as JSON has it."""
    return {
        "partitions": [as_row(plan) for plan in found.plans],
        "taken": found.taken,
        "problems": found.problems,
    }


def as_row(plan: Plan) -> dict[str, object]:
    """The plan of one partition as JSON has it."""
    return {
        "name": plan.name,
        "state": plan.state,
        "sealAt": plan.seal_at and format_instant(plan.seal_at),
        "deleteAt": plan.delete_at and format_instant(plan.delete_at),
        "heldBy": plan.held_by,
        "nextStep": None if plan.next_step is None else plan.next_step.value,
        "why": plan.why,
    }


def tabulate(plans: tuple[Plan, ...]) -> Table:
    """What becomes of each partition, as a table."""
    columns = ("partition", "state", "sealed", "deleted", "next", "why")
    table = new_table(*columns, caption=None if plans else "no partition yet")
    for plan in plans:
        step = "" if plan.next_step is None else plan.next_step.value
        row = (plan.name, plan.state, _day(plan.seal_at), _day(plan.delete_at), step)
        table.add_row(*row, Text(plan.why))
    return table


def _day(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d}"
