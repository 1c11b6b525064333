"""`indelible web`: serve the API with gunicorn."""

import tempfile

import click

from indelible.configuration import load
from indelible.errors import CommandError
from indelible.ports import check_free
from webapi.log import announce
from webapi.server import serve
from webapi.wsgi import assemble


@click.command("web")
def command() -> None:
    """Serve the API and the page with gunicorn, until SIGTERM or Ctrl-C.

    Where it listens and whom it answers are settings of the group `web`.
    """
    configuration = load()
    _check_scratch()
    # Once before anything is forked: what is wrong is told here, in one line, and not by workers.
    catalogue = configuration.catalogue
    assemble(configuration.web, configuration.connection, configuration.index, catalogue)
    check_free(configuration.web.host, configuration.web.port, hint="INDELIBLE_WEB_PORT")
    announce(configuration.web)
    serve(
        configuration.web,
        lambda: assemble(
            configuration.web, configuration.connection, configuration.index, catalogue
        ),
    )


def _check_scratch() -> None:
    """Refuse to begin without a directory for what the workers share, here and in gunicorn."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise CommandError(
            "there is no directory for temporary files that can be written",
            hint="mount a small tmpfs at /tmp (a container whose root is read-only has none), or "
            "name a directory in TMPDIR",
        ) from error
