"""The ISM plugin itself, on a node of its own, where INDELIBLE_TEST_ISM_PLUGINS says where it is.

That is a directory with the zips of `opensearch-job-scheduler`, `opensearch-index-management` and,
as a plugin, `lang-mustache` (its snapshots need it), for the version of the node. The second is
published as no package: docs/decisions.md says how it was built. Its jobs run once a minute at
most, so this takes a quarter of an hour.
"""

import os
import shutil
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import node
from indexer.client import ask
from indexer.errors import DeletionBlockedError, PolicyConflictError
from indexer.ism import AUTO_MANAGE, compare_policies, give_back, install_policies, take_out
from indexer.ism_policy import differ_policy
from indexer.mode import find_mode
from indexer.policy import Body, render
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.templates import Difference
from node.security import read_role
from tests.cluster import Cluster
from tests.ism_stand_in import PREFIX
from tests.lines import batch_of, event_line
from tests.node_home import node_config, own_home
from tests.rest_calls import SECURITY
from tests.rest_world import start_changed

VARIABLE: Final = "INDELIBLE_TEST_ISM_PLUGINS"
PLUGINS: Final = os.environ.get(VARIABLE)
PATIENCE_SECONDS: Final = 1200.0
LOOK_SECONDS: Final = 2.0
POLICY_ID: Final = "index.plugins.index_state_management.policy_id"
"""Found by a search, so a moment late; `policy_id` alone is of its job, later still."""
DEFAULTS: Final = LifecycleSettings()
AT_ONCE: Final = {"count": 0, "backoff": "constant", "delay": "1m"}
CHANGES: Final[dict[str, object]] = {
    "plugins.security.compliance.immutable_indices": None,
    "plugins.index_state_management.job_interval": 1,
    "plugins.index_state_management.jitter": 0,
}

pytestmark = [
    pytest.mark.opensearch,
    pytest.mark.secured,
    pytest.mark.slow,
    pytest.mark.timeout(2 * PATIENCE_SECONDS),
    pytest.mark.skipif(not PLUGINS, reason=f"{VARIABLE} names no directory with the plugin"),
]


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    """A node with the plugin, on which nothing is immutable and the lifecycle may delete."""
    with own_home() as home:
        server = node.assemble(node_config(home))
        for archive in Path(str(PLUGINS)).glob("*.zip"):
            shutil.unpack_archive(archive, server / "plugins" / archive.stem, "zip")
        running = start_changed(home, CHANGES)
        cluster = Cluster("a node with the ISM plugin", running.url, running.credentials)
        send(cluster, "PUT", f"{SECURITY}/roles/audit_deletion", read_role("audit_deletion"))
        map_deletion(cluster, ["audit_lifecycle"])
        yield cluster


@pytest.fixture
def index(cluster: Cluster) -> Generator[IndexSettings]:
    with cluster.own_prefix() as settings:
        yield settings


def send(cluster: Cluster, method: str, path: str, body: object = None) -> Any:
    """Ask with the certificate for what has to succeed."""
    with cluster.admin() as admin:
        reply = ask(admin, method, path, body=msgspec.json.encode(body) if body else None)
    assert reply.status < 300, reply.text
    return msgspec.json.decode(reply.text)


def map_deletion(cluster: Cluster, users: list[str]) -> None:
    send(cluster, "PUT", f"{SECURITY}/rolesmapping/audit_deletion", {"users": users})


def apply(cluster: Cluster, index: IndexSettings, **options: Any) -> list[tuple[str, str]]:
    """Install; what changed, as action and name."""
    with cluster.client("lifecycle") as client:
        mode = find_mode(client, index, DEFAULTS)
        assert (mode.name, mode.immutable) == ("ism", False)
        lifecycle = LifecycleSettings(**options)
        changes = install_policies(client, index, lifecycle, mode)
    return [(one.action, one.name) for one in changes]


def store(cluster: Cluster, index: IndexSettings) -> str:
    """One event; returns its partition."""
    line = event_line(timestamp="2026-01-03T00:00:00.000000Z")
    with cluster.client("writer") as writer:
        reply = ask(writer, "POST", "/_bulk", body=batch_of(index, [line]).body([0]))
    assert reply.status == 200, reply.text
    return f"{index.prefix}-events-2026.01"


def explain(cluster: Cluster, name: str) -> Any:
    return send(cluster, "GET", f"{PREFIX}explain/{name}")[name]


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(LOOK_SECONDS)


def test_policies_are_installed_before_any_partition_and_take_the_first(
    cluster: Cluster, index: IndexSettings
) -> None:
    events, late = f"{index.prefix}-events", f"{index.prefix}-late"
    assert apply(cluster, index) == [("create", events), ("create", late)]
    assert apply(cluster, index) == []
    name = store(cluster, index)
    await_that(lambda: explain(cluster, name).get("policy_id") == events)
    assert apply(cluster, index) == [], "what the plugin fills in is no difference"

    older = find_policy(cluster, events)
    longer = msgspec.structs.replace(index, retention_days=800)
    assert apply(cluster, longer) == [("update", events), ("update", late), ("update", name)]
    await_that(lambda: explain(cluster, name).get("policy_seq_no") not in (None, older))
    assert apply(cluster, longer) == []


def find_policy(cluster: Cluster, policy_id: str) -> int:
    """Its version."""
    return int(send(cluster, "GET", f"{PREFIX}policies/{policy_id}")["_seq_no"])


def test_a_policy_is_changed_by_version_only(
    cluster: Cluster, index: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(cluster, index)
    policy_id = f"{index.prefix}-events"
    path = f"{PREFIX}policies/{policy_id}"
    older = send(cluster, "GET", path)

    def compare_too_late(wanted: Body, found: Body) -> tuple[Difference, ...]:
        """Somebody else changes it after it was read."""
        body = {"policy": found | {"description": "somebody's"}}
        version = f"if_seq_no={older['_seq_no']}&if_primary_term={older['_primary_term']}"
        send(cluster, "PUT", f"{path}?{version}", body)
        return differ_policy(wanted, found)

    monkeypatch.setattr("indexer.ism.differ_policy", compare_too_late)
    with pytest.raises(PolicyConflictError, match=policy_id):
        apply(cluster, msgspec.structs.replace(index, retention_days=800))
    assert send(cluster, "GET", path)["policy"]["description"] == "somebody's"


def test_a_partition_is_taken_out_and_given_back(cluster: Cluster, index: IndexSettings) -> None:
    name = store(cluster, index)
    assert ("attach", name) in apply(cluster, index)
    with cluster.client("lifecycle") as client:
        assert [take_out(client, name) for _ in range(2)] == [True, False]
        await_that(lambda: explain(cluster, name)[POLICY_ID] is None)
        assert apply(cluster, index) == [], "it stays out"
        assert [give_back(client, name, index) for _ in range(2)] == [True, False]
    await_that(lambda: explain(cluster, name)[POLICY_ID] == f"{index.prefix}-events")
    settings = send(cluster, "GET", f"/{name}/_settings?flat_settings=true")[name]["settings"]
    assert AUTO_MANAGE not in settings


def test_who_may_not_delete_gives_ism_no_delete(cluster: Cluster, index: IndexSettings) -> None:
    map_deletion(cluster, ["nobody"])
    try:
        with pytest.raises(DeletionBlockedError):
            apply(cluster, index)
    finally:
        map_deletion(cluster, ["audit_lifecycle"])
    assert apply(cluster, index) != []


def hasten(*args: Any, **options: Any) -> dict[str, Body]:
    """The policies with ages of a second and no merge; what fails, fails at once."""
    bodies = render(*args, **options)
    policies: list[Any] = [body["policy"] for body in bodies.values()]
    for state in (state for policy in policies for state in policy["states"]):
        for transition in state["transitions"]:
            transition["conditions"] = {"min_index_age": "1s"}
        actions = [action for action in state["actions"] if "force_merge" not in action]
        state["actions"] = [action | {"retry": AT_ONCE} for action in actions]
    return bodies


def test_a_partition_that_failed_begins_anew_and_goes_all_its_way(
    cluster: Cluster, index: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.ism.render", hasten)
    # It refuses a retry, as our own executor has none.
    monkeypatch.setattr("indexer.ism.read", lambda _body: None)
    name, shelf = store(cluster, index), f"{index.prefix}-shelf"
    apply(cluster, index, snapshot_repository=shelf)
    await_that(lambda: explain(cluster, name).get("action", {}).get("failed", False))
    with cluster.client("lifecycle") as client:
        mode = find_mode(client, index, DEFAULTS)
        lifecycle = LifecycleSettings(snapshot_repository=shelf)
        (drift,) = compare_policies(client, index, lifecycle, mode)
    assert drift.name == name
    assert f"[{shelf}] missing" in str(drift.differences[0].found)
    blocked = send(cluster, "GET", f"/{name}/_settings?flat_settings=true")[name]["settings"]
    assert blocked["index.blocks.write"] == "true"

    repository = {"type": "fs", "settings": {"location": shelf}}
    send(cluster, "PUT", f"/_snapshot/{shelf}", repository)
    assert apply(cluster, index, snapshot_repository=shelf) == [("restart", name)]
    with cluster.admin() as admin:
        await_that(lambda: not admin.indices.exists(index=name))
    (copy,) = send(cluster, "GET", f"/_snapshot/{shelf}/_all")["snapshots"]
    assert copy["indices"] == [name]
