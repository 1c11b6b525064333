"""What a WSGI server loads: `gunicorn -c python:webapi.gunicorn_settings 'webapi.wsgi:create()'`.

Settings are read from the environment and the file that INDELIBLE_CONFIG names. `indelible web`
serves the same application, and also finds the embedded node.
"""

import os
from collections.abc import Mapping

import msgspec
from flask import Flask

from audit_events.catalogue import Catalogue
from indexer import log
from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings
from indexer.settings_reading import SettingsReading
from webapi.app import create_app
from webapi.log import announce
from webapi.settings import CatalogueSettings, WebSettings, configured_catalogue

ANSWER_MARGIN_SECONDS = 2.0
"""OpenSearch itself gives up first, so that its answer and not a broken connection tells so."""


def create(environ: Mapping[str, str] | None = None) -> Flask:
    """Make the application of the environment's settings.

    Raises:
        SettingsError: everything that is wrong with them.
        CatalogueError: the same of the catalogue that they name.
    """
    log.configure()
    environ = os.environ if environ is None else environ
    reading = SettingsReading(environ)
    web = reading.group("web", WebSettings)
    connection = reading.group("opensearch", ConnectionSettings)
    index = reading.group("index", IndexSettings)
    known = reading.group("catalogue", CatalogueSettings)
    if not (web and connection and index and known) or reading.problems:
        raise reading.error()
    announce(web)
    return assemble(web, connection, index, configured_catalogue(known))


def assemble(
    web: WebSettings, connection: ConnectionSettings, index: IndexSettings, catalogue: Catalogue
) -> Flask:
    """Make the application, connected as the reader and as who keeps API tokens, if there is one.

    A cluster whose reader needs no name has no users at all, and needs none for the tokens either.
    """
    patience = min(connection.timeout_seconds, web.query_timeout_seconds + ANSWER_MARGIN_SECONDS)
    connection = msgspec.structs.replace(connection, timeout_seconds=patience)
    client = connect(connection, role="reader")
    named = connection.tokens_username or connection.username or not connection.reader_username
    return create_app(
        web,
        client=client,
        index=index,
        catalogue=catalogue,
        tokens_client=connect(connection, role="tokens") if named else None,
    )
