"""`indelible agent`: follow log files and ship their events, in the foreground."""

import signal
import threading
from types import FrameType

import click
import msgspec

from agent.board import Board
from agent.settings import AgentSettings
from agent.start import Outcome, run
from indelible.agent_checkpoints import command as checkpoints
from indelible.agent_once import ship
from indelible.configuration import load
from indexer.client import connect


@click.group("agent", invoke_without_command=True, subcommand_metavar="[COMMAND]")
@click.option("--once", is_flag=True, help="Ship what is there now, then exit.")
@click.option(
    "--path", "paths", multiple=True, help="Glob to follow instead of the configured; repeatable."
)
@click.option("--state-directory", help="Where checkpoint, dead letter and status lie.")
@click.option("--check-chain/--no-check-chain", default=None, help="Verify each event's hash.")
@click.option("--json", "as_json", is_flag=True, help="With --once: say what it came to as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    once: bool,
    paths: tuple[str, ...],
    state_directory: str | None,
    check_chain: bool | None,
    as_json: bool,
) -> None:
    """Follow log files and ship their events until SIGTERM or Ctrl-C.

    What is in flight then is settled within `shutdown_seconds`; the rest is shipped by the next
    start. Its own log is JSON lines on stderr. `indelible agent checkpoints` only looks.

    With --once it shows on a terminal how far it is, and says at the end what it came to. Exit
    codes: 0 all that was there is settled; 1 a file could not be read, or the state not be written;
    2 settings are wrong; 130 it was stopped before the end, and the next start ships the rest.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = state_directory
        return
    if as_json and not once:
        raise click.UsageError("--json says what --once came to; give both")
    configuration = load()
    settings = override(
        configuration.agent, paths=paths, state_directory=state_directory, check_chain=check_chain
    )
    stop = threading.Event()
    _stop_on_signals(stop)
    board = Board()
    with connect(configuration.connection, role="writer") as client:

        def start() -> Outcome:
            return run(settings, configuration.index, client, stop=stop, once=once, board=board)

        if once:
            ctx.exit(ship(start, board, stop, as_json=as_json))
        start()


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


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.set()
        # Asked twice, it ends at once: nothing is lost by that, it is only sent again.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
