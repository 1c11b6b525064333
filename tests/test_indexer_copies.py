"""Missing copies: what is said of them, and what to do."""

from typing import Final

import pytest

from indexer.copies import judge_copies
from indexer.partitions import Partition

NO_COPY: Final = (
    "red: a: no copy is there: these events cannot be read, new ones wait in the agents;"
    " start the nodes that are away, delete nothing; GET _cluster/allocation/explain says why"
)
TOO_MANY: Final = (
    "yellow: a: 2 copies are wanted, on 1 data node; start or add a node; where there is to be"
    " none, set INDELIBLE_INDEX_REPLICAS, `indelible indices apply`, and number_of_replicas of"
    " these"
)


def partition(name: str, health: str, replicas: int | None = 1) -> Partition:
    return Partition(
        name=name, health=health, open=True, events=1, size_bytes=1, drift=0, replicas=replicas
    )


@pytest.mark.parametrize(
    ("partitions", "data_nodes", "said"),
    [
        pytest.param([], 3, [], id="no partition yet"),
        pytest.param([partition("a", "green")], 3, [], id="all is there"),
        pytest.param([partition("a", "", None)], 3, [], id="a closed one has no colour"),
        pytest.param(
            [partition("a", "red"), partition("b", "green")],
            2,
            [NO_COPY],
            id="no copy",
        ),
        pytest.param(
            [partition("a", "yellow")],
            1,
            [TOO_MANY],
            id="more copies than nodes",
        ),
        pytest.param(
            [partition("a", "yellow"), partition("b", "yellow", 2)],
            2,
            [
                "yellow: b: 3 copies are wanted, on 2 data nodes",
                "yellow: a: a copy is missing, all events are there; nothing, if a",
            ],
            id="each for its own reason",
        ),
        pytest.param(
            [partition(f"p{number}", "red") for number in range(7)],
            2,
            ["red: p0, p1, p2, p3, p4 and 2 more: "],
            id="many",
        ),
    ],
)
def test_missing_copies_are_told_with_the_next_step(
    partitions: list[Partition], data_nodes: int, said: list[str]
) -> None:
    found = [one.describe() for one in judge_copies(partitions, data_nodes)]
    assert len(found) == len(said)
    for line, start in zip(found, said, strict=True):
        assert line.startswith(start), line
