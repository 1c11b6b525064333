"""`indelible agent`: follow log files and ship their events, in the foreground."""

import signal
import threading
from types import FrameType

import click
import msgspec

from agent.settings import AgentSettings
from agent.start import Outcome, run
from indelible.agent_checkpoints import command as checkpoints
from indelible.configuration import load
from indexer.client import connect


@click.group("agent", invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.option("--once", is_flag=True, help="Ship what is there now, then exit.")
@click.option(
    "--path", "paths", multiple=True, help="Glob to follow instead of the configured; repeatable."
)
@click.option("--state-directory", help="Where checkpoint, dead letter and status lie.")
@click.option("--check-chain/--no-check-chain", default=None, help="Verify each event's hash.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    once: bool,
    paths: tuple[str, ...],
    state_directory: str | None,
    check_chain: bool | None,
) -> None:
    """Follow log files and ship their events until SIGTERM or Ctrl-C.

    What is in flight then is settled within `shutdown_seconds`; the rest is shipped by the next
    start. Its own log is JSON lines on stderr. `indelible agent checkpoints` only looks.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = state_directory
        return
    configuration = load()
    settings = override(
        configuration.agent, paths=paths, state_directory=state_directory, check_chain=check_chain
    )
    stop = threading.Event()
    _stop_on_signals(stop)
    with connect(configuration.connection, role="writer") as client:
        outcome = run(settings, configuration.index, client, stop=stop, once=once)
    if once:
        click.echo(describe(outcome))
        ctx.exit(1 if outcome.unreadable else 0)


command.add_command(checkpoints)


def override(
    settings: AgentSettings,
    *,
    paths: tuple[str, ...] = (),
    state_directory: str | None = None,
    check_chain: bool | None = None,
) -> AgentSettings:
    """The settings with what the command line gives in their place."""
    return msgspec.structs.replace(
        settings,
        paths=paths or settings.paths,
        state_directory=state_directory or settings.state_directory,
        check_chain=settings.check_chain if check_chain is None else check_chain,
    )


def describe(outcome: Outcome) -> str:
    """What `--once` says at its end."""
    totals = outcome.totals
    counts = (
        f"{totals.created} events stored, {totals.duplicates} stored before,"
        f" {totals.dead_letters} in the dead letter"
    )
    lines = [counts]
    lines += [f"not read: {path}: {reason}" for path, reason in outcome.unreadable.items()]
    return "\n".join(lines)


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.set()
        # Asked twice, it ends at once: nothing is lost by that, it is only sent again.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
