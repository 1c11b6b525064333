"""Late events on a real node: found in the sealed partition, or stored beside it, and once."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from opensearchpy import OpenSearch
from structlog.testing import capture_logs

from audit_events.instant import format_instant
from indexer.backoff import Backoff
from indexer.bulk import BulkWriter, Settlement
from indexer.client import ask
from indexer.dead_letter import DeadLetter
from indexer.document_id import document_id
from indexer.errors import Interrupted
from indexer.names import late_name, partition_name
from indexer.settings import IndexSettings
from tests import faults
from tests.cluster import Cluster
from tests.event_ids import event_id_of
from tests.faults import Fault, Faults, connect_through, in_turn
from tests.lines import NOW, batch_of, event_line
from tests.webapi_api import Api, token

pytestmark = pytest.mark.opensearch

HURRIED = Backoff(first_seconds=0.001, longest_seconds=0.01, halted_seconds=0.005)
OLD = format_instant((datetime.now(UTC).replace(day=1) - timedelta(days=45)).replace(day=15))
"""In a month that ended more than `seal_days` ago."""


def old_lines(count: int) -> list[bytes]:
    return [event_line(timestamp=OLD) for _ in range(count)]


class World:
    """A writer with its memory, an index, and what an operator does to it."""

    def __init__(self, cluster: Cluster, index: IndexSettings, directory: Path) -> None:
        self.cluster = cluster
        self.index = index
        self.directory = directory
        self.stop = threading.Event()

    def write(self, lines: list[bytes], script: Faults | None = None) -> Settlement:
        """Write with a writer that knows nothing yet, as after a restart."""
        with connect_through(self.cluster.connection(), script or in_turn()) as client:
            return self.writer(client).write(batch_of(self.index, lines))

    def writer(self, client: OpenSearch) -> BulkWriter:
        dead_letter = DeadLetter(self.directory)
        return BulkWriter(client, self.index, dead_letter, stop=self.stop, backoff=HURRIED)

    def store_as_before(self, name: str, lines: list[bytes]) -> None:
        """Store events as the first versions did: the `_id` is the text of the `id`."""
        with self.cluster.client("writer") as client:
            for line in lines:
                reply = ask(client, "PUT", f"/{name}/_create/{ids_of([line]).pop()}", body=line)
                assert reply.status == 201, reply.text

    def set_blocks(self, name: str, blocks: str) -> None:
        with self.cluster.client("lifecycle") as client:
            reply = ask(client, "PUT", f"/{name}/_settings", body=blocks.encode())
        assert reply.status == 200, reply.text

    def seal(self) -> None:
        self.set_blocks(partition_name(OLD, self.index), '{"index.blocks.write":true}')

    def open(self) -> None:
        self.set_blocks(partition_name(OLD, self.index), '{"index.blocks.write":null}')

    def ids(self, name: str) -> set[str]:
        """What is stored in one index."""
        with self.cluster.client("lifecycle") as client:
            ask(client, "POST", f"/{name}/_refresh")
        with self.cluster.client("reader") as client:
            params = {"size": "10000", "_source": "false", "ignore_unavailable": "true"}
            reply = ask(client, "POST", f"/{name}/_search", params=params)
        return {event_id_of(hit["_id"]) for hit in msgspec.json.decode(reply.text)["hits"]["hits"]}

    def places(self) -> tuple[set[str], set[str]]:
        """What is stored in the partition, and in the index of late events."""
        return self.ids(partition_name(OLD, self.index)), self.ids(late_name(OLD, self.index))


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> World:
    return World(opensearch, index, tmp_path)


def wrong_clock(index: IndexSettings) -> IndexSettings:
    """What is admitted by a clock that is far ahead: nothing of `OLD`."""
    return msgspec.structs.replace(index, retention_days=1)


def ids_of(lines: list[bytes]) -> set[str]:
    return {msgspec.json.decode(line)["id"] for line in lines}


def bulks(script: Faults) -> int:
    return script.requests["/_bulk"]


def test_an_old_event_goes_to_its_partition_while_that_is_open(world: World) -> None:
    lines = [*old_lines(2), event_line()]
    assert world.write(lines) == Settlement(created=3, duplicates=0, dead=0, retries=0)
    assert world.places() == (ids_of(lines[:2]), set())


def test_late_events_are_told_from_those_that_were_stored_before_the_seal(world: World) -> None:
    before, late, fresh = old_lines(3), old_lines(2), [event_line()]
    world.write(before)
    world.seal()
    with capture_logs() as logs:
        settlement = world.write([*before, *late, *fresh])
    assert settlement == Settlement(created=3, duplicates=3, dead=0, retries=0)
    assert world.places() == (ids_of(before), ids_of(late))
    assert logs == []
    # And once more, as after a crash before the checkpoint.
    again = world.write([*before, *late, *fresh])
    assert again == Settlement(created=0, duplicates=6, dead=0, retries=0)
    assert world.places() == (ids_of(before), ids_of(late))


def test_what_the_first_versions_stored_is_known_behind_a_seal(world: World) -> None:
    """Read again after an upgrade: a file that was brought back, or a state that was lost."""
    before, late = old_lines(2), old_lines(2)
    world.store_as_before(partition_name(OLD, world.index), before)
    world.store_as_before(late_name(OLD, world.index), late)
    world.seal()
    again = [*before, *late, *old_lines(1)]
    assert world.write(again) == Settlement(created=1, duplicates=4, dead=0, retries=0)
    assert world.write(again) == Settlement(created=0, duplicates=5, dead=0, retries=0)
    world.index = wrong_clock(world.index)
    assert world.write(again) == Settlement(created=0, duplicates=5, dead=0, retries=0)
    assert not DeadLetter(world.directory).path.exists()


def test_a_seal_that_is_lifted_makes_nothing_twice(world: World) -> None:
    first, late, after = old_lines(1), old_lines(2), old_lines(1)
    world.write(first)
    world.seal()
    world.write(late)
    world.open()
    assert world.write([*late, *after]) == Settlement(1, duplicates=2, dead=0, retries=0)
    assert world.places() == (ids_of([*first, *after]), ids_of(late))


def test_another_event_under_an_id_of_the_sealed_partition_is_not_lost(world: World) -> None:
    stored, late = old_lines(1), old_lines(1)
    world.write(stored)
    world.seal()
    world.write(late)
    others = [
        event_line({"result": "denied"}, event_id=msgspec.json.decode(line)["id"], timestamp=OLD)
        for line in (stored[0], late[0])
    ]
    assert world.write(others) == Settlement(0, 0, dead=2, retries=0)
    records = DeadLetter(world.directory).path.read_bytes().splitlines()
    assert [msgspec.json.decode(one)["line"].encode() for one in records] == others
    assert [msgspec.json.decode(one)["status"] for one in records] == [409, 409]


def test_a_late_event_that_the_mapping_refuses_is_buried(world: World) -> None:
    world.write(old_lines(1))
    world.seal()
    poison = event_line({"ipAddress": "999.1.1.1"}, timestamp=OLD)
    assert world.write([poison, *old_lines(1)]) == Settlement(1, 0, dead=1, retries=0)


def test_what_is_known_to_be_sealed_is_not_asked_again(world: World) -> None:
    world.write(old_lines(1))
    world.seal()
    script = in_turn()
    with connect_through(world.cluster.connection(), script) as client:
        writer = world.writer(client)
        writer.write(batch_of(world.index, old_lines(2)))
        assert (script.requests["/_mget"], bulks(script)) == (2, 2)
        writer.write(batch_of(world.index, old_lines(2)))
        assert (script.requests["/_mget"], bulks(script)) == (3, 3)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.lost, id="answer lost after indexing"),
        pytest.param(faults.cut, id="answer cut"),
        pytest.param(faults.status(429), id="429"),
        pytest.param(faults.status(403, "security_exception"), id="forbidden"),
        pytest.param(faults.refused, id="nobody listens"),
    ],
)
@pytest.mark.parametrize("path", ["/_bulk", "/_mget"])
@pytest.mark.parametrize("number", [1, 2])
def test_no_fault_on_the_way_stores_twice_or_loses(
    world: World, fault: Fault, path: str, number: int
) -> None:
    before, late = old_lines(2), old_lines(2)
    world.write(before)
    world.seal()
    script = in_turn(*[None] * (number - 1), fault, path=path)
    with capture_logs():
        settlement = world.write([*before, *late], script)
    assert settlement.created + settlement.duplicates == 4
    assert world.places() == (ids_of(before), ids_of(late))


def failing_lookup(error_type: str) -> Fault:
    """Nobody can look, which is answered with 200 item by item."""

    def fail(send: faults.Send, body: bytes) -> faults.Answer:
        code, headers, text = send(body)
        docs = msgspec.json.decode(text)["docs"]
        answer = {"docs": [{"_id": doc["_id"], "error": {"type": error_type}} for doc in docs]}
        return code, headers, msgspec.json.encode(answer).decode()

    return fail


@pytest.mark.parametrize(
    ("error_type", "alarm"),
    [
        pytest.param("no_shard_available_action_exception", "bulk_retrying", id="copy down"),
        pytest.param("index_closed_exception", "bulk_blocked", id="closed by hand"),
    ],
)
def test_an_event_that_nobody_can_look_up_is_not_taken_for_absent(
    world: World, error_type: str, alarm: str
) -> None:
    before = old_lines(2)
    world.write(before)
    world.seal()
    failing = failing_lookup(error_type)
    script = in_turn(None, failing, failing, path="/_mget")
    with capture_logs() as logs:
        assert world.write(before, script) == Settlement(0, duplicates=2, dead=0, retries=0)
    assert world.places() == (ids_of(before), set())
    assert [(log["event"], log.get("error_type")) for log in logs] == [
        (alarm, error_type), ("bulk_resumed", error_type),
    ]  # fmt: skip


@pytest.fixture
def give_up(world: World) -> Iterator[Callable[[list[bytes]], list[str]]]:
    """Write until the fourth bulk request; returns what was logged."""

    def write(lines: list[bytes]) -> list[str]:
        def stop_at_the_fourth(_method: str, _path: str, _body: bytes) -> Fault | None:
            if script.requests.get("/_bulk") == 4:
                world.stop.set()
            return None

        script = Faults(stop_at_the_fourth)
        with capture_logs() as logs, pytest.raises(Interrupted):
            world.write(lines, script)
        world.stop.clear()
        return [log["event"] for log in logs]

    yield write
    assert not DeadLetter(world.directory).path.exists()


def test_a_full_disk_is_no_seal(world: World, give_up: Callable[[list[bytes]], list[str]]) -> None:
    world.write(old_lines(1))
    name = partition_name(OLD, world.index)
    world.set_blocks(name, '{"index.blocks.read_only_allow_delete":true}')
    assert give_up(old_lines(1)) == ["bulk_blocked", "bulk_interrupted"]
    assert world.ids(late_name(OLD, world.index)) == set()
    world.set_blocks(name, '{"index.blocks.read_only_allow_delete":null}')


def test_a_blocked_index_of_late_events_is_waited_for(
    world: World, give_up: Callable[[list[bytes]], list[str]]
) -> None:
    """No index of late events is ever sealed."""
    world.write(old_lines(1))
    world.seal()
    world.write(old_lines(1))
    world.set_blocks(late_name(OLD, world.index), '{"index.blocks.write":true}')
    assert give_up(old_lines(1)) == ["bulk_blocked", "bulk_interrupted"]


def test_a_partition_that_is_not_due_is_waited_for(
    world: World, give_up: Callable[[list[bytes]], list[str]]
) -> None:
    patient = msgspec.structs.replace(world.index, seal_days=200)
    world.index = patient
    world.write(old_lines(1))
    world.seal()
    assert give_up(old_lines(1)) == ["bulk_blocked", "bulk_interrupted"]


def test_the_index_of_late_events_is_write_once(world: World) -> None:
    (line,) = old_lines(1)
    world.write(old_lines(1))
    world.seal()
    world.write([line])
    name, stored_id = late_name(OLD, world.index), document_id(ids_of([line]).pop())
    with world.cluster.client("lifecycle") as client:
        params = {"flat_settings": "true"}
        settings = msgspec.json.decode(ask(client, "GET", f"/{name}", params=params).text)
    assert settings[name]["settings"]["index.append_only.enabled"] == "true"
    with world.cluster.client("writer") as client:
        reply = ask(client, "PUT", f"/{name}/_doc/{stored_id}", body=b'{"action":"forged.event"}')
        # Without the security plugin it is the engine alone that refuses.
        assert reply.status in ({403, 409} if world.cluster.secured else {400})
        refused = ask(client, "DELETE", f"/{name}/_doc/{stored_id}").status
        assert refused == (403 if world.cluster.secured else 400)


def test_a_late_event_is_found_as_any_other(world: World) -> None:
    late = event_line(timestamp=OLD)
    first, fresh = old_lines(1), event_line()
    world.write(first)
    world.seal()
    world.write([late, fresh])
    world.places()
    world.ids(partition_name(NOW, world.index))
    api = Api(world.cluster.client("reader"), world.index)
    bearer = token("org_1")
    page = api.page("order=desc", bearer=bearer)
    assert {event["id"] for event in page["events"]} == ids_of([late, *first, fresh])
    (late_id,) = ids_of([late])
    found = api.get(path=f"/api/organization/rbac/members/audit-log/{late_id}", bearer=bearer)
    assert found.status_code == 200
    assert msgspec.json.decode(found.data)["id"] == late_id


def test_what_is_stored_is_not_refused_because_the_clock_is_wrong(world: World) -> None:
    """Read again after a kill: the dead letter is for what is nowhere else."""
    early, fresh = old_lines(3), [event_line()]
    world.write(early)
    world.seal()
    late, unknown = old_lines(2), old_lines(2)
    world.write(late)
    other = event_line({"result": "denied"}, event_id=ids_of(late[:1]).pop(), timestamp=OLD)
    world.index = wrong_clock(world.index)
    settlement = world.write([*early, *late, *unknown, *fresh, other])
    assert settlement == Settlement(created=1, duplicates=5, dead=3, retries=0)
    text = DeadLetter(world.directory).path.read_bytes().splitlines()
    records = [msgspec.json.decode(line) for line in text]
    assert [(one["line"].encode(), one.get("status")) for one in records] == [
        (unknown[0], None),
        (unknown[1], None),
        (other, 409),
    ]
    assert world.places() == (ids_of(early), ids_of(late))


def test_what_is_not_admitted_waits_until_it_is_known_whether_it_is_stored(world: World) -> None:
    line = old_lines(1)
    world.write(line)
    world.index = wrong_clock(world.index)
    script = in_turn(faults.status(503), faults.refused, path="/_mget")
    assert world.write(line, script) == Settlement(created=0, duplicates=1, dead=0, retries=0)
    assert not DeadLetter(world.directory).path.exists()
