"""Scenario 26: the whole path under fire; what was logged is stored, once and unaltered.

INDELIBLE_TEST_CHAOS_SEED says with which seed, INDELIBLE_TEST_CHAOS_RUNS how many of them, one
after the other. `bench/chaos.py` prints a table of them.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import node
from tests.chaos import NodeWorld, Plan, run
from tests.node_home import node_config, own_home

FIRST: Final = int(os.environ.get("INDELIBLE_TEST_CHAOS_SEED") or time.time() % 100_000)
RUNS: Final = int(os.environ.get("INDELIBLE_TEST_CHAOS_RUNS") or 1)
EVENTS: Final = 20_000


@pytest.fixture(scope="module")
def world() -> Iterator[NodeWorld]:
    with own_home() as home:
        config = node_config(home)
        yield NodeWorld(config, node.start(config))


@pytest.mark.opensearch
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(RUNS))
def test_what_was_logged_is_stored_once_and_unaltered_whatever_happens(
    tmp_path: Path, world: NodeWorld, number: int
) -> None:
    seed = FIRST + number
    print(f"INDELIBLE_TEST_CHAOS_SEED={seed}")  # noqa: T201  # shown when it fails
    outcome = run(tmp_path, world, seed, Plan(events=EVENTS))
    print(outcome)  # noqa: T201
    assert outcome.is_clean, outcome
