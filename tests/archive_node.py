"""A node with an archive of its own, for tests that break it; and partitions to put into it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

import node
from indexer.client import ask
from indexer.digest import Digest, digest_partition
from indexer.journal import Journal
from indexer.names import partition_name
from indexer.records import Subject, record_seal
from indexer.restoration import BROKEN_FROM, MENDED_IN, Clients
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import span_of
from indexer.version import read_version
from node.layout import Layout
from node.render import render_opensearch
from tests.cluster import Cluster
from tests.lines import event_line
from tests.node_home import VERSION, node_config, own_home

MOMENTS = ("2026-03-01T00:00:00.000000Z", "2026-03-31T23:59:59.999999Z")


@dataclass(frozen=True, slots=True)
class ArchiveNode:
    """The node, and where it may keep snapshots."""

    cluster: Cluster
    archive: Path

    def lifecycle(self, repository: str) -> LifecycleSettings:
        return LifecycleSettings(
            snapshot_repository=repository, archive_path=self.archive / repository
        )

    def clients(self) -> Clients:
        return Clients(
            self.cluster.client("lifecycle"), self.cluster.client("reader"), self.cluster.admin()
        )


@contextmanager
def run_archive_node() -> Generator[ArchiveNode]:
    with own_home() as home, pytest.MonkeyPatch.context() as patch:
        if is_searched_in_place():
            patch.setattr("node.preparation.render_opensearch", _render_warm)
        config = node_config(home)
        running = node.start(config)
        cluster = Cluster("a node with an archive", running.url, running.credentials)
        yield ArchiveNode(cluster, node.archive_directory(config))


def is_searched_in_place() -> bool:
    """Whether this version cannot copy a sorted index back (OpenSearch #20073)."""
    return BROKEN_FROM <= read_version(VERSION) < MENDED_IN


def _render_warm(config: node.NodeConfig, layout: Layout) -> str:
    """Configure a node that reads in its archive what its version cannot copy back.

    Only for a test: of a node that holds data too, such a node measures the cache, not the disk.
    """
    settings = msgspec.json.decode(render_opensearch(config, layout), type=dict[str, object])
    settings["node.roles"] = ["cluster_manager", "data", "ingest", "warm"]
    settings["node.search.cache.size"] = "256mb"
    settings["cluster.routing.allocation.disk.threshold_enabled"] = False
    return msgspec.json.encode(settings).decode()


def lines(count: int = 12) -> list[bytes]:
    """Events of three organisations at both ends of a month."""
    return [
        event_line({"organizationId": f"org_{number % 3}"}, timestamp=MOMENTS[number % 2])
        for number in range(count)
    ]


def store(cluster: Cluster, index: IndexSettings, events: list[bytes], month: str = "03") -> str:
    """Store lines as they are in one partition; whichever it is, the node does not mind."""
    name = partition_name(MOMENTS[0].replace("-03-", f"-{month}-"), index)
    body = b"".join(
        b'{"create":{"_id":"%s"}}\n%s\n' % (msgspec.json.decode(line)["id"].encode(), line)
        for line in events
    )
    with cluster.client("writer") as writer:
        reply = ask(writer, "POST", f"/{name}/_bulk", body=body)
    assert '"errors":false' in reply.text, reply.text
    return name


def seal(clients: Clients, name: str) -> Digest:
    """Block, merge and digest."""
    for method, path in (
        ("PUT", f"/{name}/_block/write"),
        ("POST", f"/{name}/_forcemerge?max_num_segments=1"),
        ("POST", f"/{name}/_refresh"),
    ):
        reply = ask(clients.lifecycle, method, path)
        assert reply.status == 200, reply.text
    return digest_partition(clients.reader, name)


def record(clients: Clients, index: IndexSettings, name: str, uuid: str, digest: Digest) -> None:
    """Write into the journal that it was sealed."""
    span = span_of(name, index)
    assert span is not None
    subject = Subject(name, uuid, span)
    journal = Journal(clients.lifecycle, index)
    record_seal(journal, subject, digest, more={}, beat=lambda: None)


def delete(clients: Clients, name: str) -> None:
    reply = ask(clients.owner, "DELETE", f"/{name}")
    assert reply.status == 200, reply.text


def hits(clients: Clients, name: str) -> dict[str, bytes]:
    """Every event as it is stored, by id."""
    reply = ask(clients.reader, "POST", f"/{name}/_search", body=b'{"size":1000}')
    found = msgspec.json.decode(reply.text, type=_Found)
    return {hit.id: bytes(hit.source) for hit in found.hits.hits}


class _Hit(msgspec.Struct, rename={"id": "_id", "source": "_source"}):
    id: str
    source: msgspec.Raw


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Found(msgspec.Struct):
    hits: _Hits
