"""The incident view, as it is served."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_events.catalogue import CATALOGUE
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events
from webapi.page.views import PATH

pytestmark = pytest.mark.opensearch

USUAL = [
    {"action": "app.created", "at": f"2026-03-{day:02}T09:00:00Z", "ip_address": "203.0.113.9"}
    for day in range(1, 29)
]
UNUSUAL: list[dict[str, Any]] = [
    {
        "action": "app.deleted",
        "at": f"2026-03-29T09:00:{second:02}Z",
        "actor": {"type": "user", "id": "u_eve", "name": "<i>Eve</i>"},
        "ip_address": "198.51.100.66",
        "resource": {"type": "app", "id": f"app_{second}"},
    }
    for second in range(12)
]
AROUND = "around=2026-03-29T09:00:00Z&window=5m"


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[Api]:
    lines = write_events(tmp_path / "e.log", [*USUAL, *UNUSUAL], "2026-03-01T00:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    with opensearch.client("reader") as client:
        yield Api(client, index)


def incident(api: Api, query: str) -> str:
    response = api.visit(f"{PATH}/incident?{query}")
    assert response.status_code == 200, response.text
    return response.text


def test_it_says_who_took_part_and_what_is_new_or_unusual(api: Api) -> None:
    html = incident(api, AROUND)
    assert "12 events from" in html
    assert "&lt;i&gt;Eve&lt;/i&gt;" in html
    assert '<span class="new">new</span>' in html
    assert "12 times here, not once in the days before" in html
    assert CATALOGUE["app.deleted"].title in html
    assert "+11s" in html


def test_its_events_are_paged(api: Api) -> None:
    html = incident(api, f"{AROUND}&limit=10")
    assert html.count('class="event"') == 10
    following = html.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert incident(api, following.removeprefix("?")).count('class="event"') == 2


def test_a_window_without_events_says_so(api: Api) -> None:
    assert "Nothing happened here" in incident(api, "around=2026-03-29T12:00:00Z&window=1m")


@pytest.mark.parametrize("query", ["", "around=soon", "around=2026-03-29&window=9y", "range=1h"])
def test_what_is_no_window_is_told(api: Api, query: str) -> None:
    response = api.visit(f"{PATH}/incident?{query}")
    assert response.status_code == 400
    assert 'role="alert"' in response.text
