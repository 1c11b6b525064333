"""Three nodes that are one cluster, each of which may be killed, or stopped in order."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from opensearchpy import OpenSearch

import node
from indexer.client import connect, request
from indexer.errors import IndexerError
from indexer.settings import ConnectionSettings, IndexSettings
from indexer.templates import install
from tests.cluster import Cluster
from tests.node_home import free_ports, node_config
from tests.waiting import wait_until

NAMES: Final = ("node-1", "node-2", "node-3")
HEAP_MEGABYTES: Final = 384
LOOK_SECONDS: Final = 0.25
ALLOCATION: Final = "cluster.routing.allocation.enable"


class ThreeNodes:
    """The nodes of one home, and what happens to them."""

    def __init__(self, home: Path) -> None:
        ports = free_ports(2 * len(NAMES))
        first = replace(
            node_config(home, heap_megabytes=HEAP_MEGABYTES),
            seed_hosts=tuple(f"127.0.0.1:{port}" for port in ports[len(NAMES) :]),
            initial_nodes=NAMES,
        )
        self._configs = {
            name: replace(first, node_name=name, http_port=http_port, transport_port=transport_port)
            for name, http_port, transport_port in zip(
                NAMES, ports[: len(NAMES)], ports[len(NAMES) :], strict=True
            )
        }
        launched = {name: node.launch(config) for name, config in self._configs.items()}
        self._running = {
            name: node.await_ready(self._configs[name], one) for name, one in launched.items()
        }
        self.admins = {name: self._admin(name) for name in NAMES}
        self.admin = self._admin(*NAMES)
        """At any node that answers; `admins` at one each."""
        await_slowly(lambda: self.health().get("number_of_nodes") == len(NAMES), "three nodes")

    @property
    def cluster(self) -> Cluster:
        """As settings name it: all of its nodes."""
        return self.seen_by(*NAMES)

    def seen_by(self, *names: str) -> Cluster:
        """As settings name it that know these nodes alone."""
        urls = ",".join(self._running[name].url for name in names)
        return Cluster("three nodes", urls, self._running[NAMES[0]].credentials)

    def new_index(self) -> IndexSettings:
        """A prefix of its own, with its templates; each index has one replica."""
        settings = IndexSettings(prefix=f"audit-t{secrets.token_hex(6)}", replicas=1)
        with self.cluster.client("lifecycle") as lifecycle:
            install(lifecycle, settings)
        return settings

    def _admin(self, *names: str) -> OpenSearch:
        """A client with the admin certificate, of these nodes."""
        credentials = self.cluster.credentials
        settings = ConnectionSettings(
            url=",".join(self._running[name].url for name in names),
            ca_file=credentials.ca_file,
            client_cert_file=credentials.admin_cert_file,
            client_key_file=credentials.admin_key_file,
            timeout_seconds=5,
        )
        return connect(settings, role="lifecycle")

    def health(self, name: str | None = None) -> dict[str, Any]:
        """The health as a node sees it; empty while it has no cluster manager."""
        params = {"cluster_manager_timeout": "1s"}
        client = self.admins[name] if name else self.admin
        with suppress(IndexerError):
            return cast("dict[str, Any]", request(client, "GET", "/_cluster/health", params=params))
        return {}

    def await_green(self, seconds: float = 90) -> None:
        def is_green() -> bool:
            health = self.health()
            return health.get("status") == "green" and health["number_of_nodes"] == len(NAMES)

        await_slowly(is_green, lambda: f"not green: {self.health()}", seconds)

    def manager(self) -> str:
        """The name of the elected cluster manager."""
        rows = self.admin.cat.cluster_manager(params={"format": "json"})
        return str(rows[0]["node"])

    def primary_of(self, index: str) -> str:
        """The name of the node with the primary of an index."""
        params = {"format": "json", "h": "prirep,node"}
        rows = self.admin.cat.shards(index=index, params=params)
        return next(str(row["node"]) for row in rows if row["prirep"] == "p")

    def kill(self, name: str) -> float:
        """SIGKILL in the middle of whatever it does; returns when that was."""
        os.kill(self._running[name].pid, signal.SIGKILL)
        return time.monotonic()

    @contextmanager
    def standing_still(self, name: str) -> Generator[None]:
        """Until the end of the block it does nothing, and says nothing of it (SIGSTOP)."""
        os.kill(self._running[name].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._running[name].pid, signal.SIGCONT)

    def stop(self, name: str) -> float:
        """Stop in order; returns when that began."""
        begun = time.monotonic()
        assert node.stop(self._configs[name])
        return begun

    def start(self, name: str) -> None:
        """Start again, and wait until it serves its users."""
        self._running[name] = node.start(self._configs[name])

    def await_loss_of(self, name: str, seconds: float = 60) -> float:
        """Wait until the others have a cluster manager and count one less; returns when it was."""
        survivor = next(one for one in NAMES if one != name)
        await_slowly(
            lambda: self.health(survivor).get("number_of_nodes") == len(NAMES) - 1,
            lambda: f"still there: {self.health(survivor)}",
            seconds,
        )
        return time.monotonic()

    def allow(self, allocation: str | None) -> None:
        """Set which copies may be allocated; None for the default."""
        self.admin.cluster.put_settings(body={"persistent": {ALLOCATION: allocation}})


def await_slowly(
    condition: Callable[[], object], what: str | Callable[[], str], seconds: float = 60
) -> None:
    """Wait for what costs something to look at."""
    wait_until(condition, what, seconds, pause_seconds=LOOK_SECONDS)
