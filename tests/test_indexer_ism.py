"""The policies on a cluster with the ISM plugin: installed, attached, updated; and without it."""

from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch

from indexer.client import ask, connect
from indexer.errors import (
    DeletionBlockedError,
    ManagedIndexError,
    PolicyConflictError,
    PolicyError,
)
from indexer.ism import (
    APPLIED,
    compare_policies,
    give_back,
    install_policies,
    record_policies,
    take_out,
)
from indexer.journal import Journal
from indexer.mode import Mode, find_mode
from indexer.policy import render, without_delete
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.templates import Difference
from tests.cluster import Cluster
from tests.ism_stand_in import IsmStandIn, Job, ism_plugin
from tests.lines import batch_of, event_line

pytestmark = pytest.mark.opensearch

DEFAULTS = LifecycleSettings()
ISM = Mode("ism", plugin=True, immutable=False, why="")
WORM = Mode("worm", plugin=True, immutable=True, why="")
NONE = Mode("worm", plugin=False, immutable=True, why="")


class World:
    """A cluster with the plugin, two partitions and an index of late events."""

    def __init__(self, plugin: IsmStandIn, client: OpenSearch, settings: IndexSettings) -> None:
        self.plugin, self.client, self.settings = plugin, client, settings
        prefix = settings.prefix
        self.january = f"{prefix}-events-2026.01"
        self.february = f"{prefix}-events-2026.02"
        self.late = f"{prefix}-late-2026.01"
        self.events_policy, self.late_policy = f"{prefix}-events", f"{prefix}-late"

    def apply(self, mode: Mode = ISM, **options: Any) -> list[tuple[str, str, str]]:
        """Install; what changed, as kind, action and name."""
        options = {"lifecycle": DEFAULTS, **options}
        lifecycle = options.pop("lifecycle")
        changes = install_policies(self.client, self.settings, lifecycle, mode, **options)
        return [(one.kind, one.action, one.name) for one in changes]

    def sent(self) -> list[tuple[str, str, Any]]:
        """What was sent since this was asked last."""
        requests, self.plugin.requests = self.plugin.requests, []
        return requests


@pytest.fixture(scope="module")
def partitions(opensearch: Cluster) -> Generator[IndexSettings]:
    """Two partitions and an index of late events; what a test changes is the plugin's alone."""
    with opensearch.own_prefix() as settings:
        lines = [event_line(timestamp=f"2026-0{month}-03T00:00:00.000000Z") for month in (1, 2)]
        with opensearch.client("writer") as writer:
            body = batch_of(settings, lines).body([0, 1])
            assert ask(writer, "POST", "/_bulk", body=body).status == 200
        with opensearch.admin() as admin:
            assert ask(admin, "PUT", f"/{settings.prefix}-late-2026.01").status == 200
        yield settings


@pytest.fixture
def world(opensearch: Cluster, partitions: IndexSettings) -> Generator[World]:
    with ism_plugin(opensearch, immutable=False) as (plugin, proxy):
        connection = msgspec.structs.replace(opensearch.connection(), url=proxy.url, ca_file=None)
        with connect(connection, role="lifecycle") as client:
            yield World(plugin, client, partitions)


def test_what_is_sent_is_what_the_files_hold_and_is_sent_once(world: World) -> None:
    assert world.apply() == [
        ("policy", "create", world.events_policy),
        ("policy", "create", world.late_policy),
        ("index", "attach", world.january),
        ("index", "attach", world.february),
        ("index", "attach", world.late),
    ]
    bodies = render(world.settings, DEFAULTS)
    base = "/_plugins/_ism"
    assert world.sent() == [
        ("PUT", f"{base}/policies/{world.events_policy}", bodies[world.events_policy]),
        ("PUT", f"{base}/policies/{world.late_policy}", bodies[world.late_policy]),
        (
            "POST",
            f"{base}/add/{world.january},{world.february}",
            {"policy_id": world.events_policy},
        ),
        ("POST", f"{base}/add/{world.late}", {"policy_id": world.late_policy}),
    ]
    world.plugin.run_jobs()
    assert world.apply() == []
    assert compare_policies(world.client, world.settings, DEFAULTS, ISM) == []
    assert world.sent() == []


def test_before_the_first_partition_the_policies_are_installed(opensearch: Cluster) -> None:
    """The plugin answers 400 to whoever asks about no index at all."""
    with (
        opensearch.own_prefix() as settings,
        ism_plugin(opensearch, immutable=False) as (plugin, proxy),
    ):
        connection = msgspec.structs.replace(opensearch.connection(), url=proxy.url, ca_file=None)
        with connect(connection, role="lifecycle") as client:
            world = World(plugin, client, settings)
            both = [("policy", "create", name) for name in (world.events_policy, world.late_policy)]
            assert world.apply() == both
            assert world.apply() == []


def test_a_hidden_partition_gets_its_policy_and_is_known_to_have_it(
    opensearch: Cluster, world: World
) -> None:
    """It is one like any other: hidden it is not out of the lifecycle."""
    path = f"/{world.january}/_settings"
    with opensearch.admin() as admin:
        assert ask(admin, "PUT", path, body=b'{"index.hidden":true}').status == 200
        try:
            assert ("index", "attach", world.january) in world.apply()
            world.plugin.run_jobs()
            assert world.apply() == []
        finally:
            ask(admin, "PUT", path, body=b'{"index.hidden":null}')


def test_where_partitions_are_immutable_the_plugin_gets_no_delete(world: World) -> None:
    world.apply(WORM)
    (_, _, events), (_, _, late), *_ = world.sent()
    bodies = render(world.settings, DEFAULTS)
    assert events == without_delete(bodies[world.events_policy])
    assert late == without_delete(bodies[world.late_policy])
    assert "delete" not in msgspec.json.encode([events, late]).decode().replace("deleted when", "")
    assert world.apply(WORM) == []
    assert ("policy", "update", world.events_policy) in world.apply(ISM)


def test_a_dry_run_says_the_same_and_sends_nothing(world: World) -> None:
    planned = world.apply(dry_run=True)
    assert world.sent() == []
    assert world.apply() == planned


def test_other_settings_update_policy_and_indices_by_version(world: World) -> None:
    world.apply()
    world.plugin.run_jobs()
    world.sent()
    world.settings = msgspec.structs.replace(world.settings, retention_days=800)
    planned = world.apply(dry_run=True)
    assert (
        world.apply()
        == planned
        == [
            ("policy", "update", world.events_policy),
            ("policy", "update", world.late_policy),
            ("index", "update", world.january),
            ("index", "update", world.february),
            ("index", "update", world.late),
        ]
    )
    (_, put, _), _, change, _ = world.sent()
    assert put.endswith("?if_seq_no=1&if_primary_term=1")
    assert change == (
        "POST",
        f"/_plugins/_ism/change_policy/{world.january},{world.february}",
        {"policy_id": world.events_policy},
    )
    world.plugin.run_jobs()
    assert world.apply() == []


def test_a_job_that_has_not_begun_takes_a_new_version_too(world: World) -> None:
    """It would begin with the one that it was attached with, and nobody would be told."""
    world.apply()
    world.settings = msgspec.structs.replace(world.settings, retention_days=800)
    assert ("index", "update", world.january) in world.apply()
    world.plugin.run_jobs()
    assert world.apply() == []


def test_a_job_at_the_end_of_its_policy_begins_anew_with_another_one(world: World) -> None:
    """It hears of no change, so an index that ISM only sealed would never be deleted by it."""
    world.apply(WORM)
    world.plugin.run_jobs()
    world.plugin.jobs[world.january].completed = True
    assert world.apply(WORM) == []
    assert ("index", "restart", world.january) in world.apply()
    world.plugin.run_jobs()
    assert world.apply() == []
    assert not world.plugin.jobs[world.january].completed
    assert world.plugin.taken_out == set()


def test_why_the_plugin_gave_up_is_told(world: World) -> None:
    world.apply()
    world.plugin.run_jobs()
    world.plugin.jobs[world.january].failure = {"message": "Failed", "cause": "[nowhere] missing"}
    world.plugin.jobs[world.february].failure = {"message": "Failed"}
    found = compare_policies(world.client, world.settings, DEFAULTS, ISM)
    policy_id = world.events_policy
    assert [(one.name, one.differences[0].found) for one in found] == [
        (world.january, f"{policy_id}, failed: Failed: [nowhere] missing"),
        (world.february, f"{policy_id}, failed: Failed"),
    ]
    world.plugin.refuses[world.january] = "This index is closed"
    with pytest.raises(ManagedIndexError, match=world.january):
        world.apply()
    assert world.plugin.jobs[world.february].failure is None, "the other one began anew"


def test_ism_gets_no_delete_from_one_who_may_not_delete(world: World) -> None:
    """It would have no more rights than he, and fail when the first partition is due."""
    world.plugin.may_delete = False
    with pytest.raises(DeletionBlockedError) as caught:
        world.apply()
    assert "audit_deletion" in caught.value.hint
    assert world.sent() == []
    assert world.apply(WORM) != []


def test_drift_is_shown_and_mended(world: World) -> None:
    world.apply()
    world.plugin.run_jobs()

    def delete_soon(policy: Any) -> None:
        policy["states"][1]["transitions"][0]["conditions"] = {"min_index_age": "1d"}

    world.plugin.edit(world.events_policy, delete_soon)
    drifts = compare_policies(world.client, world.settings, DEFAULTS, ISM)
    path = "states.sealed.transitions.1.conditions.min_index_age"
    assert (drifts[0].kind, drifts[0].name) == ("policy", world.events_policy)
    assert drifts[0].differences == (Difference(path, "432d", "1d"),)
    assert ("policy", "update", world.events_policy) in world.apply()
    assert world.plugin.policies[world.events_policy].version == 3


def test_an_index_with_another_policy_gets_ours(world: World) -> None:
    world.apply()
    world.plugin.jobs[world.january] = Job("delete-after-a-week", seq_no=1)
    changes = install_policies(world.client, world.settings, DEFAULTS, ISM)
    assert [(one.name, one.differences) for one in changes] == [
        (world.january, (Difference("policy", world.events_policy, "delete-after-a-week"),))
    ]


@pytest.mark.parametrize("exists", [False, True], ids=["create", "update"])
def test_a_conflict_is_told_by_name_and_overwrites_nothing(world: World, *, exists: bool) -> None:
    if exists:
        world.apply()

    def somebody_is_quicker() -> None:
        world.plugin.before_update = lambda: None
        if exists:
            world.plugin.edit(world.events_policy, lambda policy: policy.update(description="x"))
        else:
            world.apply()

    world.plugin.before_update = somebody_is_quicker
    world.settings = msgspec.structs.replace(world.settings, retention_days=800)
    with pytest.raises(PolicyConflictError) as caught:
        world.apply()
    assert world.events_policy in str(caught.value)
    assert "--dry-run" in caught.value.hint
    world.apply()
    world.plugin.run_jobs()
    assert world.apply() == []


def test_what_the_plugin_leaves_as_it_is_is_told_by_name(world: World) -> None:
    world.plugin.refuses[world.january] = "This index is closed"
    with pytest.raises(ManagedIndexError) as caught:
        world.apply()
    assert caught.value.failed == ((world.january, "This index is closed"),)
    assert set(world.plugin.jobs) == {world.february, world.late}, "the others were attached"


def test_a_partition_is_taken_out_for_a_hold_and_given_back(world: World) -> None:
    world.apply()
    assert [take_out(world.client, world.january) for _ in range(2)] == [True, False]
    assert world.january not in world.plugin.jobs
    assert world.apply() == [], "it stays out"
    given = [give_back(world.client, world.january, world.settings) for _ in range(2)]
    assert given == [True, False]
    assert world.plugin.jobs[world.january].policy_id == world.events_policy
    assert world.plugin.taken_out == set(), "else `apply` would leave it alone for good"
    world.plugin.refuses[world.late] = "This index is closed"
    with pytest.raises(ManagedIndexError, match="This index is closed"):
        take_out(world.client, world.late)


def test_while_months_are_there_days_go_by_their_policy(world: World) -> None:
    world.settings = msgspec.structs.replace(world.settings, partition="day")
    world.apply()
    (_, _, events), *_ = world.sent()
    assert events == render(world.settings, DEFAULTS, longest_days=31)[world.events_policy]


def test_many_indices_are_told_in_lines_that_a_server_reads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.ism.NAMES_CHARACTERS", len(world.january))
    world.apply()
    assert [target.rpartition("/")[2] for _, target, _ in world.sent()[2:]] == [
        world.january,
        world.february,
        world.late,
    ]


def test_a_policy_that_cannot_be_carried_out_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.policy.UNITS", {"w": 1})
    with pytest.raises(PolicyError, match="no such unit d"):
        world.apply()
    assert world.sent() == []


def test_each_version_of_a_policy_is_recorded_once(world: World) -> None:
    world.apply()
    for _ in range(2):
        record_policies(world.client, world.settings, ISM)
    world.settings = msgspec.structs.replace(world.settings, retention_days=800)
    world.apply()
    record_policies(world.client, world.settings, ISM)
    events = Journal(world.client, world.settings).read((APPLIED,))
    assert [event.resource and event.resource.id for event in events] == [
        world.events_policy,
        world.late_policy,
    ] * 2
    assert (events[0].context or {})["mode"] == "ism"


@pytest.mark.parametrize(
    ("immutable", "setting", "name"),
    [
        pytest.param(True, "auto", "worm", id="immutable", marks=pytest.mark.secured),
        pytest.param(
            True, "ism", "worm", id="immutable, whatever is set", marks=pytest.mark.secured
        ),
        pytest.param(False, "auto", "ism", id="not immutable"),
        pytest.param(False, "worm", "worm", id="the setting"),
    ],
)
def test_who_deletes_is_found_by_asking_the_cluster(
    opensearch: Cluster, partitions: IndexSettings, setting: Any, name: str, *, immutable: bool
) -> None:
    """That a cluster is immutable is what the real node says."""
    lifecycle = LifecycleSettings(mode=setting)
    with ism_plugin(opensearch, immutable=immutable) as (_, proxy):
        connection = msgspec.structs.replace(opensearch.connection(), url=proxy.url, ca_file=None)
        with connect(connection, role="lifecycle") as client:
            mode = find_mode(client, partitions, lifecycle)
    assert (mode.name, mode.plugin) == (name, True)
    assert mode.why


def test_without_the_plugin_nothing_is_sent(opensearch: Cluster, partitions: IndexSettings) -> None:
    index = partitions
    with opensearch.client("lifecycle") as client:
        mode = find_mode(client, index, LifecycleSettings(mode="ism"))
        assert (mode.name, mode.plugin, mode.immutable) == ("worm", False, opensearch.secured)
        assert "no ISM plugin" in mode.why
        assert install_policies(client, index, DEFAULTS, mode) == []
        assert compare_policies(client, index, DEFAULTS, NONE) == []
