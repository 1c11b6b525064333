"""Homes for embedded nodes of tests: made under the system's scratch directory, gone at the end.

A session that was killed hard leaves its node behind; the next session finds the home's lock
free, stops the node and removes the home.
"""

import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import platformdirs

import node
from node.distribution import DISTRIBUTIONS, OPENSEARCH_VERSION

HOMES: Final = Path(tempfile.gettempdir()) / f"indelible-tests-{os.geteuid()}"
VERSION: Final = os.environ.get("INDELIBLE_TEST_OPENSEARCH_VERSION") or OPENSEARCH_VERSION
SECURED: Final = os.environ.get("INDELIBLE_TEST_OPENSEARCH_SECURITY") != "off"
CLIENT_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Half the processor time until it answers (measured: 13 s instead of 26 s on two cores); what it
# costs, the last third of throughput under load, no test needs.
QUICK_START: Final = ("-XX:TieredStopAtLevel=1",)


def artifact_cache() -> Path:
    """Return the cache that all clones and sessions of this user share."""
    return Path(os.environ.get("INDELIBLE_CACHE") or platformdirs.user_cache_path("indelible"))


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on.

    None that the kernel gives to clients: one could have it before it is listened on.
    """
    first, last = map(int, CLIENT_PORTS.read_text().split())
    others = [*range(10_000, first), *range(last + 1, 1 << 16)]
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = secrets.choice(others)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
    return ports


def open_up(path: Path) -> None:
    """Let everybody enter a scratch directory; nothing outside the system's scratch is touched."""
    scratch = Path(tempfile.gettempdir()).resolve()
    for one in (path, *path.parents):
        if scratch in one.resolve().parents:
            one.chmod(one.stat().st_mode | 0o055)


def node_config(home: Path, *, heap_megabytes: int = 1024) -> node.NodeConfig:
    """Return a node on free ports that starts quickly, of the kind that the session asks for."""
    http_port, transport_port = free_ports(2)
    return node.NodeConfig(
        home,
        http_port=http_port,
        transport_port=transport_port,
        heap_megabytes=heap_megabytes,
        cache=artifact_cache(),
        java_options=QUICK_START,
        version=VERSION,
        security=SECURED,
    )


def describe() -> str:
    """Say what the session's own nodes are."""
    plugin = DISTRIBUTIONS[VERSION].security
    with_it = f"with the security plugin {plugin}" if SECURED else "without the security plugin"
    return f"the embedded node: OpenSearch {VERSION} {with_it}"


@contextmanager
def own_home() -> Generator[Path]:
    """Give a home; whatever nodes run in it at the end are stopped, and it is removed."""
    HOMES.mkdir(mode=0o755, exist_ok=True)
    _sweep()
    home = HOMES / secrets.token_hex(6)
    with home.open("w") as lock:
        # Locked before it has the name that others look for: they would take the home for left.
        fcntl.flock(lock, fcntl.LOCK_EX)
        home.rename(_lock_file(home))
        home.mkdir(mode=0o755)
        try:
            yield home
        finally:
            _remove(home)


def _lock_file(home: Path) -> Path:
    return home.with_suffix(".lock")


def _sweep() -> None:
    for path in HOMES.glob("*.lock"):
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(path.with_suffix(""))


def _remove(home: Path) -> None:
    if home.exists():
        node.erase(node.NodeConfig(home))
    shutil.rmtree(home, ignore_errors=True)
    _lock_file(home).unlink(missing_ok=True)
