"""Counts, incidents and surroundings tell nothing of another organisation, whatever is asked."""

from collections import Counter
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from audit_events.envelope import decode_envelope
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_webapi_tenants import EVENTS, EVIL, MARK, QUERIES, VICTIM
from tests.timing import measure
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

WINDOW = urlencode({"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"})
TRACES = (MARK, VICTIM, "u_victim", "vault", "203.0.113.9", "hidden.done", "target@victim.com")
"""What only the victim's events have."""


@pytest.fixture
def scene(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> tuple[Api, list[str]]:
    """The API, and the ids of the victim's events; the attacker's stands between them."""
    lines = write_events(tmp_path / "events.log", EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    envelopes = [decode_envelope(line) for line in lines]
    victims = [one.id for one in envelopes if one.organizationId == MARK]
    return Api(opensearch.client("reader"), index), victims


def test_no_count_is_of_another_organisation(scene: tuple[Api, list[str]]) -> None:
    api, victims = scene
    statuses: Counter[tuple[str, int]] = Counter()
    for path in ("facets", "incident"):
        for name, query in QUERIES:
            asked = query if "around=" in query or "since=" in query else f"{query}&{WINDOW}"
            request = partial(api.get, asked, path=f"{PATH}/{path}", bearer=EVIL)
            response, seconds = measure(request, 2)
            assert seconds <= 2, name
            assert response.status_code in {200, 400}, (name, response.text)
            statuses[path, response.status_code] += 1
            if response.status_code == 200:
                assert response.get_json()["total"] <= 1, name
                leaked = [one for one in (*TRACES, *victims) if one in response.text]
                assert leaked == [], (path, name)
    assert all(statuses[path, 200] > len(QUERIES) // 3 for path in ("facets", "incident"))


def test_the_days_before_are_the_organisations_own(scene: tuple[Api, list[str]]) -> None:
    """The attacker's window begins just behind the victim's events."""
    api, victims = scene
    query = "since=2026-03-15T09:00:00.5Z&until=2026-03-16"
    found = api.get(query, path=f"{PATH}/incident", bearer=EVIL).get_json()
    assert (found["total"], found["before"]["total"], found["before"]["enough"]) == (1, 0, False)
    assert found["before"]["coveredDays"] == 0
    for victim in victims:
        for path in (f"{PATH}/{victim}/surroundings", f"{PATH}/{victim}"):
            problem(api.get(path=path, bearer=EVIL), 404, "event_not_found")
            assert api.get(path=path, bearer=token(MARK)).status_code == 200


def test_neighbours_in_the_source_are_not_told(scene: tuple[Api, list[str]]) -> None:
    """The attacker's event was written between two of the victim's, by one process."""
    api, victims = scene
    (mine,) = api.page(bearer=EVIL)["events"]
    response = api.get(path=f"{PATH}/{mine['id']}", bearer=EVIL)
    assert response.headers.getlist("Link") == []
    around = api.get(path=f"{PATH}/{mine['id']}/surroundings", bearer=EVIL)
    assert not [one for one in (*TRACES, *victims) if one in around.text]
