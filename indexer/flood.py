"""Indices that take nothing, as a disk under them is nearly full: for `status`.

From the flood stage on OpenSearch blocks each index that has a shard on that disk, and lifts the
block itself when there is room again (tried on 3.4.0 and 3.8.0).
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.client import request_shape
from indexer.names import EXPAND_ALL, read_indices, some_of
from indexer.settings import IndexSettings

BLOCK: Final = "index.blocks.read_only_allow_delete"


class _Settings(Struct):
    settings: dict[str, str] = {}


def find_flooded(client: OpenSearch, settings: IndexSettings) -> list[str]:
    """The partitions, late indices and journals that the flood stage has blocked, by name.

    Raises:
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    path = f"/{read_indices(settings)}/_settings/{BLOCK}"
    params = {**EXPAND_ALL, "flat_settings": "true"}
    found = request_shape(client, "GET", path, dict[str, _Settings], params=params) or {}
    return sorted(name for name, one in found.items() if one.settings.get(BLOCK) == "true")


def describe_flooded(names: Sequence[str]) -> str:
    """One line: which, why, and what to do."""
    return (
        f"a disk is at its flood stage: no writes to {some_of(names)}, new events wait in the"
        " agents; free it, and the cluster lifts the block by itself"
    )
