"""gunicorn's settings as the module that `gunicorn -c python:webapi.gunicorn_settings` reads."""

import os

from indexer import log
from webapi.server import gunicorn_options
from webapi.wsgi import keep, keep_anew

log.configure()
globals().update(gunicorn_options(keep(os.environ).web))


def on_reload(_arbiter: object) -> None:
    """Read the settings again on SIGHUP, for the workers that gunicorn forks next."""
    keep_anew(os.environ)
