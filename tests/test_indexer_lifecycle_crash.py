"""A crash of the executor anywhere changes nothing in the end, and two of them do nothing twice."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opensearchpy.exceptions import ConnectionError as NoConnection
from typing_extensions import override

from audit_events.identifier import new_uuid7
from indexer.control import ControlDocument
from indexer.deletion import await_decision
from indexer.errors import LeaseLostError
from indexer.head import check
from indexer.hold import Hold, place, read_holds
from indexer.journal import Journal
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.lifecycle_world import (
    DELETABLE,
    OPEN,
    SEALABLE,
    PowerCutError,
    Wire,
    World,
    changes,
    day,
)

pytestmark = pytest.mark.opensearch


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    return World(opensearch, index)


def wire_of(cut: Callable[[str, str, str], None]) -> type[Wire]:
    class Own(Wire):
        """One executor's."""

    Own.cut = staticmethod(cut)
    return Own


def cut_at(number: int) -> tuple[type[Wire], list[str]]:
    """A wire on which the process ends after its `number`th change, and what it saw."""
    seen: list[str] = []

    def cut(moment: str, method: str, path: str) -> None:
        if moment == "before" or not changes(method, path):
            return
        seen.append(f"{moment} {method} {path}")
        if len(seen) == number:
            raise PowerCutError

    return wire_of(cut), seen


@pytest.mark.slow
def test_a_crash_between_any_two_changes_changes_nothing_in_the_end(
    world: World, tmp_path: Path
) -> None:
    """Ends the process after each request that changes something, in each phase.

    Right before the next one the cluster is as it was then, so all boundaries are tried. Each crash
    is followed by a process that knows nothing of the one before.
    """
    boundaries = 0
    world.use_shelf()
    key = world.use_key(heads_file := tmp_path / "heads")
    for number in itertools.count(1):
        world.now = OPEN
        world.fill()
        cuts = 0
        for instant in (SEALABLE, DELETABLE):
            world.now = instant
            wire, seen = cut_at(number)
            world.attempt(wire)
            cuts += len(seen) >= number
            world.take_round()
        assert not world.exists(world.partition)
        assert world.told() == [
            ("partition_archived", "_system", world.partition),
            ("partition_deleted", "_system", world.partition),
            ("partition_deleted", "org_1", world.partition),
            ("partition_deleted", "org_2", world.partition),
            ("partition_sealed", "_system", world.partition),
        ]
        assert world.deleting() is None
        assert [check(one, [key]).number for one in world.heads()] == [1]
        assert heads_file.read_text().splitlines() == world.heads()
        if not cuts:
            break
        heads_file.unlink()
        boundaries += cuts
        world.delete_by_hand(f"{world.index.prefix}-journal")
        world.delete_by_hand(f"indelible-{world.index.prefix}-control")
    assert boundaries >= 15


def a_hold() -> Hold:
    return Hold(
        id=new_uuid7(1_700_000_000 * 10**9),
        organization_id="org_2",
        since=day("2024-01-15"),
        until=day("2024-01-16"),
        reason="case 7",
        placed_by="ann",
        placed_at=OPEN,
    )


class Placer:
    """Somebody who places a hold at one boundary of a deletion, and then waits as `hold add` does.

    Args:
        world: where.
        boundary: when.
    """

    def __init__(self, world: World, boundary: str) -> None:
        self.world = world
        self.boundary = boundary
        self.awaited: str | None = None
        self.thread = threading.Thread(target=self.place)
        self._is_recorded = threading.Event()
        self._writes = itertools.count()

    def place(self) -> None:
        with self.world.cluster.client("lifecycle") as client:
            place(Journal(client, self.world.index), a_hold())
            self._is_recorded.set()
            document = ControlDocument(client, self.world.index)
            self.awaited = await_decision(
                document, lambda name: name == self.world.partition, lease_seconds=60
            )

    def meet(self, moment: str, method: str, path: str) -> None:
        """A boundary of the executor."""
        name = ""
        if method == "DELETE":
            name = f"{moment} the deletion"
        elif "-control/" in path and method == "PUT":
            # The lease, then the intent: two requests with two moments each.
            name = {2: "before the intent", 3: "after the intent"}.get(next(self._writes), "")
        if name == self.boundary:
            self.thread.start()
            assert self._is_recorded.wait(30)


@pytest.mark.parametrize(
    ("boundary", "kept"),
    [
        pytest.param("before the intent", True, id="before the intent"),
        pytest.param("after the intent", True, id="between the intent and the last look"),
        pytest.param("before the deletion", False, id="after the last look"),
        pytest.param("after the deletion", False, id="after the deletion"),
    ],
)
def test_a_hold_meets_a_deletion_or_is_told_of_it(
    world: World, boundary: str, *, kept: bool
) -> None:
    """A hold that is placed at any moment of a deletion either keeps the partition, or waits."""
    world.make_deletable()
    placer = Placer(world, boundary)
    found = world.take_round(wire_of(placer.meet))
    placer.thread.join(30)
    assert world.exists(world.partition) == kept
    assert [one.step for one in found.taken] == ([] if kept else ["delete"])
    if not kept:
        # It was told of the deletion, and saw its end.
        assert placer.awaited == world.partition
    with world.cluster.client("lifecycle") as client:
        assert len(read_holds(Journal(client, world.index))) == 1
    assert world.take_round().taken == ()
    assert "partition_missing" not in {action for action, _, _ in world.told()}


def test_a_deletion_of_ours_is_no_missing_partition_for_a_hold_that_came_after_it(
    world: World,
) -> None:
    world.make_deletable()

    def cut(moment: str, method: str, _path: str) -> None:
        if (moment, method) == ("after", "DELETE"):
            raise PowerCutError

    world.attempt(wire_of(cut))
    with world.cluster.client("lifecycle") as client:
        place(Journal(client, world.index), a_hold())
    world.take_round()
    actions = Counter(action for action, _, _ in world.told())
    assert actions == {"partition_sealed": 1, "partition_deleted": 3}


def test_a_host_that_slept_through_its_lease_does_not_delete_what_is_held_by_now(
    world: World,
) -> None:
    """Its clock stood still meanwhile, as that of a suspended machine does."""
    world.make_deletable()
    writes = itertools.count(1)
    asleep = threading.Event()

    def sleep(moment: str, method: str, path: str) -> None:
        if (moment, method) == ("before", "PUT") and "-control/" in path and next(writes) == 2:
            asleep.set()
        elif asleep.is_set() and (moment, "/_cat/indices/" in path) == ("after", True):
            asleep.clear()
            before = world.monotonic
            # The other one clears the intent away, so `hold add` is told that it keeps.
            with world.cluster.client("lifecycle") as client:
                place(Journal(client, world.index), a_hold())
            assert world.take_round().taken == ()
            world.monotonic = before

    with world.executor(wire_of(sleep)) as executor:
        assert executor.lease.take()
        with pytest.raises(LeaseLostError):
            executor.take_round()
    assert world.exists(world.partition)
    assert ("partition_deleted", "_system", world.partition) not in world.told()


@pytest.mark.secured
def test_a_deletion_without_an_answer_is_settled_before_the_next_one(world: World) -> None:
    """It may be carried out yet: until that is known, its intent must not make room for another."""
    world.fill()
    world.store("2024-02-01T00:00:00.000000Z")
    february = world.partition.replace("2024.01", "2024.02")
    for world.now in (SEALABLE, day("2024-03-08")):
        world.may_delete = False
        world.take_round()
    world.may_delete = True
    world.now = day("2024-04-01")

    def lose(moment: str, method: str, _path: str) -> None:
        if (moment, method) == ("before", "DELETE"):
            raise NoConnection("N/A", "lost", TimeoutError())

    first, second = world.take_round(wire_of(lose)).problems
    assert (first.partition, second.partition) == (world.partition, february)
    assert f"what became of the deletion of {world.partition}" in second.what
    assert world.deleting() == world.partition
    taken = [(one.partition, one.step) for one in world.take_round().taken]
    assert taken == [(world.partition, "delete"), (february, "delete")]


def proxy_of(status: int) -> type[Wire]:
    """Build the class of a connection whose deletions a proxy answers for the cluster."""

    class Proxy(Wire):
        """Answers deletions, and passes on the rest."""

        @override
        def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            if method == "DELETE":
                return status, {}, "<html>from a proxy</html>"
            return super().perform_request(method, url, *args, **kwargs)

    return Proxy


def test_a_deletion_that_a_proxy_waited_for_no_longer_keeps_its_intent(world: World) -> None:
    """It may be on its way yet: whoever places a hold now has to see it."""
    world.make_deletable()

    (problem,) = world.take_round(proxy_of(504)).problems
    assert "504" in problem.what
    assert world.deleting() == world.partition
    assert [one.step for one in world.take_round().taken] == ["delete"]


def test_a_404_of_a_proxy_is_no_deletion(world: World) -> None:
    """Taken for one, it would be recorded of a partition that is there."""
    world.make_deletable()
    (problem,) = world.take_round(proxy_of(404)).problems
    assert (problem.step, "404" in problem.what) == ("delete", True)
    assert world.exists(world.partition)
    assert ("partition_deleted", "_system", world.partition) not in world.told()


def test_whoever_loses_the_lease_stops_before_the_next_change(world: World) -> None:
    world.fill()
    world.now = SEALABLE

    def cut(moment: str, _method: str, path: str) -> None:
        if moment == "after" and path.endswith("_block/write"):
            world.monotonic += 46

    with world.executor(wire_of(cut)) as executor:
        assert executor.lease.take()
        with pytest.raises(LeaseLostError):
            executor.take_round()
    assert world.told() == []
    world.take_round()
    assert world.told() == [("partition_sealed", "_system", world.partition)]
