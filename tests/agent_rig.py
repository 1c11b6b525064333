"""Real agents whose way to a real node leads through a proxy with bad days."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, fault_proxy


class Rig:
    """An agent's home whose way to the node leads through a proxy."""

    def __init__(self, home: AgentHome, proxy: FaultProxy) -> None:
        self.home = home
        self.proxy = proxy
        home.url = proxy.url


@contextmanager
def agent_rig(directory: Path, cluster: Cluster, index: IndexSettings) -> Generator[Rig]:
    """A home in `directory` and its proxy, until the block ends."""
    home = AgentHome(directory, cluster, index)
    with fault_proxy(cluster.url, cluster.ca_file) as proxy:
        yield Rig(home, proxy)
        home.close()
