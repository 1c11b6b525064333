"""Ingest pipelines that an administrator gave a partition, on a real node: no event is lost."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from opensearchpy import OpenSearch
from structlog.testing import capture_logs

from indexer.backoff import Backoff
from indexer.bulk import BulkWriter, Settlement
from indexer.client import ask
from indexer.dead_letter import DeadLetter
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.faults import Answer, Fault, Faults, Send, connect_through
from tests.lines import NOW, batch_of, event_line

pytestmark = pytest.mark.opensearch

HURRIED = Backoff(first_seconds=0.001, longest_seconds=0.01, halted_seconds=0.005)


class Partition:
    """A partition with one event, and a writer whose requests a script sees."""

    def __init__(self, cluster: Cluster, index: IndexSettings, lifecycle: OpenSearch) -> None:
        self._cluster, self._index, self._lifecycle = cluster, index, lifecycle
        self._name = partition_name(NOW, index)
        self.grave = Path("/proc/none")  # Where nothing can be buried.

    def write(self, count: int, script: Faults) -> Settlement:
        with connect_through(self._cluster.connection(), script) as client:
            dead, stop = DeadLetter(self.grave), threading.Event()
            writer = BulkWriter(client, self._index, dead, stop=stop, backoff=HURRIED)
            return writer.write(batch_of(self._index, [event_line() for _ in range(count)]))

    def set(self, setting: str, value: str | None) -> None:
        body = msgspec.json.encode({setting: value})
        reply = ask(self._lifecycle, "PUT", f"/{self._name}/_settings", body=body)
        assert reply.status == 200, reply.text

    def count(self) -> int:
        ask(self._lifecycle, "POST", f"/{self._name}/_refresh")
        with self._cluster.client("reader") as reader:
            reply = ask(reader, "GET", f"/{self._name}/_count")
        return int(msgspec.json.decode(reply.text)["count"])


@pytest.fixture
def partition(opensearch: Cluster, index: IndexSettings) -> Iterator[Partition]:
    with opensearch.client("lifecycle") as lifecycle:
        made = Partition(opensearch, index, lifecycle)
        made.write(1, Faults(lambda *_: None))
        yield made


@pytest.mark.parametrize("setting", ["index.final_pipeline", "index.default_pipeline"])
def test_a_pipeline_that_is_not_there_is_waited_for_and_said_once(
    partition: Partition, setting: str
) -> None:
    """Each event is stored once, after the setting is taken away."""
    partition.set(setting, "none-of-this-name")
    attempts = itertools.count(1)

    def mend(_method: str, path: str, _body: bytes) -> Fault | None:
        if path == "/_bulk" and next(attempts) == 4:
            partition.set(setting, None)
        return None

    with capture_logs() as logs:
        settlement = partition.write(2, Faults(mend))
    assert settlement == Settlement(created=2, duplicates=0, dead=0, retries=3)
    assert [log["event"] for log in logs] == ["bulk_blocked", "bulk_resumed"]
    assert logs[0]["reason"] == "pipeline with id [none-of-this-name] does not exist"
    assert partition.count() == 3


def test_an_event_that_a_pipeline_dropped_is_not_taken_for_stored(partition: Partition) -> None:
    """Its item is answered with 200 and `noop`; the embedded node has no processor that drops."""
    attempts = itertools.count(1)

    def drop(_send: Send, body: bytes) -> Answer:
        items = [{"create": {"status": 200}}] * (len(body.splitlines()) // 2)
        return 200, {}, msgspec.json.encode({"errors": False, "items": items}).decode()

    def script(_method: str, path: str, _body: bytes) -> Fault | None:
        return drop if path == "/_bulk" and next(attempts) < 3 else None

    with capture_logs() as logs:
        settlement = partition.write(2, Faults(script))
    assert settlement == Settlement(created=2, duplicates=0, dead=0, retries=2)
    assert [log["event"] for log in logs] == ["bulk_retrying", "bulk_resumed"]
    assert partition.count() == 3
