"""How one node is to run."""

import re
from dataclasses import dataclass
from pathlib import Path

from node.distribution import DISTRIBUTIONS, OPENSEARCH_VERSION
from node.errors import ConfigError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_PORTS = range(1, 65536)
_LEAST_HEAP_MEGABYTES = 256


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. Nodes of one home share its certificate authority, users and cache.

    `seed_hosts` (`host:transport_port`) and `initial_nodes` (node names) make nodes find each other
    as one cluster: give all of them the same `home`, `initial_nodes` and `seed_hosts`, and each its
    own name and ports. Without them the node is a cluster of its own. `cache` holds the downloaded
    artifacts, `home/cache` by default. `java_options` come last on the command line, so they win.
    `version` and `security` are for tests of compatibility: without the security plugin a node
    speaks plain HTTP, and whoever reaches its port may do everything.

    Raises:
        ConfigError: a name that cannot be a directory's, a port or heap out of range,
            a version that nobody knows how to put together.
    """

    home: Path
    http_port: int = 9250
    transport_port: int = 9350
    heap_megabytes: int = 1024
    cluster_name: str = "indelible"
    node_name: str = "node-1"
    seed_hosts: tuple[str, ...] = ()
    initial_nodes: tuple[str, ...] = ()
    cache: Path | None = None
    java_options: tuple[str, ...] = ()
    version: str = OPENSEARCH_VERSION
    security: bool = True

    def __post_init__(self) -> None:
        """Refuse what could not work, before anything is downloaded."""
        for name in (self.cluster_name, self.node_name, *self.initial_nodes):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{name!r} cannot name a node or a cluster",
                    hint="use lower-case letters, digits and hyphens",
                )
        if self.http_port == self.transport_port:
            raise ConfigError(
                f"port {self.http_port} cannot serve both HTTP and transport",
                hint="choose two ports",
            )
        for port in (self.http_port, self.transport_port):
            if port not in _PORTS:
                raise ConfigError(f"{port} is not a port", hint="choose one from 1 to 65535")
        if self.version not in DISTRIBUTIONS:
            raise ConfigError(
                f"OpenSearch {self.version} cannot be put together here",
                hint=f"choose one of {', '.join(DISTRIBUTIONS)}",
            )
        if self.heap_megabytes < _LEAST_HEAP_MEGABYTES:
            raise ConfigError(
                f"a heap of {self.heap_megabytes} MiB is too small for OpenSearch",
                hint=f"give it {_LEAST_HEAP_MEGABYTES} MiB or more",
            )
