"""What the API's tests share: tokens, stored events, and an application on the real node."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jwt
from opensearchpy import OpenSearch
from werkzeug.test import TestResponse

import audit_events
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.envelope import decode_envelope
from audit_events.instant import parse_instant
from indexer.client import ask, connect
from indexer.names import partition_name
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from tests.event_ids import create_action
from webapi import create_app
from webapi.audit_log import PATH
from webapi.auth import Reader
from webapi.limits import without_limits
from webapi.parts import EXTENSION, Parts
from webapi.query import unix_ns
from webapi.reading import Reading
from webapi.settings import WebSettings
from webapi.sign_in.cookie import cookie_name, cookie_serializer
from webapi.sign_in.session import Method, session_data

SECRET = secrets.token_urlsafe(48)
SETTINGS = without_limits(WebSettings(jwt_secret=Secret(SECRET)))
OWNER = Reader(
    organization_id="org_a",
    role="owner",
    plan="studio_pro",
    subject="u_reader",
    email="reader@company.com",
    name="Rea Der",
)
ANA = {"type": "user", "id": "u_ana", "email": "ana@company.com", "name": "Ana María"}
Claims = Mapping[str, object]
NO_CLAIMS: Claims = {}
Pairs = Sequence[tuple[str, str]]


def token(organization: str = "org_a", claims: Claims = NO_CLAIMS, **more: object) -> str:
    """Return the token of an owner on an allowed plan, unless the claims say otherwise."""
    payload: dict[str, object] = {
        "organizationId": organization,
        "role": "owner",
        "plan": "studio_pro",
        "sub": "u_reader",
        "email": "reader@company.com",
        # Longer than any run of the suite: some tokens are made when a file is imported.
        "exp": int(time.time()) + 86_400,
    }
    payload.update({**claims, **more})
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, SECRET, algorithm="HS256")


def session_cookie(
    reader: Reader = OWNER,
    settings: WebSettings = SETTINGS,
    *,
    method: Method = "link",
    age_seconds: int = 0,
) -> tuple[str, str]:
    """Return name and value of the cookie of somebody who signed in so many seconds ago.

    For a browser: `context.add_cookies([{"name": name, "value": value, "url": url}])`; for Flask's
    test client: `client.set_cookie(name, value)`.
    """
    data = session_data(reader, method, now=int(time.time()) - age_seconds)
    return cookie_name(settings), cookie_serializer(settings).dumps(data)


def write_events(path: Path, events: Sequence[dict[str, Any]], start: str) -> list[bytes]:
    """Write events as an application would, one second apart unless they say `at`."""
    begin = unix_ns(parse_instant(start))
    now = [begin]
    clock: Callable[[], int] = lambda: now[0]  # noqa: E731  # read at each call
    log = audit_events.open_log(
        path, service="tests", host="here", system=True, clock_unix_ns=clock
    )
    for number, event in enumerate(events):
        fields = dict(event)
        moment = cast("str | None", fields.pop("at", None))
        now[0] = begin + number * 10**9 if moment is None else unix_ns(parse_instant(moment))
        action = cast("str", fields.pop("action"))
        log.info(action, **{"organization_id": "org_a", "actor": ANA, **fields})
    return path.read_bytes().splitlines()


def store(writer: OpenSearch, index: IndexSettings, lines: Sequence[bytes]) -> None:
    """Create the events, searchable at once."""
    body = bytearray()
    for line in lines:
        envelope = decode_envelope(line)
        name = partition_name(envelope.timestamp, index)
        body += create_action(name, envelope.id)
        body += b"\n" + line + b"\n"
    reply = ask(writer, "POST", "/_bulk", params={"refresh": "true"}, body=bytes(body))
    assert reply.status == 200, reply.text
    assert '"errors":false' in reply.text, reply.text


class Api:
    """An application and its client.

    It lists the partitions for each question: served, it believes a list for a moment, and a
    partition that a test has just made would now and then be found only after that.

    Args:
        client: connected as the reader, or to whatever a test puts in between.
        index: names of the partitions.
        settings: group `web`.
        catalogue: the actions that are known.
        tokens: connected as who keeps the API tokens.
    """

    def __init__(
        self,
        client: OpenSearch,
        index: IndexSettings,
        settings: WebSettings = SETTINGS,
        *,
        catalogue: Catalogue = CATALOGUE,
        tokens: OpenSearch | None = None,
    ) -> None:
        self.app = create_app(
            settings, client=client, index=index, catalogue=catalogue, tokens_client=tokens
        )
        made: Parts = self.app.extensions[EXTENSION]
        reading = Reading(made.storage, index, trusted_seconds=0)
        self.app.extensions[EXTENSION] = replace(made, reading=reading)
        self.settings = settings
        self.client = self.app.test_client()

    def sign_in(self, reader: Reader = OWNER) -> None:
        """Let the client be the browser of somebody who is signed in."""
        self.client.set_cookie(*session_cookie(reader, self.settings))

    def get(
        self,
        query: Pairs | str = (),
        *,
        path: str = PATH,
        bearer: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        """Ask; `bearer` is the default owner's token when empty, none when None."""
        sent = dict(headers or {})
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer or token()}"
        if isinstance(query, str):
            return self.client.get(path, query_string=query, headers=sent)
        return self.client.get(path, query_string=list(query), headers=sent)

    def visit(self, path: str, reader: Reader | None = OWNER) -> TestResponse:
        """Open a page in a browser of somebody who is signed in; None: of nobody."""
        browser = self.app.test_client()
        if reader is not None:
            browser.set_cookie(*session_cookie(reader, self.settings))
        return browser.get(path, headers={"Accept": "text/html"})

    def send(
        self, method: str, path: str, body: object = None, *, bearer: str = ""
    ) -> TestResponse:
        """Send something with a body of JSON, as `get` does."""
        headers = {"Authorization": f"Bearer {bearer or token()}"}
        return self.client.open(path, method=method, json=body, headers=headers)

    def page(self, query: Pairs | str = (), *, bearer: str = "") -> dict[str, Any]:
        """Ask for a page that must come."""
        response = self.get(query, bearer=bearer)
        assert response.status_code == 200, response.text
        return cast("dict[str, Any]", response.get_json())

    def actions(self, query: Pairs | str = (), *, bearer: str = "") -> list[str]:
        """Return the actions of a page, in its order."""
        return [event["action"] for event in self.page(query, bearer=bearer)["events"]]


def storeless(settings: WebSettings = SETTINGS) -> Api:
    """Return an application for what asks no store: the one of its settings is never reached."""
    return Api(connect(ConnectionSettings(), role="reader"), IndexSettings(), settings)


def problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Return the body of a refusal, which must have this status, code and shape (RFC 9457)."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body = cast("dict[str, Any]", response.get_json())
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]
    if "Retry-After" in response.headers:
        assert f"again in {response.headers['Retry-After']} second" in body["detail"]
    return body
