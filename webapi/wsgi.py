"""What a WSGI server loads: `gunicorn -c python:webapi.gunicorn_settings 'webapi.wsgi:create()'`.

Settings are read from the environment and the file that INDELIBLE_CONFIG names. `indelible web`
serves the same application, and also finds the embedded node.
"""

import os
from collections.abc import Mapping

import msgspec
from flask import Flask

from indexer import log
from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings
from indexer.settings_reading import SettingsReading
from webapi.app import create_app
from webapi.log import announce
from webapi.settings import WebSettings

ANSWER_MARGIN_SECONDS = 2.0
"""OpenSearch itself gives up first, so that its answer and not a broken connection tells so."""


def create(environ: Mapping[str, str] | None = None) -> Flask:
    """Make the application of the environment's settings.

    Raises:
        SettingsError: everything that is wrong with them.
    """
    log.configure()
    environ = os.environ if environ is None else environ
    reading = SettingsReading(environ)
    web = reading.group("web", WebSettings)
    connection = reading.group("opensearch", ConnectionSettings)
    index = reading.group("index", IndexSettings)
    if web is None or connection is None or index is None or reading.problems:
        raise reading.error()
    announce(web)
    return assemble(web, connection, index)


def assemble(web: WebSettings, connection: ConnectionSettings, index: IndexSettings) -> Flask:
    """Make the application, connected as the reader."""
    patience = min(connection.timeout_seconds, web.query_timeout_seconds + ANSWER_MARGIN_SECONDS)
    connection = msgspec.structs.replace(connection, timeout_seconds=patience)
    return create_app(web, client=connect(connection, role="reader"), index=index)
