"""What the machine must have before a node is started: memory, disk, free ports."""

import shutil
from pathlib import Path

from node.config import NodeConfig
from node.errors import ResourceError
from node.ports import check_port
from node.render import DISK_FLOOD_MEGABYTES

# Measured on an idle node with a heap of 1 GiB: the process takes 0.3 GiB beside its heap.
MEMORY_BESIDE_HEAP_MEGABYTES = 384
# Below the flood stage the node would start, and then refuse every event.
DISK_MEGABYTES = 2 * DISK_FLOOD_MEGABYTES
_MEGABYTE = 1 << 20
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_resources(config: NodeConfig, place: Path) -> None:
    """Raise `ResourceError` or `PortTakenError` for what would stop the node from running."""
    check_memory(config.heap_megabytes, available_megabytes())
    check_disk(place, shutil.disk_usage(place).free // _MEGABYTE)
    for name, port in (("http_port", config.http_port), ("transport_port", config.transport_port)):
        check_port(name, port)


def check_memory(heap_megabytes: int, available: int | None) -> None:
    """Raise `ResourceError` unless heap and what Java needs beside it fit into `available`."""
    needed = heap_megabytes + MEMORY_BESIDE_HEAP_MEGABYTES
    if available is not None and available < needed:
        raise ResourceError(
            f"too little memory: the node needs {needed} MiB, {available} MiB are available",
            hint="stop other programs, or give it less: INDELIBLE_NODE_HEAP_MEGABYTES=512",
        )


def check_disk(place: Path, free: int) -> None:
    """Raise `ResourceError` when OpenSearch would refuse events at once."""
    if free < DISK_MEGABYTES:
        raise ResourceError(
            f"too little disk: {place} has {free} MiB free, the node needs {DISK_MEGABYTES} MiB",
            hint="free some space, or choose a home on another disk: INDELIBLE_HOME",
        )


def available_megabytes() -> int | None:
    """Return how much memory can be had without swapping, None where nothing tells."""
    known = [amount for amount in (_machine_bytes(), _container_bytes()) if amount is not None]
    return min(known) // _MEGABYTE if known else None


def _machine_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _container_bytes() -> int | None:
    try:
        limit = _CGROUP_LIMIT.read_text("ascii").strip()
        used = _CGROUP_LIMIT.with_name("memory.stat").read_text("ascii")
    except OSError:
        return None
    # Of what the container uses, the kernel gives file pages back on demand.
    anonymous = next(int(line.split()[1]) for line in used.splitlines() if line.startswith("anon "))
    return int(limit) - anonymous if limit.isdecimal() else None
