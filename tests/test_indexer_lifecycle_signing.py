"""What our executor seals is signed, in one row without a fork, and the heads are kept outside."""

import shutil
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from msgspec.structs import replace
from opensearchpy.exceptions import ConnectionError as NoConnection
from structlog.testing import capture_logs

from indexer.digest import digest_partition
from indexer.errors import LeaseLostError
from indexer.head import Head, check, head_hash, is_proven, prove
from indexer.journal import Journal
from indexer.lifecycle import KEEP
from indexer.records import Seal, read_records, read_seal
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.lifecycle_world import PowerCutError, World, day
from tests.test_indexer_lifecycle_crash import wire_of

pytestmark = pytest.mark.opensearch

SIGNED = "partition_head_signed"


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    """January and February, both to be sealed, and neither to be deleted for long."""
    world = World(opensearch, index)
    world.index = replace(world.index, retention_days=400)
    world.fill()
    # In two segments as well, or it would be signed first, as there is nothing to merge.
    world.store("2024-02-10T00:00:00.000000Z")
    with world.cluster.admin() as admin:
        admin.indices.refresh(index=february(world))
    world.store("2024-02-11T00:00:00.000000Z")
    world.now = day("2024-03-08")
    return world


def february(world: World) -> str:
    return world.partition.replace("2024.01", "2024.02")


def heads_of(world: World, *keys: OKPKey) -> list[Head]:
    return [check(one, keys) for one in world.heads()]


def seal_of(world: World, name: str) -> Seal:
    with world.cluster.client("lifecycle") as client:
        journal = Journal(client, world.index)
        return read_seal(journal, name, read_records(journal).sealed[name].uuid)


def test_each_sealing_has_a_head_that_says_what_is_there(world: World, tmp_path: Path) -> None:
    key = world.use_key(tmp_path / "heads")
    with capture_logs() as logs:
        assert world.take_round().problems == ()
    january, second = heads_of(world, key)
    signed = world.heads()
    assert (january.number, january.previous, january.partition) == (1, None, world.partition)
    assert (second.number, second.partition) == (2, february(world))
    assert second.previous == head_hash(signed[0])
    with world.cluster.client("reader") as client:
        found = digest_partition(client, world.partition)
    seal = seal_of(world, world.partition)
    assert (january.sha256, january.events) == (found.sha256, 3)
    assert (seal.shares, seal.head) == (found.shares, signed[0])
    for one in ("org_1", "org_2"):
        proof = prove(found.shares, one)
        assert proof is not None
        assert is_proven(january, one, proof)
    assert [one["head"] for one in logs if one["event"] == SIGNED] == signed
    assert (tmp_path / "heads").read_text().splitlines() == signed
    with capture_logs() as logs:
        assert world.take_round().taken == ()
    assert [one for one in logs if one["event"] == SIGNED] == []
    assert world.heads() == signed


def test_what_was_sealed_without_a_key_stays_unsigned_and_numbers_outlive_a_key(
    world: World,
) -> None:
    world.now = day("2024-02-08")
    world.take_round()
    assert (world.heads(), seal_of(world, world.partition).head) == ([], "")
    world.now = day("2024-03-08")
    first = world.use_key()
    world.take_round()
    world.store("2024-03-10T00:00:00.000000Z")
    world.now = day("2024-04-08")
    second = world.use_key()
    world.take_round()
    assert [(one.number, one.partition[-7:]) for one in heads_of(world, first, second)] == [
        (1, "2024.02"),
        (2, "2024.03"),
    ]
    assert [
        check(one, [key]).number for one, key in zip(world.heads(), (first, second), strict=True)
    ] == [1, 2]


def test_a_file_that_cannot_be_had_keeps_nothing_from_being_sealed_and_is_made_up_for(
    world: World, tmp_path: Path
) -> None:
    directory = tmp_path / "mount"
    key = world.use_key(directory / "heads")
    found = world.take_round()
    assert [one.number for one in heads_of(world, key)] == [1, 2]
    (problem,) = found.problems
    assert (problem.step, f"there is no directory {directory}" in problem.what) == (KEEP, True)
    assert "lifecycle.heads_file" in problem.hint
    directory.mkdir()
    with capture_logs() as logs:
        assert world.take_round().problems == ()
    assert (directory / "heads").read_text().splitlines() == world.heads()
    assert [one["head"] for one in logs if one["event"] == SIGNED] == world.heads()
    # Moved away, and not copied: all of it is there again.
    shutil.move(directory / "heads", tmp_path / "heads")
    world.take_round()
    assert (directory / "heads").read_text() == (tmp_path / "heads").read_text()


def test_a_crash_between_the_record_and_the_file_is_made_up_for(
    world: World, tmp_path: Path
) -> None:
    key = world.use_key(tmp_path / "heads")

    def cut(moment: str, method: str, path: str) -> None:
        if (moment, method, "-journal/_create/" in path) == ("after", "PUT", True):
            raise PowerCutError

    world.attempt(wire_of(cut))
    assert [one.number for one in heads_of(world, key)] == [1]
    assert (tmp_path / "heads").read_text() == ""
    with capture_logs() as logs:
        world.take_round()
    assert [one.number for one in heads_of(world, key)] == [1, 2]
    assert (tmp_path / "heads").read_text().splitlines() == world.heads()
    assert [one["number"] for one in logs if one["event"] == SIGNED] == [1, 2]


def test_a_record_without_an_answer_lets_no_other_take_its_number(world: World) -> None:
    """It may be carried out yet, and there would be two heads of one number."""
    key = world.use_key()

    def lose(moment: str, method: str, path: str) -> None:
        if (moment, method, "-journal/_create/" in path) == ("before", "PUT", True):
            raise NoConnection("N/A", "lost", TimeoutError())

    first, second = world.take_round(wire_of(lose)).problems
    assert (first.partition, second.partition) == (world.partition, february(world))
    assert f"whether the head of {world.partition} is recorded" in second.what
    assert world.heads() == []
    assert world.take_round().problems == ()
    assert [(one.number, one.partition[-7:]) for one in heads_of(world, key)] == [
        (1, "2024.01"),
        (2, "2024.02"),
    ]


def test_a_record_whose_answer_is_lost_is_taken_for_what_it_is(
    world: World, tmp_path: Path
) -> None:
    key = world.use_key(tmp_path / "heads")

    def lose(moment: str, method: str, path: str) -> None:
        if (moment, method, "-journal/_create/" in path) == ("after", "PUT", True):
            raise NoConnection("N/A", "lost", TimeoutError())

    assert world.take_round(wire_of(lose)).problems == ()
    assert [one.number for one in heads_of(world, key)] == [1, 2]
    assert (tmp_path / "heads").read_text().splitlines() == world.heads()


def test_a_host_that_slept_before_it_signed_takes_no_number_that_another_gave(
    world: World,
) -> None:
    """Its own clock stood still; that the lease is another's is seen in the cluster."""
    key = world.use_key()
    asleep = [True]

    def sleep(moment: str, _method: str, path: str) -> None:
        if asleep and (moment, path.endswith(f"/{world.partition}/_search")) == ("after", True):
            asleep.clear()
            before = world.monotonic
            assert [one.step for one in world.take_round().taken].count("record seal") == 2
            world.monotonic = before

    with world.executor(wire_of(sleep)) as executor:
        assert executor.lease.take()
        with pytest.raises(LeaseLostError):
            executor.take_round()
    assert [one.number for one in heads_of(world, key)] == [1, 2]
