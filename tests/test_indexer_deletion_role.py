"""Deletion where no index is immutable, on its own node: by the role `audit_deletion` alone."""

from collections.abc import Iterator

import msgspec
import pytest

from indexer.client import ask
from indexer.mode import find_mode
from node.security import read_role
from tests.cluster import Cluster
from tests.lifecycle_world import DELETABLE, SEALABLE, World
from tests.node_home import own_home
from tests.rest_calls import SECURITY
from tests.rest_world import start_changed

pytestmark = [pytest.mark.opensearch, pytest.mark.secured, pytest.mark.slow]
MUTABLE = {"plugins.security.compliance.immutable_indices": None}


@pytest.fixture
def world() -> Iterator[World]:
    """The lifecycle's own user deletes; nobody has the certificate."""
    with own_home() as home:
        running = start_changed(home, MUTABLE)
        cluster = Cluster("its own node", running.url, running.credentials)
        with cluster.own_prefix() as index:
            yield World(cluster, index, may_delete=False)


def map_deletion(cluster: Cluster) -> None:
    """As an administrator maps the lifecycle's user to the role."""
    with cluster.admin() as admin:
        for kind, content in (
            ("roles", msgspec.to_builtins(read_role("audit_deletion"))),
            ("rolesmapping", {"users": ["audit_lifecycle"]}),
        ):
            path = f"{SECURITY}/{kind}/audit_deletion"
            reply = ask(admin, "PUT", path, body=msgspec.json.encode(content))
            assert reply.status < 300, reply.text


def test_the_lifecycles_user_deletes_with_the_role_and_not_without(world: World) -> None:
    with world.cluster.client("lifecycle") as lifecycle:
        mode = find_mode(lifecycle, world.index, world.lifecycle)
    assert (mode.name, mode.immutable) == ("worm", False)
    world.fill()
    world.now = SEALABLE
    assert world.take_round().problems == ()

    world.now = DELETABLE
    refused = world.take_round()
    assert refused.taken == ()
    (problem,) = refused.problems
    assert problem.is_blocked
    assert problem.partition == world.partition
    assert "no permissions for [indices:admin/delete]" in problem.what
    assert "audit_deletion" in problem.hint
    assert world.exists(world.partition)

    map_deletion(world.cluster)
    done = world.take_round()
    assert ([one.step for one in done.taken], done.problems) == (["delete"], ())
    assert not world.exists(world.partition)
    assert ("partition_deleted", "_system", world.partition) in world.told()
    assert "partition_missing" not in {action for action, _, _ in world.told()}
