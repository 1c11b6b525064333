"""Real agents whose way to a real node leads through a proxy with bad days."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, fault_proxy


class Rig(NamedTuple):
    """An agent's home whose way to the node leads through a proxy."""

    home: AgentHome
    proxy: FaultProxy


@contextmanager
def proxied(home: AgentHome) -> Generator[FaultProxy]:
    """Put a proxy before the node of a home; the agents there end before it does."""
    with fault_proxy(home.url, home.ca_file) as proxy:
        home.url = proxy.url
        try:
            yield proxy
        finally:
            home.close()


@contextmanager
def agent_rig(directory: Path, cluster: Cluster, index: IndexSettings) -> Generator[Rig]:
    """A home in `directory` and its proxy, until the block ends."""
    home = AgentHome(directory, cluster, index)
    with proxied(home) as proxy:
        yield Rig(home, proxy)
