"""`indelible agent`: follow log files and ship their events, in the foreground."""

import os
import signal
from pathlib import Path
from types import FrameType

import click
import msgspec
from typing_extensions import override

from agent.board import Board
from agent.flag import Flag
from agent.notify import Notifier
from agent.renewal import Settings
from agent.settings import AgentSettings
from agent.start import Outcome, run
from indelible.configuration import load
from indelible.environment_file import read as read_variables
from indelible.stopping import find_terminals, stop_on_signals
from indelible.whole_help import examples, refuse_unknown
from indexer.client import connect


class AgentGroup(click.Group):
    """Imports a subcommand when it is called: the agent itself needs no tables in its memory."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["checkpoints"]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "checkpoints":
            return None
        from indelible.agent_checkpoints import command as checkpoints  # noqa: PLC0415  # as above

        return checkpoints

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        refuse_unknown(ctx, args[0], self.list_commands(ctx), "Files are named by --path.")
        return super().resolve_command(ctx, args)


@click.group(
    "agent",
    cls=AgentGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    epilog=examples(
        "agent --once --path '/var/log/members/audit.log*' --state-directory try",
        "agent checkpoints",
    ),
)
@click.option("--once", is_flag=True, help="Ship what is there now, then exit.")
@click.option(
    "--path", "paths", multiple=True, help="Glob to follow instead of the configured; repeatable."
)
@click.option("--state-directory", help="Where checkpoint, dead letter and status lie.")
@click.option("--check-chain/--no-check-chain", default=None, help="Verify each event's hash.")
@click.option(
    "--environment-file",
    type=click.Path(path_type=Path),
    help="File of NAME=value lines that beat the environment; read again by SIGHUP.",
)
@click.option("--json", "as_json", is_flag=True, help="With --once: say what it came to as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    once: bool,
    paths: tuple[str, ...],
    state_directory: str | None,
    check_chain: bool | None,
    environment_file: Path | None,
    as_json: bool,
) -> None:
    """Follow log files and ship their events until SIGTERM or Ctrl-C.

    What is in flight then is settled within `shutdown_seconds`; the rest is shipped by the next
    start. SIGHUP reads the configuration again. Its own log is JSON lines on stderr.
    `indelible agent checkpoints` only looks.

    With --once it shows on a terminal how far it is, and says at the end what it came to. Exit
    codes: 0 all that was there is settled; 1 a file could not be read, or the state not be written;
    2 settings are wrong; 130 it was stopped before the end, and the next start ships the rest.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = state_directory
        return
    if as_json and not once:
        raise click.UsageError("--json says what --once came to; give both")

    def read() -> Settings:
        given = read_variables(environment_file) if environment_file else {}
        configuration = load({**os.environ, **given})
        settings = give(
            configuration.agent,
            paths=paths,
            state_directory=state_directory,
            check_chain=check_chain,
        )
        client = connect(configuration.connection, role="writer")
        return Settings(settings, configuration.index, client, configuration.connection)

    own = read()
    stop, board = Flag(), Board(Notifier(os.environ))
    stop_on_signals(stop)

    def start() -> Outcome:
        return run(own, stop=stop, once=once, board=board, read=read)

    if once:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        from indelible.agent_once import ship  # noqa: PLC0415  # draws: not in an agent that stays

        seconds = own.agent.shutdown_seconds
        ctx.exit(ship(start, board, stop, shutdown_seconds=seconds, as_json=as_json))
    _reload_on_hangup(stop, board.reload)
    start()


def give(
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


def _reload_on_hangup(stop: Flag, reload: Flag) -> None:
    terminals = find_terminals()

    def handle(_number: int, _frame: FrameType | None) -> None:
        # The same signal says that the terminal was closed, and then nobody is there any more.
        is_closed = terminals and not any(os.isatty(one) for one in terminals)
        (stop if is_closed else reload).set()

    signal.signal(signal.SIGHUP, handle)
