"""The application factory."""

from functools import partial
from typing import Final

from flask import Flask, Response
from opensearchpy import OpenSearch

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.integrations.flask import init_app
from indexer.errors import SettingsError
from indexer.settings import IndexSettings
from webapi import (
    access,
    audit_log,
    docs_page,
    health,
    metrics,
    observation,
    openapi,
    problems,
    token_routes,
)  # fmt: skip
from webapi.api_tokens import ApiTokens
from webapi.arrivals import Arrivals
from webapi.auth import verifier
from webapi.completeness_reading import CompletenessReading
from webapi.cursor import cursor_key
from webapi.head_reading import HeadReading
from webapi.limits import limits_of
from webapi.metrics import storage_told
from webapi.owners import views as owners
from webapi.page import refusal, views
from webapi.parts import EXTENSION, Parts
from webapi.reading import Reading
from webapi.running import Running
from webapi.settings import WebSettings
from webapi.settings_conflicts import conflicts
from webapi.shared import shared
from webapi.sign_in import views as sign_in
from webapi.storage import Storage
from webapi.token_store import TokenStore
from webapi.trail import recorder, teller

MAX_BODY_BYTES: Final = 65_536
"""Nothing larger is asked of anybody here: forms, and the body of a new token."""
SLOW_SHARE: Final = 4
"""An export keeps a thread for as long as its client takes, and so does who waits for an event: of
so many threads one may do the first, and one the second."""
BLUEPRINTS: Final = (
    audit_log.blueprint,
    token_routes.blueprint,
    health.blueprint,
    openapi.blueprint,
    docs_page.blueprint,
    metrics.blueprint,
    views.blueprint,
    owners.blueprint,
)
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    settings: WebSettings,
    *,
    client: OpenSearch,
    index: IndexSettings,
    catalogue: Catalogue = CATALOGUE,
    tokens_client: OpenSearch | None = None,
) -> Flask:
    """Make the WSGI application.

    Make it in the process that serves it (after gunicorn's fork): connections and the source of
    `audit_log.viewed` belong to one process.

    Args:
        settings: group `web`.
        client: connected as the reader.
        index: names of the partitions.
        catalogue: the actions that are known.
        tokens_client: connected as who keeps the API tokens; None: there are none.

    Raises:
        SettingsError: everything that does not fit together in `settings`.
        SinkError: `web.audit_path` cannot be written.
    """
    wrong = conflicts(settings)
    if wrong:
        raise SettingsError(tuple(wrong))
    app = Flask("webapi", static_folder=None, template_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Also of what comes in chunks, and before a form is written to a temporary file.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    # A doubled slash is another address, not a redirect.
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = _make_parts(settings, client, index, catalogue, tokens_client)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    sign_in.install(app, settings)
    access.install(app)
    app.after_request(partial(_secure, settings.hsts_seconds))
    observation.install(app)
    problems.install(app, refusal.respond)
    init_app(app, trusted_proxies=settings.trusted_proxies)
    return app


def _make_parts(
    settings: WebSettings,
    client: OpenSearch,
    index: IndexSettings,
    catalogue: Catalogue,
    tokens_client: OpenSearch | None,
) -> Parts:
    tell, counted = teller(settings), shared()
    storage = Storage(
        client, index, settings.query_timeout_seconds, told=storage_told(counted.tallies)
    )
    tokens = None
    if tokens_client is not None:
        tokens = ApiTokens(TokenStore(tokens_client, index), tell)
    slow_requests = max(1, settings.threads // SLOW_SHARE)
    reading = Reading(storage, index)
    return Parts(
        settings=settings,
        index=index,
        storage=storage,
        reading=reading,
        verify=verifier(settings),
        record=recorder(tell, settings.viewed_seconds),
        tell=tell,
        api_tokens=tokens,
        counters=counted.counters,
        tallies=counted.tallies,
        limits=limits_of(settings),
        cursor_key=cursor_key(settings),
        catalogue=catalogue,
        exports=Running(slow_requests),
        waiters=Running(slow_requests),
        arrivals=Arrivals(storage, index),
        head_reading=HeadReading(client, storage, index),
        completeness_reading=CompletenessReading(reading, index),
    )


def _secure(hsts_seconds: int, response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if hsts_seconds:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={hsts_seconds}")
    return response
