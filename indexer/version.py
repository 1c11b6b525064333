"""Which OpenSearch it takes, and whether every node of a cluster is one.

The mapping has fields with `skip_list` (OpenSearch 3.3). An older node refuses them with an error
of its parser that tells nobody what to do.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from indexer.client import request_shape
from indexer.errors import VersionError

NEEDED: Final = (3, 3)


class _Node(Struct, frozen=True):
    name: str
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+")]


class _Nodes(Struct, frozen=True):
    nodes: dict[str, _Node]


def read_version(text: str) -> tuple[int, int]:
    """Major and minor of a version such as `3.4.0` or `3.5.0-SNAPSHOT`; else a ValueError."""
    found = re.match(r"(\d+)\.(\d+)", text, re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is no version")
    return int(found[1]), int(found[2])


def find_older(versions: Mapping[str, str]) -> dict[str, str]:
    """The nodes that are older than `NEEDED`, of the versions of all by the names of the nodes."""
    return {name: text for name, text in versions.items() if read_version(text) < NEEDED}


def check_version(client: OpenSearch) -> None:
    """Refuse a cluster of which a node is too old for the template, before anything is changed.

    Args:
        client: of the role `lifecycle`.

    Raises:
        VersionError: one is too old.
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    params = {"filter_path": "nodes.*.name,nodes.*.version"}
    answer = request_shape(client, "GET", "/_nodes", _Nodes, params=params)
    nodes = answer.nodes.values() if answer is not None else ()
    older = find_older({node.name: node.version for node in nodes})
    if older:
        raise VersionError(older, ".".join(map(str, NEEDED)))
