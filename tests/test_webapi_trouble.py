"""Trouble in the cluster never shows as half an answer: every route of the map, every trouble.

An address that is new is walked too: without a question in `QUESTIONS` it has to answer without
parameters, or this says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from werkzeug.test import TestResponse

from audit_events.envelope import decode_envelope
from indexer.client import ask
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.faults import Fault, Faults, altered, connect_through, instead
from tests.sealed_log import SealedLog
from tests.webapi_api import OWNER, Api, store, token, write_events
from webapi.arrivals import Arrivals
from webapi.audit_log import PATH
from webapi.kinds import kind_of
from webapi.parts import EXTENSION

pytestmark = pytest.mark.opensearch

QUESTIONS = {
    f"{PATH}/incident": "around=2026-03-15T00:00:00Z&window=15m",
    f"{PATH}/history": "resourceType=app&resourceId=app_42",
    f"{PATH}/state": "resourceType=app&resourceId=app_42",
    f"{PATH}/stream": "start=beginning",
}
ASKS_NOBODY = {f"{PATH}/actions", f"{PATH}/tokens"}
"""They need no event: the catalogue is ours, and the tokens have a store of their own."""
ASKS_NO_PARTITION = {f"{PATH}/heads"}
"""What was sealed is told by the journal."""
EVENTS: list[dict[str, object]] = [
    {"action": "app.created", "resource": {"type": "app", "id": "app_42"}},
    {"action": "app.published", "resource": {"type": "app", "id": "app_42"}},
]


PHASE = '{"error":{"type":"search_phase_execution_exception","reason":"x"},"status":503}'
TROUBLES = [
    pytest.param(altered('"failed":0', '"failed":1'), {"storage_incomplete"}, id="a failed shard"),
    pytest.param(
        altered('"timed_out":false', '"timed_out":true'), {"storage_timeout"}, id="out of time"
    ),
    pytest.param(instead(503, PHASE), {"storage_incomplete"}, id="no shard could answer"),
    pytest.param(instead(429, '{"error":{"type":"x"}}'), {"storage_unavailable"}, id="overload"),
    pytest.param(instead(502, "<html>"), {"storage_unavailable"}, id="a proxy's page"),
    pytest.param(
        instead(200, "<html>"), {"internal_error", "storage_unavailable"}, id="a page that says 200"
    ),
    pytest.param(altered('"hits":{', '"h":{'), {"internal_error"}, id="an answer without its hits"),
]


@dataclass(frozen=True, slots=True)
class Scene:
    cluster: Cluster
    index: IndexSettings
    event_id: str

    def ask_all(self, api: Api) -> Iterator[tuple[str, TestResponse]]:
        """Ask every address that shows events, of the API and of the page."""
        parts = api.app.extensions[EXTENSION]
        # Else the stream has nothing to ask for until a checkpoint is old enough.
        arrivals = Arrivals(parts.storage, self.index, settled_refreshes=0)
        api.app.extensions[EXTENSION] = replace(parts, arrivals=arrivals)
        for rule in api.app.url_map.iter_rules():
            methods = rule.methods or set()
            if kind_of(api.app.view_functions[rule.endpoint]) is None or "GET" not in methods:
                continue
            path = rule.rule.replace("<event_id>", self.event_id)
            if not path.startswith(PATH):
                yield rule.rule, api.visit(path, OWNER)
            elif rule.rule not in ASKS_NOBODY:
                yield rule.rule, api.get(QUESTIONS.get(rule.rule, ""), path=path, bearer=token())


@pytest.fixture(scope="module")
def scene(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("trouble") / "e.log"
    lines = write_events(path, EVENTS, "2026-03-15")
    with opensearch.own_prefix() as index:
        with opensearch.client("writer") as writer:
            store(writer, index, lines)
        SealedLog(opensearch, index).seal({"org_a": 1}, "2026.02")
        yield Scene(opensearch, index, decode_envelope(lines[0]).id)


def test_without_trouble_every_address_answers(scene: Scene) -> None:
    found = {
        rule: answer.status_code
        for rule, answer in scene.ask_all(Api(scene.cluster.client("reader"), scene.index))
    }
    api = {rule: status for rule, status in found.items() if rule.startswith(PATH)}
    assert set(api.values()) == {200}, api
    assert len(api) >= 7


@pytest.mark.parametrize(("trouble", "codes"), TROUBLES)
def test_no_address_answers_in_half(scene: Scene, trouble: Fault, codes: set[str]) -> None:
    searches = Faults(lambda _method, path, _body: trouble if "search" in path else None)
    client = connect_through(scene.cluster.connection(), searches, role="reader")
    wrong: list[str] = []
    for rule, answer in scene.ask_all(Api(client, scene.index)):
        if rule.startswith(PATH):
            wrong += check(rule, answer, codes)
        elif answer.status_code == 200 and "app_42" in answer.text:
            wrong.append(f"{rule}: shows events")
    assert wrong == []


def check(rule: str, answer: TestResponse, codes: set[str]) -> list[str]:
    code = (answer.get_json(silent=True) or {}).get("code")
    wrong = [] if code in codes else [f"{rule}: {answer.status_code} {answer.text[:150]}"]
    if code != "internal_error" and "Retry-After" not in answer.headers:
        wrong.append(f"{rule}: does not say when to ask again")
    return wrong


def test_a_closed_partition_is_missed_aloud_at_every_address(
    opensearch: Cluster, scene: Scene
) -> None:
    name = partition_name("2026-03-15T00:00:00.000000Z", scene.index)
    with opensearch.admin() as admin:
        assert ask(admin, "POST", f"/{name}/_close").status == 200
    try:
        answers = scene.ask_all(Api(scene.cluster.client("reader"), scene.index))
        wrong = [
            one
            for rule, answer in answers
            if rule.startswith(PATH) and rule not in ASKS_NO_PARTITION
            for one in check(rule, answer, {"storage_incomplete"})
        ]
    finally:
        with opensearch.admin() as admin:
            assert ask(admin, "POST", f"/{name}/_open").status == 200
    assert wrong == []
