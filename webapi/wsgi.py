"""What a WSGI server loads: `gunicorn -c python:webapi.gunicorn_settings 'webapi.wsgi:create()'`.

Settings are read from the environment and the file that INDELIBLE_CONFIG names, by gunicorn's
master for all of its workers: at its start, and again on SIGHUP. A worker that is forked because
another one died goes by the same, so a file that somebody edits ends no service that runs.

`indelible web` serves the same application, and also finds the embedded node.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from flask import Flask

from audit_events.catalogue import Catalogue
from audit_events.errors import AuditEventError
from indexer import log
from indexer.client import connect
from indexer.errors import IndexerError
from indexer.settings import ConnectionSettings, IndexSettings
from indexer.settings_reading import SettingsReading
from webapi.app import create_app
from webapi.log import announce
from webapi.settings import CatalogueSettings, WebSettings, configured_catalogue

ANSWER_MARGIN_SECONDS = 2.0
"""OpenSearch itself gives up first, so that its answer and not a broken connection tells so."""

CONNECTIONS_A_THREAD: Final = 2
"""A list of the partitions is asked for beside the question, and the next page of an export while
the one before is sent."""

_log = structlog.get_logger("webapi")


@dataclass(frozen=True, slots=True)
class Configured:
    """All settings of a server."""

    web: WebSettings
    connection: ConnectionSettings
    index: IndexSettings
    catalogue: Catalogue

    def application(self) -> Flask:
        """Make the application; see `assemble`."""
        return assemble(self.web, self.connection, self.index, self.catalogue)


_kept: list[Configured] = []


def read_configured(environ: Mapping[str, str]) -> Configured:
    """Read all settings.

    Raises:
        SettingsError: everything that is wrong with them.
        CatalogueError: the same of the catalogue that they name.
    """
    reading = SettingsReading(environ)
    web = reading.group("web", WebSettings)
    connection = reading.group("opensearch", ConnectionSettings)
    index = reading.group("index", IndexSettings)
    known = reading.group("catalogue", CatalogueSettings)
    if not (web and connection and index and known) or reading.problems:
        raise reading.error()
    return Configured(web, connection, index, configured_catalogue(known))


def keep(environ: Mapping[str, str]) -> Configured:
    """Read all settings for the processes that are forked from now on.

    Raises:
        SettingsError, CatalogueError: as `read_configured`, and what does not fit together.
        SinkError: `web.audit_path` cannot be written.
    """
    found = read_configured(environ)
    # Once before anything is forked: a worker that cannot begin ends gunicorn and all the others.
    found.application()
    _kept[:] = [found]
    return found


def keep_anew(environ: Mapping[str, str]) -> None:
    """Do so while the server runs: what is wrong is logged, and what was kept goes on."""
    try:
        keep(environ)
    except (IndexerError, AuditEventError, OSError) as error:
        _log.error(
            "configuration_refused",
            problems=getattr(error, "problems", (str(error),)),
            hint="the one before goes on; correct it and send SIGHUP again",
        )
    else:
        _log.info("configuration_reread")


def create(environ: Mapping[str, str] | None = None) -> Flask:
    """Make the application of what the master kept; without one, of the environment's settings.

    Raises:
        SettingsError, CatalogueError: as `read_configured`.
    """
    log.configure()
    if environ is None and _kept:
        found = _kept[0]
    else:
        found = read_configured(os.environ if environ is None else environ)
    announce(found.web)
    return found.application()


def assemble(
    web: WebSettings, connection: ConnectionSettings, index: IndexSettings, catalogue: Catalogue
) -> Flask:
    """Make the application, connected as the reader and as who keeps API tokens, if there is one.

    A cluster whose reader needs no name has no users at all, and needs none for the tokens either.
    """
    patience = min(connection.timeout_seconds, web.query_timeout_seconds + ANSWER_MARGIN_SECONDS)
    connection = msgspec.structs.replace(connection, timeout_seconds=patience)
    client = connect(connection, role="reader", connections=CONNECTIONS_A_THREAD * web.threads)
    named = connection.tokens_username or connection.username or not connection.reader_username
    return create_app(
        web,
        client=client,
        index=index,
        catalogue=catalogue,
        tokens_client=connect(connection, role="tokens", connections=web.threads)
        if named
        else None,
    )
