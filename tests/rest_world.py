"""A node of one's own with something of everything that a call could change, and who calls."""

import json
import secrets
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from opensearchpy import OpenSearch

import node
from indexer.client import Reply, ask, connect
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from indexer.templates import install
from node.config import NodeConfig
from node.layout import Layout
from node.render import render_opensearch
from node.security import read_role
from tests.cluster import Cluster
from tests.node_home import node_config, own_home
from tests.rest_calls import (
    ALTERS,
    DONE,
    ENGINE,
    IDENTITIES,
    IMMUTABLE,
    OTHERWISE,
    REFUSED,
    SECURITY,
    Call,
)

EVENTS = 3
PASSWORD = "Correct-horse-battery-1"  # noqa: S105  # of users of a node that lives for a test
ADMINISTRATOR: dict[str, object] = {
    "cluster_permissions": ["*"],
    "index_permissions": [{"index_patterns": ["*"], "allowed_actions": ["*"]}],
    "tenant_permissions": [{"tenant_patterns": ["*"], "allowed_actions": ["*"]}],
}

SPARE: dict[str, object] = {
    "internalusers": {"password": PASSWORD},
    "roles": {"cluster_permissions": ["cluster:monitor/main"]},
    "rolesmapping": {"users": ["nobody"]},
    "actiongroups": {"allowed_actions": ["indices:data/read/get"]},
    "tenants": {"description": "spare"},
}
"""What a call may change or delete without harm to the test."""


def name_spares(name: str) -> dict[str, object]:
    """Return path and body of each; an action group may not have the name of a role."""
    return {
        f"{SECURITY}/{kind}/{'group-' if kind == 'actiongroups' else ''}{name}": body
        for kind, body in SPARE.items()
    }


@dataclass(slots=True)
class Callers:
    """Clients of a running node, by the letter of an identity."""

    cluster: Cluster
    clients: dict[str, OpenSearch] = field(default_factory=dict)

    def send(self, identity: str, method: str, path: str, body: str | None = None) -> Reply:
        encoded = None if body is None else body.encode()
        return ask(self.clients[identity], method, path, body=encoded)

    def need(self, method: str, path: str, body: object = None) -> object:
        """Send with the certificate what has to succeed."""
        reply = self.send("C", method, path, None if body is None else json.dumps(body))
        assert reply.status < 300, f"{method} {path}: {reply.status} {reply.text}"
        return msgspec.json.decode(reply.text)


@contextmanager
def run_callers(changes: Mapping[str, object]) -> Generator[Callers]:
    """Start a node with `changes` to its `opensearch.yml`, and users for all identities."""
    with own_home() as home, ExitStack() as stack:
        running = start_changed(home, changes)
        callers = Callers(Cluster("its own node", running.url, running.credentials))
        callers.clients["C"] = stack.enter_context(callers.cluster.admin())
        for letter, name in IDENTITIES.items():
            if letter == "C":
                continue
            password = running.credentials.users.get(name)
            if password is None:
                password = PASSWORD
                _add_user(callers, name)
            settings = ConnectionSettings(
                url=running.url,
                ca_file=running.credentials.ca_file,
                username=name,
                password=Secret(password),
            )
            callers.clients[letter] = stack.enter_context(connect(settings, role="reader"))
        for path, body in name_spares("spare").items():
            callers.need("PUT", path, body)
        yield callers


def start_changed(home: Path, changes: Mapping[str, object]) -> node.Running:
    """Start a node with `changes` to its `opensearch.yml`; None takes a setting out."""
    rendered = render_opensearch

    def widened(config: NodeConfig, layout: Layout) -> str:
        settings = msgspec.json.decode(rendered(config, layout), type=dict[str, object])
        merged = {key: value for key, value in {**settings, **changes}.items() if value is not None}
        return msgspec.json.encode(merged).decode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.preparation.render_opensearch", widened)
        return node.start(node_config(home))


def _add_user(callers: Callers, name: str) -> None:
    body: object = ADMINISTRATOR
    if name != "administrator":
        body = msgspec.to_builtins(read_role(name))
    callers.need("PUT", f"{SECURITY}/roles/{name}", body)
    callers.need("PUT", f"{SECURITY}/rolesmapping/{name}", {"users": [name]})
    callers.need("PUT", f"{SECURITY}/internalusers/{name}", {"password": PASSWORD})


@dataclass(slots=True)
class World:
    """A prefix with a partition, a journal, a control index, a snapshot, and spare things."""

    callers: Callers
    prefix: str
    ids: tuple[str, ...]
    state: object = None

    @property
    def index(self) -> str:
        return f"{self.prefix}-events-2026.11"

    def fill(self, text: str) -> str:
        """Put names in for `{index}`, `{prefix}`, `{id}` and the like."""
        for name, value in (
            ("index", self.index),
            ("prefix", self.prefix),
            ("id", self.ids[0]),
            ("fresh", secrets.token_hex(4)),
            ("node", "AAAAAAAAAAAAAAAAAAAAAA"),
        ):
            text = text.replace(f"{{{name}}}", value)
        return text

    def attempt(self, identity: str, call: Call) -> tuple[str, str]:
        """Make a call; return a letter of `MEANINGS`, and what was answered."""
        body = None if call.body is None else self._with_contexts(self.fill(call.body))
        reply = self.callers.send(identity, call.method, self.fill(call.target), body)
        said = f"{reply.status} {reply.text[:300]}"
        letter = judge(reply)
        if letter in (REFUSED, IMMUTABLE, ENGINE):
            return letter, said
        if self.look() != self.state:
            letter = ALTERS
        if call.undo is not None:
            self.callers.send("C", *(part and self.fill(part) for part in call.undo))  # type: ignore[arg-type]  # a method and a path are texts
        return letter, said

    def _with_contexts(self, body: str) -> str:
        if "{scroll}" in body:
            answer = self.callers.need("POST", f"/{self.index}/_search?scroll=1m")
            assert isinstance(answer, dict)
            return body.replace("{scroll}", answer["_scroll_id"])
        if "{pit}" in body:
            path = f"/{self.index}/_search/point_in_time?keep_alive=1m"
            answer = self.callers.need("POST", path)
            assert isinstance(answer, dict)
            return body.replace("{pit}", answer["pit_id"])
        return body

    def look(self) -> object:
        """What is stored, shown to the reader, recorded, and kept in snapshots."""
        # By name: a refresh of an index without its primary shard waits for it.
        self.callers.send("C", "POST", f"/{self.index},{self.prefix}-journal/_refresh")
        pattern = f"{self.prefix}-events-*"
        ask_for = '{"version":true,"size":50,"sort":["_index","_id"],"track_total_hits":true}'
        whole = "_search?allow_partial_search_results=false&expand_wildcards"
        stored = self._hits("C", f"/{pattern}/{whole}=all", ask_for)
        shown = self._hits("R", f"/{pattern}/{whole}=all", ask_for)
        journal = self._hits("C", f"/{self.prefix}-journal/_search", ask_for)
        reply = self.callers.send("C", "GET", f"/_snapshot/{self.prefix}-repo/first")
        return stored, shown, journal, reply.status

    def _hits(self, identity: str, path: str, body: str) -> object:
        reply = self.callers.send(identity, "POST", path, body)
        if reply.status != 200:
            return reply.status
        hits = msgspec.json.decode(reply.text)["hits"]["hits"]
        return [(one["_index"], one["_id"], one["_version"], one.get("_source")) for one in hits]


def judge(reply: Reply) -> str:
    """Tell what an answer means, by a letter of `MEANINGS`, as far as the answer tells it."""
    text = reply.text
    items: list[dict[str, object]] = []
    if reply.status == 200 and '"items"' in text:
        items = [one for item in msgspec.json.decode(text)["items"] for one in item.values()]
    if items:
        text = " ".join(json.dumps(one) for one in items if int(str(one["status"])) >= 300)
    failed = reply.status >= 300 or bool(text and items) or '"failures":[{' in text
    if not failed:
        return DONE
    for letter, words in (
        (IMMUTABLE, ("Index is immutable",)),
        (ENGINE, ("append_only", "append-only", "version_conflict_engine_exception")),
        (REFUSED, ("no permissions", "security_exception", "FORBIDDEN", "Access denied")),
    ):
        if any(word in text for word in words):
            return letter
    return REFUSED if reply.status in (401, 403) else OTHERWISE


def make_world(callers: Callers) -> World:
    """Make a prefix of its own with something in it."""
    settings = IndexSettings(prefix=f"audit-t{secrets.token_hex(6)}", replicas=0)
    install(callers.clients["C"], settings)
    ids = tuple(str(uuid.uuid4()) for _ in range(EVENTS))
    world = World(callers, settings.prefix, ids)
    places = [(world.index, one) for one in ids] + [(f"{settings.prefix}-journal", "first")]
    lines = "".join(_create(index, one) for index, one in places)
    reply = callers.send("C", "POST", "/_bulk?refresh=true", lines)
    assert '"errors":false' in reply.text, reply.text
    for method, path, body in _things(world):
        callers.need(method, path, body)
    world.state = world.look()
    return world


def _create(index: str, one: str) -> str:
    event = {
        "id": one,
        "timestamp": "2026-11-23T10:00:00.000000Z",
        "organizationId": "org_1",
        "action": "member.invited",
    }
    return f"{json.dumps({'create': {'_index': index, '_id': one}})}\n{json.dumps(event)}\n"


def _things(world: World) -> Iterator[tuple[str, str, object]]:
    prefix = world.prefix
    yield "PUT", f"/{world.index}/_alias/{prefix}-alias", {"is_write_index": True}
    yield "PUT", f"/indelible-{prefix}-control", {}
    yield "PUT", f"/_snapshot/{prefix}-repo", _repository(f"{prefix}-repo")
    yield "PUT", f"/_snapshot/{prefix}-spare", _repository(f"{prefix}-spare")
    first = f"/_snapshot/{prefix}-repo/first?wait_for_completion=true"
    yield "PUT", first, {"indices": world.index, "include_global_state": False}
    none = {"index_patterns": [f"{prefix}-none-*"], "priority": 7}
    yield "PUT", f"/_index_template/{prefix}-spare", none
    yield "PUT", f"/_component_template/{prefix}-spare", {"template": {}}
    yield "PUT", f"/_template/{prefix}-spare", {"index_patterns": [f"{prefix}-older-*"]}
    flow = {"index_patterns": [f"{prefix}-flow-*"], "priority": 900, "data_stream": {}}
    yield "PUT", f"/_index_template/{prefix}-flow", flow
    yield "PUT", f"/_data_stream/{prefix}-flow-y", None
    yield "PUT", f"/_ingest/pipeline/{prefix}-spare", {"processors": []}
    yield "PUT", f"/_search/pipeline/{prefix}-spare", {"request_processors": []}
    for path, body in name_spares(f"{prefix}-spare").items():
        yield "PUT", path, body


def _repository(location: str) -> object:
    return {"type": "fs", "settings": {"location": location}}
