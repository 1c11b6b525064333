"""What a WSGI server loads: `gunicorn -c python:webapi.gunicorn_settings 'webapi.wsgi:create()'`.

Settings are read from the environment and the file that INDELIBLE_CONFIG names. `indelible web`
serves the same application, and also finds the embedded node.
"""

import os
from collections.abc import Mapping

import msgspec
from flask import Flask

from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings, read_document, read_group
from webapi import log
from webapi.app import create_app
from webapi.settings import WebSettings

ANSWER_MARGIN_SECONDS = 2.0
"""OpenSearch itself gives up first, so that its answer and not a broken connection tells so."""


def create(environ: Mapping[str, str] | None = None) -> Flask:
    """Make the application of the environment's settings.

    Raises:
        SettingsError: what is wrong with them.
    """
    log.configure()
    environ = os.environ if environ is None else environ
    document = read_document(environ)
    web = read_group("web", WebSettings, environ=environ, document=document)
    log.announce(web)
    return assemble(
        web,
        read_group("opensearch", ConnectionSettings, environ=environ, document=document),
        read_group("index", IndexSettings, environ=environ, document=document),
    )


def assemble(web: WebSettings, connection: ConnectionSettings, index: IndexSettings) -> Flask:
    """Make the application, connected as the reader."""
    patience = min(connection.timeout_seconds, web.query_timeout_seconds + ANSWER_MARGIN_SECONDS)
    connection = msgspec.structs.replace(connection, timeout_seconds=patience)
    return create_app(web, client=connect(connection, role="reader"), index=index)
