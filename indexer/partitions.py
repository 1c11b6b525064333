"""What lies in the cluster: one row for each partition."""

from typing import Annotated

from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from indexer.client import LEADERLESS_PARAMS, request_shape
from indexer.names import EXPAND_ALL, read_indices
from indexer.settings import IndexSettings
from indexer.templates import Drift

COLUMNS = "index,health,status,rep,docs.count,store.size"


class Partition(Struct, frozen=True, rename="camel"):
    """A partition as the cluster reports it; counts are None while no copy of it is there."""

    name: str
    health: Annotated[str, Meta(description="green, yellow, red, or empty when closed")]
    open: bool
    events: int | None
    size_bytes: int | None
    drift: int
    """How many values differ from the template's file."""
    replicas: int | None = None
    """How many copies it is to have beside the primary."""


class _Row(Struct, frozen=True, rename={"docs": "docs.count", "size": "store.size"}):
    index: str
    status: str
    health: str | None = None
    docs: str | None = None
    size: str | None = None
    rep: str | None = None


def list_partitions(
    client: OpenSearch, settings: IndexSettings, drifts: list[Drift]
) -> list[Partition]:
    """All partitions, late indices and the journal of the prefix, in the order of their names.

    Args:
        client: of the role `lifecycle`.
        settings: how events are laid into indices.
        drifts: what `templates.compare` found.
    """
    params = {"format": "json", "bytes": "b", "h": COLUMNS, **EXPAND_ALL, **LEADERLESS_PARAMS}
    path = f"/_cat/indices/{read_indices(settings)}"
    rows = request_shape(client, "GET", path, list[_Row], params=params) or []
    counts = {drift.name: len(drift.differences) for drift in drifts if drift.kind == "partition"}
    return [
        Partition(
            name=row.index,
            health=row.health or "",
            open=row.status == "open",
            events=None if row.docs is None else int(row.docs),
            size_bytes=None if row.size is None else int(row.size),
            drift=counts.get(row.index, 0),
            replicas=None if row.rep is None else int(row.rep),
        )
        for row in sorted(rows, key=_name)
    ]


def _name(row: _Row) -> str:
    return row.index
