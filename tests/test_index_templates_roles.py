"""The roles do what the system needs and nothing else: real requests with each user's password."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from indexer.client import Role, ask
from node.security import USERS, read_role
from tests.cluster import Cluster

EVENTS = 3
MONTH = "2026.11"
ROLES = (*USERS, "audit_deletion")
TOKENS = "/indelible-{prefix}-tokens"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition with some events in it, and a way to send requests about it."""

    cluster: Cluster
    prefix: str
    ids: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.prefix}-events-{MONTH}"

    def send(self, role: Role, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Send one request; `{index}`, `{prefix}` and `{id}` stand for the partition's."""
        with self.cluster.client(role) as client:
            reply = ask(
                client,
                method,
                self._fill(path),
                params={"refresh": "true"} if "_bulk" in path or "_doc" in path else None,
                body=None if body is None else self._fill(body).encode(),
            )
        return reply.status, reply.text

    def stored(self) -> object:
        """Return what is stored: every document with its version and place."""
        with self.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=self.name)
        status, text = self.send(
            "reader", "POST", "/{index}/_search", '{"version":true,"seq_no_primary_term":true}'
        )
        assert status == 200, text
        answer = msgspec.json.decode(text)
        assert answer["hits"]["total"]["value"] == EVENTS
        return sorted(answer["hits"]["hits"], key=lambda hit: str(hit["_id"]))

    def _fill(self, text: str) -> str:
        filled = text.replace("{index}", self.name).replace("{prefix}", self.prefix)
        return filled.replace("{id}", self.ids[0])


def _event(event_id: str) -> bytes:
    return msgspec.json.encode(
        {
            "id": event_id,
            "timestamp": "2026-11-23T10:00:00.000000Z",
            "organizationId": "org_1",
            "action": "member.invited",
        }
    )


@pytest.fixture(scope="module")
def partition(opensearch: Cluster) -> Iterator[Partition]:
    """A partition that the writer has opened by its first bulk request."""
    with opensearch.own_prefix() as settings:
        ids = tuple(str(uuid.uuid4()) for _ in range(EVENTS))
        made = Partition(opensearch, settings.prefix, ids)
        lines = b"".join(
            msgspec.json.encode({"create": {"_index": made.name, "_id": one}})
            + b"\n"
            + _event(one)
            + b"\n"
            for one in ids
        )
        status, text = made.send("writer", "POST", "/_bulk", lines.decode())
        assert (status, msgspec.json.decode(text)["errors"]) == (200, False), text
        yield made


CHANGES = [
    pytest.param("PUT", "/{index}/_doc/{id}", '{"action":"forged.event"}', id="index over an id"),
    pytest.param("POST", "/{index}/_update/{id}", '{"doc":{"action":"x"}}', id="update"),
    pytest.param("DELETE", "/{index}/_doc/{id}", None, id="delete"),
    pytest.param(
        "POST", "/_bulk", '{"index":{"_index":"{index}","_id":"{id}"}}\n{"a":1}\n', id="bulk index"
    ),
    pytest.param(
        "POST",
        "/_bulk",
        '{"update":{"_index":"{index}","_id":"{id}"}}\n{"doc":{"a":1}}\n',
        id="bulk update",
    ),
    pytest.param(
        "POST", "/_bulk", '{"delete":{"_index":"{index}","_id":"{id}"}}\n', id="bulk delete"
    ),
    pytest.param(
        "POST", "/{index}/_delete_by_query", '{"query":{"match_all":{}}}', id="delete by query"
    ),
    pytest.param(
        "POST",
        "/{index}/_update_by_query",
        '{"script":{"source":"ctx._source.action=\'x\'"}}',
        id="update by query with a script",
    ),
    pytest.param("POST", "/{index}/_update_by_query", None, id="update by query"),
    pytest.param(
        "POST",
        "/_reindex",
        '{"source":{"index":"{index}"},"dest":{"index":"{index}-copy"}}',
        id="reindex out of it",
    ),
    pytest.param(
        "POST",
        "/_reindex",
        '{"source":{"index":"{index}"},"dest":{"index":"{prefix}-late-2026.11"}}',
        id="reindex into audit indices",
    ),
    pytest.param("POST", "/{index}/_close", None, id="close"),
    pytest.param("DELETE", "/{index}", None, id="delete the index"),
    pytest.param("DELETE", "/{prefix}-*", None, id="delete by wildcard"),
    pytest.param(
        "PUT", "/{index}/_mapping", '{"properties":{"x":{"type":"keyword"}}}', id="put mapping"
    ),
    pytest.param(
        "POST",
        "/_aliases",
        '{"actions":[{"add":{"index":"{index}","alias":"{prefix}-alias"}}]}',
        id="add an alias",
    ),
    pytest.param(
        "POST", "/_aliases", '{"actions":[{"remove_index":{"index":"{index}"}}]}', id="alias swap"
    ),
    pytest.param("POST", "/{index}/_rollover", None, id="rollover"),
    pytest.param("PUT", "/{index}/_clone/{prefix}-clone", None, id="clone"),
    pytest.param("PUT", "/{index}/_shrink/{prefix}-small", None, id="shrink"),
    pytest.param(
        "PUT",
        "/_cluster/settings",
        '{"transient":{"action.auto_create_index":"false"}}',
        id="cluster",
    ),
    pytest.param(
        "PUT",
        "/_plugins/_security/api/internalusers/mallory",
        '{"password":"Correct-horse-battery-1"}',
        id="make a user",
    ),
    pytest.param(
        "PUT",
        "/_plugins/_security/api/rolesmapping/all_access",
        '{"users":["audit_writer","audit_reader","audit_lifecycle"]}',
        id="become all_access",
    ),
    pytest.param("GET", "/.opendistro_security/_search", None, id="read the password hashes"),
]

# What lifecycle may do, and the two who handle events may not.
LIFECYCLE_ONLY = [
    pytest.param("PUT", "/_snapshot/forged", '{"type":"fs"}', id="register a repository"),
    pytest.param(
        "PUT", "/{index}/_settings", '{"index.blocks.write":true}', id="put settings of the index"
    ),
    pytest.param("PUT", "/{index}/_block/write", None, id="block writes"),
    pytest.param("POST", "/{index}/_forcemerge", None, id="force merge"),
    pytest.param(
        "PUT",
        "/_index_template/{prefix}-events",
        '{"index_patterns":["{prefix}-forged-*"]}',
        id="put an index template",
    ),
    pytest.param("DELETE", "/_index_template/{prefix}-events", None, id="delete an index template"),
]


def _refused(status: int, text: str) -> bool:
    """403, or 409 for an id that is there; bulk answers 200 and refuses each item."""
    if status != 200:
        return status in {403, 409}
    answer = msgspec.json.decode(text)
    items = [outcome for item in answer.get("items", ()) for outcome in item.values()]
    return bool(items) and all(
        outcome["status"] in {403, 409} or "index.append_only" in outcome["error"]["reason"]
        for outcome in items
    )


@pytest.mark.secured
@pytest.mark.opensearch
@pytest.mark.parametrize("role", ["writer", "reader", "lifecycle", "tokens"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_no_role_changes_what_is_stored(
    partition: Partition, role: Role, method: str, path: str, body: str | None
) -> None:
    before = partition.stored()
    status, text = partition.send(role, method, path, body)
    assert _refused(status, text), f"{status} {text}"
    assert partition.stored() == before


@pytest.mark.secured
@pytest.mark.opensearch
@pytest.mark.parametrize("role", ["writer", "reader", "tokens"])
@pytest.mark.parametrize(("method", "path", "body"), LIFECYCLE_ONLY)
def test_roles_that_handle_events_do_not_look_after_indices(
    partition: Partition, role: Role, method: str, path: str, body: str | None
) -> None:
    before = partition.stored()
    status, text = partition.send(role, method, path, body)
    assert status == 403, f"{status} {text}"
    assert partition.stored() == before


@pytest.mark.secured
@pytest.mark.opensearch
def test_an_index_that_the_writer_opens_without_append_only_is_immutable_all_the_same(
    partition: Partition,
) -> None:
    """The writer must be able to create indices, as the first event of a month does."""
    path = "/{prefix}-events-2026.12"
    settings = '{"settings":{"index.append_only.enabled":false}}'
    assert partition.send("writer", "PUT", path, settings)[0] == 200
    assert partition.send("writer", "PUT", f"{path}/_create/{{id}}", '{"action":"a.b"}')[0] == 201
    for method, place, body in (
        ("PUT", f"{path}/_doc/{{id}}", '{"action":"c.d"}'),
        ("POST", f"{path}/_update/{{id}}", '{"doc":{"action":"c.d"}}'),
        ("DELETE", f"{path}/_doc/{{id}}", None),
    ):
        status, text = partition.send("writer", method, place, body)
        assert status in {403, 409}, text
    status, text = partition.send("reader", "GET", f"{path}/_doc/{{id}}")
    assert (status, msgspec.json.decode(text)["_source"]) == (200, {"action": "a.b"})


@pytest.mark.secured
@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        pytest.param("reader", "PUT", "/{prefix}-events-2026.10", None, id="the reader's index"),
        pytest.param("writer", "POST", "/{index}/_search", None, id="the writer searches"),
        pytest.param("writer", "GET", "/{index}/_count", None, id="the writer counts"),
        # What is sealed, the refusal of the partition itself says (`indexer.late`).
        pytest.param("writer", "GET", "/{index}/_settings", None, id="the writer reads settings"),
        pytest.param("lifecycle", "POST", "/{index}/_search", None, id="lifecycle searches"),
        pytest.param("lifecycle", "GET", "/{index}/_doc/{id}", None, id="lifecycle gets an event"),
        pytest.param(
            "reader", "PUT", "/{index}/_create/new", '{"action":"x"}', id="the reader creates"
        ),
        pytest.param(
            "lifecycle", "PUT", "/{index}/_create/new", '{"action":"x"}', id="lifecycle creates"
        ),
        pytest.param(
            "writer", "PUT", "/other/_create/1", '{"action":"x"}', id="the writer beside audit-*"
        ),
        pytest.param("reader", "GET", "/other/_search", None, id="the reader beside audit-*"),
        pytest.param("tokens", "POST", "/{index}/_search", None, id="who keeps tokens searches"),
        pytest.param("tokens", "GET", "/{index}/_doc/{id}", None, id="who keeps tokens reads"),
        pytest.param("tokens", "DELETE", TOKENS, None, id="who keeps tokens deletes them"),
        pytest.param("writer", "POST", f"{TOKENS}/_search", None, id="the writer reads tokens"),
        pytest.param("reader", "POST", f"{TOKENS}/_search", None, id="the reader reads tokens"),
        pytest.param(
            "lifecycle", "PUT", f"{TOKENS}/_doc/1", '{"name":"x"}', id="lifecycle makes a token"
        ),
    ],
)
def test_each_role_keeps_to_its_part(
    partition: Partition, role: Role, method: str, path: str, body: str | None
) -> None:
    status, text = partition.send(role, method, path, body)
    assert status == 403, f"{status} {text}"


@pytest.mark.secured
@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        pytest.param("writer", "GET", "/{index}/_doc/{id}", None, id="the writer looks an id up"),
        pytest.param(
            "writer",
            "POST",
            "/_mget",
            '{"docs":[{"_index":"{index}","_id":"{id}"}]}',
            id="the writer looks many ids up",
        ),
        pytest.param("reader", "GET", "/{index}/_doc/{id}", None, id="the reader gets an event"),
        pytest.param(
            "reader",
            "POST",
            "/_mget",
            '{"docs":[{"_index":"{index}","_id":"{id}"}]}',
            id="the reader gets many",
        ),
        pytest.param(
            "reader",
            "POST",
            "/{prefix}-events-*,{prefix}-late-*/_search",
            '{"size":0,"aggs":{"a":{"terms":{"field":"action"}}}}',
            id="the reader searches and aggregates",
        ),
        pytest.param("reader", "GET", "/{prefix}-*/_count", None, id="the reader counts"),
        pytest.param(
            "reader",
            "POST",
            "/_msearch",
            '{"index":"{index}"}\n{"size":1}\n',
            id="the reader searches many",
        ),
        pytest.param("reader", "GET", "/{index}/_field_caps?fields=*", None, id="field caps"),
        pytest.param(
            "reader",
            "POST",
            "/{index}/_search/point_in_time?keep_alive=1m",
            None,
            id="the reader opens a point in time",
        ),
        pytest.param(
            "reader", "GET", "/_cluster/health/{prefix}-*", None, id="the reader's health"
        ),
        pytest.param("reader", "GET", "/{prefix}-*/_stats", None, id="the reader's stats"),
        pytest.param("reader", "GET", "/{prefix}-*/_settings", None, id="the reader's settings"),
        pytest.param(
            "reader", "GET", "/_index_template/{prefix}-events", None, id="the reader's template"
        ),
        pytest.param("lifecycle", "GET", "/{prefix}-*/_mapping", None, id="lifecycle's mapping"),
        pytest.param("lifecycle", "GET", "/{prefix}-*/_settings", None, id="lifecycle's settings"),
        pytest.param("lifecycle", "GET", "/{prefix}-*/_stats", None, id="lifecycle's stats"),
        pytest.param("lifecycle", "GET", "/_cluster/health", None, id="lifecycle's health"),
        pytest.param("lifecycle", "GET", "/_nodes/stats/fs", None, id="lifecycle's disks"),
        pytest.param("lifecycle", "POST", "/{index}/_forcemerge", None, id="lifecycle merges"),
        pytest.param(
            "lifecycle",
            "PUT",
            "/{index}/_settings",
            '{"index.blocks.write":false}',
            id="lifecycle unblocks",
        ),
    ],
)
def test_each_role_can_do_its_part(
    partition: Partition, role: Role, method: str, path: str, body: str | None
) -> None:
    status, text = partition.send(role, method, path, body)
    assert status == 200, text
    assert '"errors":true' not in text
    assert "security_exception" not in text


@pytest.mark.parametrize("name", ROLES)
def test_roles_speak_of_indices_of_the_log_only(name: str) -> None:
    role = read_role(name)
    patterns = {pattern for one in role.index_permissions for pattern in one.index_patterns}
    assert all(pattern.startswith(("audit-", "indelible-*-")) for pattern in patterns)
    assert role.description
