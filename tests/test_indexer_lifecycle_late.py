"""What comes for a partition that our executor sealed: stored once, found everywhere, or told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import msgspec
import pytest
from msgspec.structs import replace

from audit_events.instant import format_instant
from indexer.bulk import BulkWriter, Settlement
from indexer.client import ask
from indexer.dead_letter import DeadLetter
from indexer.names import late_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.lifecycle_world import World
from tests.lines import batch_of, event_line
from tests.webapi_api import Api, token
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch


def write(world: World, lines: list[bytes], directory: Path) -> Settlement:
    """Write as an agent does that was started again."""
    with world.cluster.client("writer") as client:
        writer = BulkWriter(client, world.index, DeadLetter(directory), stop=Event())
        return writer.write(batch_of(world.index, lines))


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    """Partitions of a day; the executor goes by the clock that the writer has."""
    world = World(opensearch, replace(index, partition="day"))
    world.index = replace(world.index, partition="day", seal_days=1, retention_days=30)
    world.now = datetime.now(UTC)
    return world


def test_a_late_event_is_stored_once_and_found_by_every_question(
    world: World, tmp_path: Path
) -> None:
    moment = format_instant(world.now - timedelta(days=5))
    before, late = (event_line({"result": one}, timestamp=moment) for one in ("success", "denied"))
    write(world, [before], tmp_path)
    assert world.take_round().taken
    assert write(world, [before, late], tmp_path) == Settlement(1, duplicates=1, dead=0, retries=0)
    assert write(world, [before, late], tmp_path) == Settlement(0, duplicates=2, dead=0, retries=0)
    with world.cluster.client("lifecycle") as client:
        ask(client, "POST", f"/{world.index.prefix}-*/_refresh")

    ids = {str(msgspec.json.decode(line)["id"]) for line in (before, late)}
    late_id = str(msgspec.json.decode(late)["id"])
    assert world.exists(late_name(moment, world.index))
    with world.cluster.client("reader") as reader:
        api, bearer = Api(reader, world.index), token("org_1")
        for query in ({}, {"q": "Main Space"}, {"action": "member.role_changed"}):
            page = api.page(list(query.items()), bearer=bearer)
            assert {one["id"] for one in page["events"]} == ids, query
            assert page["total"] == 2
        found = api.get(path=f"{PATH}/{late_id}", bearer=bearer)
        assert found.status_code == 200
        assert found.get_json()["result"] == "denied"


def test_an_event_older_than_the_retention_is_in_the_dead_letter_with_that_reason(
    world: World, tmp_path: Path
) -> None:
    old = event_line(timestamp=format_instant(world.now - timedelta(days=31)))
    assert write(world, [old], tmp_path) == Settlement(0, duplicates=0, dead=1, retries=0)
    (record,) = DeadLetter(tmp_path).path.read_bytes().splitlines()
    assert msgspec.json.decode(record)["reason"] == "older than retention (30 days)"
    assert not world.take_round().plans
