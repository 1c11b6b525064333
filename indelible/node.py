"""`indelible node`: start, stop and look at the embedded OpenSearch node."""

import click
import msgspec
from rich.console import Console
from rich.table import Table

import node
from indelible.configuration import load
from indelible.display import Display
from indelible.home import claim
from indelible.whole_help import WholeHelpGroup

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group("node", cls=WholeHelpGroup)
def command() -> None:
    """Start, stop and look at the embedded OpenSearch node."""


@command.command("start")
@JSON_OPTION
def start(*, as_json: bool) -> None:
    """Start the node and wait until it answers; one that runs already is left as it is.

    What is missing is downloaded first (about 110 MB, once) and verified.
    """
    configuration = load()
    claim(configuration.home)
    config = configuration.node
    display = Display()
    try:
        running = node.start(config, display.show_node)
    finally:
        display.end_bar()
    if as_json:
        _print_json(node.status(config))
        return
    verb = "runs already" if running.adopted else f"started in {display.seconds:.0f} s"
    click.echo(f"{config.node_name} {verb}: {running.url} (process {running.pid})")


@command.command("stop")
@JSON_OPTION
def stop(*, as_json: bool) -> None:
    """Stop the node; its data stay."""
    config = load().node
    stopped = node.stop(config)
    if as_json:
        _print_json(node.status(config))
        return
    click.echo(f"{config.node_name} {'stopped' if stopped else 'was not running'}")


@command.command("status")
@JSON_OPTION
def status(*, as_json: bool) -> None:
    """Say how the node is; the exit code is 0 only when it answers."""
    found = node.status(load().node)
    if as_json:
        _print_json(found)
    else:
        Console(highlight=False, soft_wrap=True).print(tabulate(found))
    if found.state != "running":
        raise click.exceptions.Exit(1)


@command.command("logs")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=50, show_default=True)
def logs(*, lines: int) -> None:
    """Print the end of the node's log."""
    click.echo(node.log_tail(load().node, lines))


def tabulate(found: node.Status) -> Table:
    """Return the status as a table of names and values."""
    rows = {
        "state": found.state if found.pid is None else f"{found.state} (process {found.pid})",
        "OpenSearch": found.version,
        "url": found.url,
        "cluster": None if found.health is None else f"{found.health}, {found.nodes} node(s)",
        "home": str(found.home),
        "server files": None if found.place == found.home else str(found.place),
        "runs as": found.user,
        "data": f"{found.data_megabytes} MiB, {found.disk_free_megabytes} MiB free",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, value)
    return table


def _print_json(found: node.Status) -> None:
    click.echo(msgspec.json.encode(found, enc_hook=str).decode())
