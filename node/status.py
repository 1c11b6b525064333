"""How a node is, as far as it can be told without starting anything."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from node import process
from node.config import NodeConfig
from node.credentials import read_credentials
from node.errors import CredentialsError, NodeMissingError
from node.layout import Layout, find_layout
from node.preparation import read_record
from node.probe import TIMEOUT_SECONDS, Health, choose_probe, decode_health
from node.render import locate

_MEGABYTE = 1 << 20

State = Literal["absent", "stopped", "starting", "running"]


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a node is.

    `absent`: never started here; `starting`: the process is there and does not serve its users
    yet (or not any more). `place` is where the server's own files lie, other than the home where
    root's node runs as another user who cannot reach it. `user` is who the server runs as;
    `health` is the cluster's colour.
    """

    state: State
    version: str
    node_name: str
    home: Path
    place: Path
    cache: Path
    url: str
    pid: int | None
    health: str | None
    nodes: int | None
    user: str | None
    data_megabytes: int
    disk_free_megabytes: int | None


def status(config: NodeConfig, *, patience_seconds: float = TIMEOUT_SECONDS) -> Status:
    """Return how the node is; changes nothing, and needs no network.

    Args:
        config: names the home.
        patience_seconds: how long a process that is there may take to answer.
    """
    layout = find_layout(config)
    pid = process.find(layout.argument)
    running = read_record(layout) or config
    health = _health(layout, running, patience_seconds) if pid is not None else None
    return Status(
        state=_state(layout, pid, answers=health is not None),
        version=running.version,
        node_name=config.node_name,
        home=layout.home,
        place=layout.place,
        cache=layout.cache,
        url=locate(running),
        pid=pid,
        health=health.status if health else None,
        nodes=health.number_of_nodes if health else None,
        user=_owner(layout.data),
        data_megabytes=_size_megabytes(layout.data),
        disk_free_megabytes=_free_megabytes(layout.place),
    )


def _state(layout: Layout, pid: int | None, *, answers: bool) -> State:
    if pid is None:
        return "stopped" if layout.record.exists() else "absent"
    return "running" if answers else "starting"


def _health(layout: Layout, config: NodeConfig, patience_seconds: float) -> Health | None:
    try:
        known = read_credentials(layout.credentials)
        probe = replace(choose_probe(config, known), timeout_seconds=patience_seconds)
    except (NodeMissingError, CredentialsError):
        return None
    return decode_health(probe.ask("GET", "/_cluster/health"))


def _owner(directory: Path) -> str | None:
    try:
        return directory.owner()
    except (FileNotFoundError, KeyError):
        return None


def _size_megabytes(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            # Merged away meanwhile.
            continue
    return total // _MEGABYTE


def _free_megabytes(place: Path) -> int | None:
    nearest = next(one for one in (place, *place.parents) if one.exists())
    return shutil.disk_usage(nearest).free // _MEGABYTE
