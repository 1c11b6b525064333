"""Scenario 5 where the whole cluster is in trouble: on a node of its own, with a real agent.

A disk beyond the flood stage, and indices that are not made by themselves. In both cases the data
waits and the cluster's recovery is enough; nobody has to touch the agent.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

import node
from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.agent_rig import proxied
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy
from tests.node_home import node_config, own_home
from tests.waiting import wait_until

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

WATERMARK: Final = "cluster.routing.allocation.disk.watermark"
FULL: Final = {
    f"{WATERMARK}.low": "0.001%",
    f"{WATERMARK}.high": "0.002%",
    f"{WATERMARK}.flood_stage": "0.003%",
    # What a node that looks meanwhile sets by itself; it goes with the others.
    "cluster.blocks.create_index": "false",
}
FLOODED: Final = "index.blocks.read_only_allow_delete"
NO_NEW_INDICES: Final = {"action.auto_create_index": "false"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_home() as home:
        running = node.start(node_config(home))
        yield Cluster("own", running.url, running.credentials)


@pytest.fixture
def own_index(cluster: Cluster) -> Iterator[IndexSettings]:
    with cluster.own_prefix() as settings:
        yield settings


@pytest.fixture
def home(tmp_path: Path, cluster: Cluster, own_index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, cluster, own_index)) as one:
        yield one


@pytest.fixture
def proxy(home: AgentHome) -> Iterator[FaultProxy]:
    with proxied(home) as one:
        yield one


@contextmanager
def cluster_settings(cluster: Cluster, settings: dict[str, str]) -> Generator[None]:
    """Put them, and take them back at the end."""

    def put(values: dict[str, str | None]) -> None:
        with cluster.admin() as admin:
            admin.cluster.put_settings(body={"persistent": values})

    put(dict(settings))
    try:
        yield
    finally:
        put(dict.fromkeys(settings))


def test_a_disk_beyond_the_flood_stage_is_waited_for(
    home: AgentHome, proxy: FaultProxy, cluster: Cluster
) -> None:
    """The block comes and goes while the agent runs; every line is stored afterwards, once."""
    home.emit(100)
    home.once()
    with cluster_settings(cluster, FULL):
        _put_flood_block(cluster, home.index, "true")
        process = home.start()
        home.emit(1000)
        wait_until(lambda: home.has_said("bulk_blocked"), home.said)
        assert home.buried() == []
        attempts = len(proxy.attempts)
    _put_flood_block(cluster, home.index, None)
    home.await_settled()
    home.kill(process)
    assert len(proxy.attempts) - attempts < 60
    assert proxy.sent_needlessly() == {}
    assert home.buried() == []
    home.check()


def _put_flood_block(cluster: Cluster, index: IndexSettings, value: str | None) -> None:
    """Block the partitions as the node's look at its disk does, or let go of them.

    The watermarks keep that look from lifting the block at once. When it comes is the node's own
    affair (after 40 s on a quiet machine, once not within 150 s), so that a test can't wait for it.
    """
    with cluster.admin() as admin:
        admin.indices.put_settings(index=f"{index.prefix}-*", body={FLOODED: value})


def test_a_partition_that_is_not_made_is_waited_for(
    home: AgentHome, proxy: FaultProxy, cluster: Cluster
) -> None:
    """404 for each item is no fault of the items: it is told, and tried again slowly."""
    home.emit(1000)
    with cluster_settings(cluster, NO_NEW_INDICES):
        process = home.start()
        wait_until(lambda: home.has_said("bulk_halted"), home.said)
        assert "index_not_found_exception" in home.said()
        assert len(proxy.attempts) <= 4
        assert home.buried() == []
    home.await_settled()
    home.kill(process)
    assert proxy.sent_needlessly() == {}
    assert home.buried() == []
    home.check()
