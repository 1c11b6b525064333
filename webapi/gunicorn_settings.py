"""gunicorn's settings as the module that `gunicorn -c python:webapi.gunicorn_settings` reads."""

import os

from indexer import log
from indexer.settings_reading import read_document, read_group
from webapi.server import gunicorn_options
from webapi.settings import WebSettings

log.configure()
globals().update(
    gunicorn_options(
        read_group("web", WebSettings, environ=os.environ, document=read_document(os.environ))
    )
)
