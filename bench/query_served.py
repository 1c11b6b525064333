"""The list as one gunicorn worker serves it, beside the same search sent straight to OpenSearch.

Both over connections that are kept, in turn: `list_vs_raw` is what the API adds to the search, with
TLS and the user's password on the way to OpenSearch, token, parameters, list of partitions and
checks on the way through the API. `page_1000_vs_1` is the thousandth page by its cursor beside the
first. The store is one partition, so that both search the same. What else is asked of it goes the
same way: action, window, text, facets, incident.
"""

import json
import random
import ssl
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlencode, urlsplit

import msgspec

from bench.processes import ProcessError
from bench.query_stores import Shape
from indexer.names import read_indices
from indexer.settings import ConnectionSettings, IndexSettings
from tests.cluster import Cluster
from tests.node_home import free_ports
from tests.webapi_api import token
from tests.webapi_process import environment, serving
from webapi.audit_log import PATH
from webapi.query import MAX_LIMIT, Query, list_search
from webapi.storage import SEARCH_PARAMS

GUNICORN: Final = (
    "-m",
    "gunicorn",
    "-c",
    "python:webapi.gunicorn_settings",
    "webapi.wsgi:create()",
)
TIMEOUT_SECONDS: Final = 10.0
PAGES: Final = 1000
WARM: Final = 30
HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A connection that is kept, and what is asked over it."""

    connection: HTTPConnection
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def ask(self) -> tuple[float, bytes]:
        """Ask; return milliseconds and the answer."""
        begun = time.perf_counter()
        self.connection.request(self.method, self.path, self.body, dict(self.headers))
        with self.connection.getresponse() as response:
            answer = response.read()
        taken = 1000 * (time.perf_counter() - begun)
        if response.status != HTTP_OK:
            raise ProcessError(f"no answer: {response.status} {answer[:500]!r}")
        return taken, answer


def measure_served(
    cluster: Cluster,
    shape: Shape,
    prefix: str,
    home: Path,
    *,
    questions: Callable[[int], Mapping[str, str]],
    rounds: int,
    limit: int,
) -> Mapping[str, Sequence[float]]:
    """Return milliseconds of `list`, `raw`, `page_1`, `page_1000` and of each question.

    Args:
        cluster: with the store.
        shape: of the store, one partition with more than a thousand pages of each organisation.
        prefix: of its indices.
        home: where the server may write.
        questions: names and addresses of what the organisation of a number asks besides.
        rounds: how often each is asked.
        limit: events of a page, of `page_1` and `page_1000`.
    """
    index = shape.settings(prefix)
    (port,) = free_ports(1)
    environ = environment(
        cluster, index, home, INDELIBLE_WEB_PORT=str(port), INDELIBLE_WEB_WORKERS="1"
    )
    times: defaultdict[str, list[float]] = defaultdict(list)
    chance = random.Random(1)  # noqa: S311  # the same order in each run
    with serving(GUNICORN, environ, port, home / "bench-web.log"):
        api = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        straight = _straight(cluster.connection())
        all_ways = [
            {
                **_served(api, organization, limit, questions(number)),
                "raw": _raw(straight, cluster, index, organization),
            }
            for number, organization in enumerate(
                f"org_{number:04}" for number in range(shape.organizations)
            )
        ]
        for turn in range(rounds + WARM):
            ways = all_ways[turn % len(all_ways)]
            for name in chance.sample(list(ways), len(ways)):
                taken, _ = ways[name].ask()
                if turn >= WARM:
                    times[name].append(taken)
    return times


def _served(
    api: HTTPConnection, organization: str, limit: int, questions: Mapping[str, str]
) -> Mapping[str, Way]:
    bearer = {"Authorization": f"Bearer {token(organization)}"}
    listed = Way(connection=api, method="GET", path=PATH, headers=bearer)
    first = _page(listed, limit)
    others = {name: replace(listed, path=path) for name, path in questions.items()}
    return {"list": listed, "page_1": first, "page_1000": _deep(first, limit), **others}


def _page(way: Way, limit: int, cursor: str | None = None) -> Way:
    asked = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    return replace(way, path=f"{PATH}?{urlencode(asked)}")


def _deep(first: Way, limit: int) -> Way:
    """Return the way to the thousandth page; a cursor is the same whatever the limit was."""
    cursor: str | None = None
    left = (PAGES - 1) * limit
    while left:
        step = min(left, MAX_LIMIT)
        page = json.loads(_page(first, step, cursor).ask()[1])
        cursor = cast("str | None", page["nextCursor"])
        if cursor is None:
            raise ProcessError("an organisation has too few events for a thousand pages")
        left -= step
    return _page(first, limit, cursor)


def _straight(connection: ConnectionSettings) -> HTTPConnection:
    url = urlsplit(connection.url)
    context = ssl.create_default_context(cafile=connection.ca_file)
    return HTTPSConnection(
        cast("str", url.hostname), url.port, timeout=TIMEOUT_SECONDS, context=context
    )


def _raw(
    straight: HTTPConnection, cluster: Cluster, index: IndexSettings, organization: str
) -> Way:
    connection = cluster.connection()
    password = connection.reader_password
    pair = f"{connection.reader_username}:{'' if password is None else password.reveal()}"
    search = list_search(Query(organization_id=organization))
    return Way(
        connection=straight,
        method="POST",
        path=f"/{read_indices(index)}/_search?{urlencode(SEARCH_PARAMS)}",
        headers={
            "Authorization": f"Basic {b64encode(pair.encode()).decode()}",
            "Content-Type": "application/json",
        },
        body=msgspec.json.encode(search.body(TIMEOUT_SECONDS)),
    )
