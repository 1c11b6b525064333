"""What the colours of partitions mean for their events, and the next step: for `status`."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.client import request_shape
from indexer.names import some_of
from indexer.partitions import Partition

EXPLAIN: Final = "GET _cluster/allocation/explain says why"


class CopyTrouble(Struct, frozen=True, kw_only=True):
    """Partitions that lack copies for one reason."""

    colour: str
    """`red`: none is there. `yellow`: one is missing, and all events are there."""
    partitions: tuple[str, ...]
    reason: str
    hint: str

    def describe(self) -> str:
        """One line: which, why, and what to do."""
        return f"{self.colour}: {some_of(self.partitions)}: {self.reason}; {self.hint}"


class _Health(Struct):
    number_of_data_nodes: int


def count_data_nodes(client: OpenSearch) -> int:
    """How many nodes can hold copies now.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    health = request_shape(client, "GET", "/_cluster/health", _Health)
    return 0 if health is None else health.number_of_data_nodes


def judge_copies(partitions: Sequence[Partition], data_nodes: int) -> list[CopyTrouble]:
    """What is wrong with the copies of partitions, the worst first; empty when nothing is.

    Args:
        partitions: as `list_partitions` has them.
        data_nodes: see `count_data_nodes`.
    """
    red = [one.name for one in partitions if one.health == "red"]
    yellow = [one for one in partitions if one.health == "yellow"]
    crowded = [one.name for one in yellow if (one.replicas or 0) >= data_nodes]
    missing = [one.name for one in yellow if (one.replicas or 0) < data_nodes]
    wanted = max((one.replicas or 0 for one in yellow), default=0) + 1
    nodes = "1 data node" if data_nodes == 1 else f"{data_nodes} data nodes"
    found = [
        CopyTrouble(
            colour="red",
            partitions=tuple(red),
            reason="no copy is there: these events cannot be read, new ones wait in the agents",
            hint=f"start the nodes that are away, delete nothing; {EXPLAIN}",
        ),
        CopyTrouble(
            colour="yellow",
            partitions=tuple(crowded),
            reason=f"{wanted} copies are wanted, on {nodes}",
            hint="start or add a node; where there is to be none, set INDELIBLE_INDEX_REPLICAS,"
            " `indelible indices apply`, and number_of_replicas of these",
        ),
        CopyTrouble(
            colour="yellow",
            partitions=tuple(missing),
            reason="a copy is missing, all events are there",
            hint=f"nothing, if a node was started or a partition made minutes ago; else {EXPLAIN}",
        ),
    ]
    return [one for one in found if one.partitions]
