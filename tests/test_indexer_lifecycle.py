"""Our executor on a real node: from open to deleted, whatever is cut, held or taken by hand."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typing_extensions import override

from audit_events.identifier import new_uuid7
from indexer import records
from indexer.client import QuietConnection
from indexer.errors import JournalError, PolicyError
from indexer.hold import PLACED, Hold, place, release
from indexer.journal import ACCEPTED, Journal, Key
from indexer.plan import NAMED_HOLDS
from indexer.policy import Policy, events_policy, read, render
from indexer.seal_parts import SealPart, count_events
from indexer.sealing import block
from indexer.settings import IndexSettings, LifecycleSettings
from tests.cluster import Cluster
from tests.lifecycle_world import (
    DELETABLE,
    OPEN,
    PARTITION,
    SEALABLE,
    World,
    day,
)

pytestmark = pytest.mark.opensearch


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    return World(opensearch, index)


def states(world: World) -> dict[str, str]:
    with world.executor() as executor:
        return {plan.name: plan.state for plan in executor.preview().plans}


def a_hold(since: str = "2024-01-15", until: str = "2024-01-16") -> Hold:
    return Hold(
        id=new_uuid7(1_700_000_000 * 10**9),
        organization_id="org_2",
        since=day(since),
        until=day(until),
        reason="case 7",
        placed_by="ann",
        placed_at=OPEN,
    )


def test_a_partition_is_sealed_and_deleted_when_its_time_has_come_and_not_before(
    world: World,
) -> None:
    world.fill()
    january = world.partition
    world.now = OPEN
    assert world.take_round().taken == ()
    assert states(world) == {january: "open"}
    assert world.told() == []

    world.now = SEALABLE
    steps = [one.step for one in world.take_round().taken]
    assert steps == ["block", "merge", "record seal"]
    assert states(world) == {january: "sealed"}
    assert world.take_round().taken == ()
    (sealed,) = world.journal()
    context = sealed.context or {}
    assert context["events"] == 3
    assert context["first"] == "2024-01-03T10:00:00.000000Z"
    assert count_events([msgspec.convert(context, SealPart)]) == {"org_1": 2, "org_2": 1}
    assert context["policy"] == {
        "mode": "worm",
        "partition": "month",
        "sealDays": 7,
        "retentionDays": 30,
        "snapshotRepository": "",
    }

    world.now = DELETABLE.replace(microsecond=0)
    assert [one.step for one in world.take_round().taken] == ["delete"]
    assert not world.exists(january)
    assert world.told() == [
        ("partition_deleted", "_system", january),
        ("partition_deleted", "org_1", january),
        ("partition_deleted", "org_2", january),
        ("partition_sealed", "_system", january),
    ]
    own = {event.organization_id: (event.context or {})["events"] for event in world.journal()[1:]}
    assert own == {"org_1": 2, "org_2": 1, "_system": 3}
    assert world.take_round().taken == ()


def test_a_preview_changes_nothing(world: World) -> None:
    world.fill()
    world.now = DELETABLE
    with world.executor() as executor:
        (plan,) = executor.preview().plans
        assert plan.next_step is not None
        assert plan.next_step.value == "block"
    assert not world.exists(f"{world.index.prefix}-journal")
    assert not world.exists(f"indelible-{world.index.prefix}-control")


def test_a_held_partition_stays_and_goes_after_the_release(world: World) -> None:
    world.fill()
    hold = a_hold()
    with world.cluster.client("lifecycle") as client:
        journal = Journal(client, world.index)
        place(journal, hold)
        world.now = DELETABLE
        world.take_round()
        assert states(world) == {world.partition: "held"}
        assert world.take_round().taken == ()
        release(journal, hold, by="bob", reason="closed", at=DELETABLE)
    assert [one.step for one in world.take_round().taken] == ["delete"]
    assert not world.exists(world.partition)


def test_a_partition_that_went_by_hand_is_recorded_as_missing_once(world: World) -> None:
    world.fill()
    world.now = SEALABLE
    world.take_round()
    world.delete_by_hand(world.partition)
    assert [one.step for one in world.take_round().taken] == ["record missing"]
    assert world.take_round().taken == ()
    world.now = DELETABLE
    assert world.take_round().taken == ()
    told = [action for action, organization, _ in world.told() if organization == "_system"]
    assert told == ["partition_missing", "partition_sealed"]


def test_an_organisation_learns_nothing_of_anothers_holds(world: World) -> None:
    """The partition is gone and was held by more than a record has room for; two had events."""
    world.fill()
    world.now = SEALABLE
    world.take_round()
    with world.cluster.client("lifecycle") as client:
        journal = Journal(client, world.index)
        ids = sorted(new_uuid7(number * 10**9) for number in range(NAMED_HOLDS + 5))
        for one in ids:
            place(journal, replace(a_hold(), id=one))
    world.delete_by_hand(world.partition)
    assert [one.step for one in world.take_round().taken] == ["record missing"]
    missing = [one for one in world.journal() if one.action == records.MISSING]
    inside = {"heldBy", "holds", "why"}
    for event in missing:
        context = event.context or {}
        if event.organization_id == "_system":
            assert (context["heldBy"], context["holds"]) == (ids[:NAMED_HOLDS], len(ids))
            assert str(context["why"]).endswith("and 5 more: deleted by hand")
        else:
            assert not inside & context.keys()
            assert not any(one in json.dumps(context) for one in ids)
    assert {one.organization_id for one in missing} > {"_system"}


def test_one_that_another_index_was_put_in_the_place_of_is_missing(world: World) -> None:
    world.fill()
    world.now = SEALABLE
    world.take_round()
    world.delete_by_hand(world.partition)
    world.store("2024-01-05T00:00:00.000000Z")
    world.now = SEALABLE + timedelta(days=1)
    found = world.take_round()
    assert [taken.step for taken in found.taken[:1]] == ["record missing"]
    assert [(one.state, one.next_step) for one in found.plans] == [("sealed", None)]
    told = [
        (event.action, (event.context or {})["indexUuid"])
        for event in world.journal()
        if event.organization_id == "_system"
    ]
    first, second = (uuid for action, uuid in told if action == records.SEALED)
    assert first != second
    assert sorted(told) == sorted(
        [(records.SEALED, first), (records.MISSING, first), (records.SEALED, second)]
    )
    world.now = SEALABLE + timedelta(days=2)
    assert world.take_round().taken == ()
    world.now = DELETABLE
    # A round cannot tell whether somebody is restoring it, so it stays as a restored one would.
    assert [(one.state, one.next_step) for one in world.take_round().plans] == [("restored", None)]
    world.now = DELETABLE + timedelta(days=30)
    assert [taken.step for taken in world.take_round().taken] == ["delete"]
    assert world.take_round().plans == ()


def test_what_is_restored_is_not_deleted_before_that_is_recorded(world: World) -> None:
    """The index is there, blocked and long past its retention; its record comes last."""
    world.fill()
    world.now = DELETABLE
    assert world.take_round().taken[-1].step == "delete"
    world.store("2024-01-03T10:00:00.000000Z")
    with world.cluster.client("lifecycle") as client:
        block(client, world.partition)
    world.now = DELETABLE + timedelta(days=1)
    assert [(one.state, one.next_step) for one in world.take_round().plans] == [("restored", None)]
    deleted = [organization for action, organization, _ in world.told() if "deleted" in action]
    assert deleted == ["_system", "org_1", "org_2"]


def test_a_mistyped_retention_deletes_nothing_until_it_is_accepted(world: World) -> None:
    world.fill()
    world.now = SEALABLE
    world.take_round()
    world.index = replace(world.index, retention_days=1)
    assert world.take_round().taken == ()
    world.accept_shorter_retention = True
    assert [taken.step for taken in world.take_round().taken] == ["delete"]
    (deleted,) = [
        event
        for event in world.journal()
        if event.action == records.DELETED and event.organization_id == "_system"
    ]
    context = deleted.context or {}
    assert (context["acceptedShorterRetention"], context["sealedRetentionDays"]) == (True, 30)


@pytest.mark.parametrize(
    ("hold_id", "organization_id"), [("mine", "org_1"), ("f" * 12, "o" * 1025)]
)
def test_a_hold_of_somebody_elses_making_stops_nothing(
    world: World, hold_id: str, organization_id: str
) -> None:
    """The journal has it for good, so a round that fails of it would fail for ever."""
    world.store("2024-01-05T00:00:00.000000Z")
    context: dict[str, object] = {
        "holdId": hold_id,
        "organizationId": organization_id,
        "from": "2024-01-05T00:00:00Z",
        "reason": "r",
    }
    with world.cluster.client("lifecycle") as client:
        key = Key(hold_id, datetime(2026, 1, 1, tzinfo=UTC))
        Journal(client, world.index).record(PLACED, key=key, context=context)
    world.now = DELETABLE
    found = world.take_round()
    assert [(one.state, one.held_by) for one in found.plans] == [("held", (hold_id,))]


def test_an_organization_that_no_event_can_name_stops_nothing(world: World) -> None:
    """Only what forges the writer's requests can store such events; they are counted."""
    world.fill()
    world.store("2024-01-05T00:00:00.000000Z", organization_id="")
    world.store("2024-01-06T00:00:00.000000Z", organization_id="o" * 1025)
    world.now = DELETABLE
    found = world.take_round()
    assert found.problems == ()
    assert not world.exists(world.partition)
    told = {whose for action, whose, _ in world.told() if action == "partition_deleted"}
    assert told == {"_system", "org_1", "org_2"}


def test_an_index_of_late_events_goes_with_its_month_and_is_sealed_right_before(
    world: World,
) -> None:
    world.fill()
    world.store("2024-01-09T10:00:00.000000Z", name=world.late)
    world.now = SEALABLE
    world.take_round()
    world.store("2024-01-10T10:00:00.000000Z", name=world.late)
    world.now = DELETABLE
    world.take_round()
    assert not world.exists(world.late)
    deleted = [
        (event.context or {})["events"]
        for event in world.journal()
        if event.action.endswith("deleted") and event.organization_id == "_system"
    ]
    assert sorted(map(str, deleted)) == ["2", "3"]


@pytest.mark.secured
def test_without_the_right_to_delete_everything_else_goes_on(world: World) -> None:
    world.fill()
    world.store("2024-02-01T10:00:00.000000Z")
    world.may_delete = False
    world.now = day("2024-03-09")
    found = world.take_round()
    assert {one.step for one in found.taken} >= {"block", "record seal"}
    (problem,) = found.problems
    assert problem.is_blocked
    assert problem.partition == world.partition
    assert "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in problem.hint
    assert world.exists(world.partition)
    world.may_delete = True
    assert [one.step for one in world.take_round().taken] == ["delete"]


def test_with_another_journal_nothing_is_deleted_until_that_is_accepted(world: World) -> None:
    world.fill()
    world.now = SEALABLE
    world.take_round()
    world.delete_by_hand(f"{world.index.prefix}-journal")
    world.now = DELETABLE
    with pytest.raises(JournalError, match="not the journal that was there before") as caught:
        world.take_round()
    # What was held is deleted in the round that accepts, unless it is held again before.
    assert "place the holds again" in caught.value.hint
    assert world.exists(world.partition)
    for _ in range(2):
        world.take_round(accept_journal=True)
    assert not world.exists(world.partition)
    with world.cluster.client("lifecycle") as client:
        (told,) = Journal(client, world.index).read((ACCEPTED,))
    context: dict[str, Any] = told.context or {}
    assert told.actor.name == "ann"
    assert context["previous"]["indexUuid"] != context["new"]["indexUuid"]


def test_what_is_to_be_copied_goes_only_while_the_copy_is_there(world: World) -> None:
    world.fill()
    shelf = world.use_shelf()
    world.now = SEALABLE
    steps = [one.step for one in world.take_round().taken]
    assert steps == ["block", "merge", "record seal", "snapshot"]
    assert shelf.names == [world.partition]
    (archived,) = (one for one in world.journal() if one.action.endswith("archived"))
    assert (archived.context or {})["snapshot"] == f"{world.partition}-1"

    world.now = DELETABLE
    shelf.names.clear()
    (problem,) = world.take_round().problems
    assert "is gone from the repository" in problem.what
    assert world.exists(world.partition)
    shelf.names.append(world.partition)
    assert [one.step for one in world.take_round().taken] == ["delete"]


def test_what_was_changed_since_it_was_sealed_is_not_deleted(world: World) -> None:
    world.fill()
    world.now = SEALABLE
    world.take_round()
    with world.cluster.admin() as admin:
        blocks = {"index.blocks.write": None}
        admin.indices.put_settings(index=world.partition, body=blocks)
    world.store("2024-01-20T10:00:00.000000Z")
    world.now = DELETABLE
    found = world.take_round()
    assert [one.step for one in found.taken] == ["block"]
    (problem,) = found.problems
    assert "does not hold the 3 events that were recorded" in problem.what
    assert world.exists(world.partition)
    assert world.deleting() is None


def test_a_merge_that_the_cluster_refuses_in_the_background_is_a_problem(world: World) -> None:
    """Left unsaid, the partition would stay due for ever, and each round would end well."""
    world.fill()
    world.now = SEALABLE
    with world.cluster.admin() as admin:
        # What no search sees yet is no segment that has to be merged.
        admin.indices.refresh(index=world.partition)
        body = {"index.blocks.read_only": True}
        admin.indices.put_settings(index=world.partition, body=body)
        (problem,) = world.take_round().problems
        assert (problem.partition, problem.step) == (world.partition, "merge")
        assert "read-only" in problem.what
        assert "index.blocks" in problem.hint
        admin.indices.put_settings(index=world.partition, body=dict.fromkeys(body))
    assert [one.step for one in world.take_round().taken] == ["block", "merge", "record seal"]


class NoCopies(QuietConnection):
    """No copy of January is there."""

    @override
    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        assert PARTITION not in url, "it would wait for a copy"
        status, headers, text = super().perform_request(method, url, *args, **kwargs)
        if url.startswith("/_cat/indices/"):
            rows = json.loads(text)
            for row in rows:
                row["health"] = "red" if PARTITION in row["index"] else row["health"]
            text = json.dumps(rows)
        return status, headers, text


def test_one_without_a_copy_keeps_no_other_from_its_turn(world: World) -> None:
    world.fill()
    world.store("2024-02-01T00:00:00.000000Z")
    february = world.partition.replace("2024.01", "2024.02")
    world.now = day("2024-03-08")
    found = world.take_round(NoCopies)
    assert {one.partition for one in found.taken} == {february}
    (problem,) = found.problems
    assert (problem.partition, problem.step) == (world.partition, "block")
    assert "no copy" in problem.what
    assert "start the nodes" in problem.hint
    assert world.take_round().problems == ()


def test_a_policy_that_it_cannot_carry_out_is_refused_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_unknown(
        settings: IndexSettings, lifecycle: LifecycleSettings
    ) -> tuple[Policy, Policy]:
        body = render(settings, lifecycle)[events_policy(settings)]
        text = msgspec.json.encode(body).replace(b"read_only", b"shrink")
        policy = read(msgspec.json.decode(text))
        return policy, policy

    monkeypatch.setattr("indexer.lifecycle.read_all", read_unknown)
    with pytest.raises(PolicyError, match="no such action shrink"), world.executor():
        pass
