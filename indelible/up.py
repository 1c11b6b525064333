"""`indelible up`: everything on this machine, in one terminal."""

import os
import secrets
from pathlib import Path

import click

from indelible import fresh as fresh_home
from indelible.configuration import Configuration, load
from indelible.display import Display
from indelible.guard import end_leftovers
from indelible.home import claim, unusable_home
from indelible.plan import HOST, Options
from indelible.ports import check_free
from indelible.run import Run
from indelible.run_record import lock, read_record
from indelible.stopping import Stopping
from indexer.signing_key import make


@click.command("up")
@click.option("--example/--no-example", default=True, help="Run the example and its traffic.")
@click.option("--fresh", is_flag=True, help="Delete the data of earlier runs first.")
@click.option("--yes", is_flag=True, help="Do not ask before --fresh deletes.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API (8250).")
@click.option(
    "--example-port",
    type=click.IntRange(1, 65535),
    default=8251,
    show_default=True,
    help="Port of the example application.",
)
@click.option("--json", "json_", is_flag=True, help="Say that it is ready as one line of JSON.")
def command(
    *, example: bool, fresh: bool, yes: bool, port: int | None, example_port: int, json_: bool
) -> None:
    """Run all of it here, in this terminal: node, agent, web and the example application.

    Downloads OpenSearch at the first time (about 110 MB), and prints a token and a curl to begin
    with. INDELIBLE_OPENSEARCH_URL takes another cluster instead of the embedded node.
    """
    if port is not None:
        os.environ["INDELIBLE_WEB_PORT"] = str(port)
    options = Options(
        example=example, fresh=fresh, yes=yes, example_port=example_port, as_json=json_
    )
    run(load(), options, Display())


def run(configuration: Configuration, options: Options, display: Display) -> None:
    """Run everything until it is stopped.

    Raises:
        CommandError, NodeError, IndexerError: something could not be started, or does not stay up;
            everything else has ended by then.
    """
    claim(configuration.home)
    with lock(configuration.home):
        clean_up(configuration, display)
        # First: whoever holds a port may be a web or an example of this very home.
        check_ports(configuration, options)
        if options.fresh:
            fresh_home.erase(configuration, ask=not options.yes, display=display)
        have_secret(configuration.jwt_secret_file)
        have_signing_key(configuration)
        # Again: what is deleted and made here decides about credentials, secret and key.
        again = load()
        # Only now: a question that waits for an answer ends with Ctrl-C as always.
        stopping = Stopping()
        stopping.install()
        Run(again, options, display, stopping).run()


def clean_up(configuration: Configuration, display: Display) -> None:
    """End what an `up` that was killed here left behind."""
    record = read_record(configuration.home)
    if record is not None:
        ended = end_leftovers(configuration, record)
        if ended:
            display.say(f"An earlier run was killed; ended what it left: {', '.join(ended)}.")


def check_ports(configuration: Configuration, options: Options) -> None:
    """Raise `PortTakenError` before anything is started."""
    web = configuration.web
    check_free(web.host, web.port, hint="--port PORT or INDELIBLE_WEB_PORT")
    if options.example:
        check_free(HOST, options.example_port, hint="--example-port PORT")


def have_secret(path: Path) -> None:
    """Make the secret that signs the tokens of this home, where there is none."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
    scratch.replace(path)


def have_signing_key(configuration: Configuration) -> None:
    """Make the key that signs what is sealed in this home, where there is none.

    Raises:
        ForeignHomeError: it cannot be made.
    """
    path = configuration.own_signing_key_file
    own = configuration.lifecycle.signing_key_file in (None, path)
    if own and not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make(path)
        except OSError as error:
            raise unusable_home(configuration.home, error) from error
