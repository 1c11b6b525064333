"""Events in other forms than ours: the index takes them, so every answer has to come all the same.

Another emitter may write null where we leave a part out, a number for an id, or a list.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from indexer.client import ask
from indexer.document_id import document_id
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.webapi_api import Api, store, write_events
from webapi.audit_log import PATH
from webapi.event_values import read_parts
from webapi.names import Named
from webapi.people import Person
from webapi.storage import Storage

PAGE: Final = "/settings/access-control/audit-log"
WINDOW: Final = "around=2026-03-15T09:00:00Z&window=15m"
USER: Final = "0190a1b2-7c3d-7000-8000-00000000000a"
WHOLE: Final[dict[str, Any]] = {
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u_1", "email": "ana@company.com", "name": "Ana"},
    "target_user": {"id": USER, "email": "team@company.com", "name": "Team"},
    "resource": {"type": "app", "id": "app_1", "name": "App"},
    "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
    "ip_address": "203.0.113.9",
    "user_agent": "curl/8",
    "correlation_id": "req_1",
}
PARTS: Final = ("actor", "targetUser", "resource", "context")
FIELDS: Final = ("actor.type", "actor.id", "actor.email", "actor.name", "targetUser.id",
                 "targetUser.email", "targetUser.name", "resource.type", "resource.id",
                 "resource.name", "result", "userAgent", "correlationId")  # fmt: skip
OF_PARTS: Final = ("null", "[]", "[null]", "{}", '[{"id":"x","type":"user"},{"id":"y"}]')
OF_FIELDS: Final = ("null", "[]", "[null]", '["x","y"]', "5", "1e400", "true", '""')
OF_CONTEXTS: Final = ('{"previous":"a","new":null}', '{"previous":[1],"new":{"role":[{}]}}',
                      '{"__proto__":{"x":1},"":1,"a..b":2}', '{"new":{"n":1e999}}')  # fmt: skip
SHAPES: Final = [
    *((path, text) for path in PARTS for text in OF_PARTS),
    *((path, text) for path in FIELDS for text in OF_FIELDS),
    ("ipAddress", "null"),
    ("ipAddress", '["203.0.113.9","2001:db8::1"]'),
    *(("context", text) for text in OF_CONTEXTS),
]
# Half a surrogate pair, which the cluster takes as it comes, and as an escape; and deep ones.
HALVES: Final = ("\ud800", "\\ud800")
DEEP: Final = 390
ODD_SHAPES: Final = [
    *((path, f'"{half}"') for path in FIELDS for half in HALVES),
    *(("context", f'{{"new":{{"{half}":"{half}"}}}}') for half in HALVES),
    ("context", f'{{"new":{"[" * DEEP}{"]" * DEEP}}}'),
]


def reshape(line: bytes, path: str, text: str) -> bytes:
    event = json.loads(line)
    part = event
    *above, name = path.split(".")
    for one in above:
        part = part[one]
    part[name] = "@"
    return json.dumps(event).replace('"@"', text).encode("utf-8", "surrogatepass")


def test_a_part_in_another_form_hides_neither_the_others_nor_the_event() -> None:
    line = b'{"actor":{"id":5},"targetUser":{"id":"u"},"resource":null,"n":1e999}'
    assert read_parts(line, Named) == Named(target_user=Person(id="u"))


def ask_everything(api: Api) -> list[tuple[str, bytes]]:
    """Ask every question, each of which has to be answered; returns their paths and bodies."""
    answers: list[tuple[str, bytes]] = []
    for address in asked():
        path, _, query = address.partition("?")
        response = api.get(query, path=f"{PATH}{path}")
        assert response.status_code == 200, (path, response.text)
        assert b"internal_error" not in response.data, path
        answers.append((path, response.data))
    return answers


@pytest.mark.opensearch
def test_whatever_is_stored_every_question_is_answered(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    written = write_events(tmp_path / "audit.log", [WHOLE] * len(SHAPES), "2026-03-15T09:00:00Z")
    lines = [reshape(line, *shape) for line, shape in zip(written, SHAPES, strict=True)]
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    with opensearch.client("reader") as reader:
        api = Api(reader, index)
        ask_everything(api)
        for line, shape in zip(lines, SHAPES, strict=True):
            path = f"{PATH}/{json.loads(line)['id']}"
            assert api.get(path=path).data == line, shape
            response = api.get("by=actor&before=1&after=1", path=f"{path}/surroundings")
            assert response.status_code in {200, 400}, (shape, response.text)
            assert api.visit(f"{PAGE}/{json.loads(line)['id']}").status_code == 200, shape
        lives = [
            f"/history?{of}" for of in ("resourceType=app&resourceId=app_1", f"targetUserId={USER}")
        ]
        for path in ("?limit=200", f"/incident?{WINDOW}&limit=200", *lives):
            assert api.visit(PAGE + path).status_code == 200, path
        assert api.visit("/settings/access-control/log-state").status_code == 200
        for facet in api.get(path=f"{PATH}/facets").get_json().values():
            if isinstance(facet, dict) and "missingCount" in facet:
                assert facet["missingCount"] >= 0
        csv = api.get("format=csv", path=f"{PATH}/export").data
        assert csv.count(b"\r\n") == len(SHAPES) + 1


@pytest.mark.opensearch
def test_what_no_agent_ships_hides_no_event_either(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """With the writer's password, past the agent: what is no text, and what is deep."""
    written = write_events(
        tmp_path / "audit.log", [WHOLE] * len(ODD_SHAPES), "2026-03-15T09:00:00Z"
    )
    ids = [json.loads(line)["id"] for line in written]
    action = f'{{"create":{{"_index":"{index.prefix}-events-2026.03","_id":"%s"}}}}\n'
    body = b"".join(
        (action % document_id(event_id)).encode() + reshape(line, *shape) + b"\n"
        for event_id, line, shape in zip(ids, written, ODD_SHAPES, strict=True)
    )
    with opensearch.client("writer") as writer:
        reply = ask(writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
        assert '"errors":false' in reply.text, reply.text
    with opensearch.client("reader") as reader:
        api = Api(reader, index)
        for path, data in ask_everything(api):
            assert path.startswith("/export") or data.decode(), path
        for event_id, shape in zip(ids, ODD_SHAPES, strict=True):
            assert api.get(path=f"{PATH}/{event_id}").get_json(force=True)["id"] == event_id, shape
            assert api.visit(f"{PAGE}/{event_id}").status_code == 200, shape
        for path in ("?limit=200", f"/incident?{WINDOW}&limit=200"):
            assert api.visit(PAGE + path).status_code == 200, path
        assert len(api.get("limit=200").get_json()["events"]) == len(ODD_SHAPES)


@pytest.mark.opensearch
@pytest.mark.slow
def test_whatever_an_index_is_called_every_question_is_answered(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """A writer may make it: what is an escape in a path, and a name that is long once escaped."""
    start = f"{index.prefix}-events-"
    names = [start + end for end in ("2026.03", "%2f", "%2c", "%zz", "{x}")]
    room = (255 - len(start.encode()) - 1) // len("é".encode())
    names += [f"{start}{number}{'é' * room}" for number in range(7)]
    lines = write_events(tmp_path / "audit.log", [WHOLE] * len(names), "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        for name, line in zip(names, lines, strict=True):
            body = b"%b\n%b\n" % (create_action(name, json.loads(line)["id"]), line)
            reply = ask(writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
            assert '"errors":false' in reply.text, reply.text
    with opensearch.client("reader") as reader:
        api = Api(reader, index)
        ask_everything(api)
        assert len(api.get("limit=200").get_json()["events"]) == len(names)
        assert Storage(reader, index, 10).refresh(names) == names


def asked() -> list[str]:
    return [
        "?limit=200",
        "?limit=200&q=ana&highlight=true",
        "?limit=200&fields=id,actor.email,context.new.role",
        "/facets?values=200",
        f"/incident?{WINDOW}&values=50&limit=200",
        "/history?resourceType=app&resourceId=app_1",
        f"/history?targetUserId={USER}",
        "/state?resourceType=app&resourceId=app_1",
        f"/state?targetUserId={USER}",
        "/export?format=ndjson",
        "/export?format=csv",
        "/export?format=zip",
        "/stream?start=2026-03-01T00:00:00Z",
        "/completeness",
    ]
