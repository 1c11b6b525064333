"""A cluster of three nodes with one replica, and nodes that go and come back, under load.

Four agents ship what applications write, and the API is read all the time: 300 events/s in all, as
three servers share the cores with everything else; `make test-nodes` writes 1,500.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.node_home import own_home
from tests.node_traffic import Account, Answer, Traffic, traffic
from tests.stream_reading import ship
from tests.three_nodes import NAMES, ThreeNodes, await_slowly
from tests.webapi_api import write_events
from webapi.query import Query, total_search
from webapi.storage import Storage

# Three servers, four agents and an API on perhaps two cores.
pytestmark = [pytest.mark.opensearch, pytest.mark.slow, pytest.mark.timeout(540)]

UNAVAILABLE_SECONDS: Final = 30.0
"""How long after a node is lost an answer may be a 503: an election, and what it promotes. Most
runs see none (docs/operations.md has the times)."""
LONGEST_ANSWER_SECONDS: Final = 15.0
WARM_BYTES: Final = 1 << 20
PATIENCE_SECONDS: Final = 300.0
"""As a rule all is green again after 75 s, and once it was after more than 150: three nodes, the
agents and the load share two cores."""
ORGANIZATIONS: Final = ("_system", "x" * 200, "a&b=/|,é", *map(str, range(17)))
READS_OF_EACH: Final = 6
GOOD: Final = 200
UNAVAILABLE: Final = 503


@pytest.fixture(scope="module")
def nodes() -> Iterator[ThreeNodes]:
    with own_home() as home:
        yield ThreeNodes(home)


@pytest.fixture
def index(nodes: ThreeNodes) -> IndexSettings:
    return nodes.new_index()


def test_no_answer_goes_back_behind_the_one_before(
    nodes: ThreeNodes, index: IndexSettings, tmp_path: Path
) -> None:
    """Copies refresh at different moments: here one has, and the other one has not."""
    today = f"{datetime.now(UTC):%Y-%m-%dT00:00:00.000000Z}"
    events = [{"action": "app.created", "organization_id": one} for one in ORGANIZATIONS]
    name = partition_name(today, index)
    never = {"settings": {"index.refresh_interval": "-1"}}
    nodes.admin.indices.create(index=name, body=never)
    nodes.await_green()
    with nodes.cluster.client("writer") as writer:
        ship(writer, index, write_events(tmp_path / "e", events, today))
    with nodes.cluster.client("reader") as reader:
        storage = Storage(reader, index, 10)
        assert storage.refresh([name]) == [name]
        seen = {
            one: {total for _ in range(READS_OF_EACH) for total in totals(storage, one, name)}
            for one in ORGANIZATIONS
        }
    assert {one: found for one, found in seen.items() if len(found) > 1} == {}
    # All copies have their share of the work.
    assert {total for found in seen.values() for total in found} == {0, 1}


def totals(storage: Storage, organization_id: str, name: str) -> Iterator[int]:
    """In each of the ways in which an answer can be had."""
    search = total_search(Query(organization_id=organization_id))
    yield storage.search(search).hits.total.value
    # More names than a path has room for go another way.
    yield storage.search(search, [name] * 200).hits.total.value
    yield from (found.hits.total.value for found in storage.search_apart(search, [[name]]))
    pinned = storage.pin(organization_id, [name])
    assert pinned
    yield storage.search_pinned(search, pinned).hits.total.value
    storage.unpin(pinned)


def test_a_killed_node_costs_no_event_and_reads_go_on(
    nodes: ThreeNodes, index: IndexSettings, tmp_path: Path
) -> None:
    """What was acknowledged is found while a node is away: the cluster manager, then another."""
    with traffic(tmp_path, nodes.cluster, index) as load:
        await_warm(load, nodes)
        manager = nodes.manager()
        lost_at = [kill_and_return(load, nodes, manager)]
        candidates = (nodes.primary_of(f"{index.prefix}-events-*"), *NAMES)
        lost_at.append(
            kill_and_return(load, nodes, next(one for one in candidates if one != manager))
        )
        account = load.end(PATIENCE_SECONDS)
    check(account, load.answers, lost_at)


@pytest.mark.nodes
def test_nodes_that_are_restarted_in_turn_cost_no_event(
    nodes: ThreeNodes, index: IndexSettings, tmp_path: Path
) -> None:
    """As docs/operations.md has it, step by step."""
    lost_at: list[float] = []
    with traffic(tmp_path, nodes.cluster, index) as load:
        await_warm(load, nodes)
        for name in NAMES:
            nodes.allow("primaries")
            load.flush()
            lost_at.append(nodes.stop(name))
            nodes.await_loss_of(name)
            nodes.start(name)
            nodes.allow(None)
            nodes.await_green(PATIENCE_SECONDS)
            took = time.monotonic() - lost_at[-1]
            tell(f"{name} restarted and green again in {took:.1f} s")
            tell_errors(load.answers, lost_at[-1])
        account = load.end(PATIENCE_SECONDS)
    check(account, load.answers, lost_at)


def await_warm(load: Traffic, nodes: ThreeNodes) -> None:
    """Events flow, and every partition has its replica."""
    await_slowly(lambda: load.settled_bytes() > WARM_BYTES, load.said, PATIENCE_SECONDS)
    nodes.await_green(PATIENCE_SECONDS)


def kill_and_return(load: Traffic, nodes: ThreeNodes, name: str) -> float:
    """Kill a node, look for what was acknowledged, start it again; returns when it was killed."""
    role = "the cluster manager" if name == nodes.manager() else "another node"
    load.flush()
    found = load.found()
    acknowledged = load.acknowledged()
    killed = nodes.kill(name)
    elected = nodes.await_loss_of(name) - killed
    load.await_shipped(PATIENCE_SECONDS)
    shipped = time.monotonic() - killed
    still_found = load.found()
    assert found
    assert acknowledged
    assert found <= still_found, f"{len(found - still_found)} were found before"
    assert acknowledged <= still_found, f"{len(acknowledged - still_found)} were acknowledged"
    begun = time.monotonic()
    nodes.start(name)
    served = time.monotonic() - begun
    nodes.await_green(PATIENCE_SECONDS)
    green = time.monotonic() - begun
    tell(
        f"{name}, {role}, killed after {len(acknowledged):,} events: left out after {elected:.1f} s"
        f", all shipped that was written by then after {shipped:.1f} s; started again, it served "
        f"after {served:.1f} s, and all was green after {green:.1f} s"
    )
    tell_errors(load.answers, killed)
    return killed


def tell_errors(answers: list[Answer], lost_at: float) -> None:
    """Say how the API answered since then."""
    since = [one for one in answers if one.at >= lost_at]
    failed = [one for one in since if one.status != GOOD]
    last = max((one.at + one.seconds - lost_at for one in failed), default=0.0)
    slowest = max((one.seconds for one in since), default=0.0)
    tell(
        f"  {len(since)} reads, {len(failed)} of them failed, the last {last:.1f} s after it; the "
        f"slowest took {slowest:.2f} s"
    )
    for one in failed[:10]:
        tell(f"  {one.at - lost_at:.2f} s: {one.status} in {one.seconds:.2f} s: {one.body}")


def check(account: Account, answers: list[Answer], lost_at: list[float]) -> None:
    """Nothing is lost; an answer is whole, or a 503 that says when to ask again."""
    tell(f"{account}; {len(answers)} reads")
    assert (account.lost, account.twice, account.altered, account.buried) == (0, 0, 0, 0)
    failed = [one for one in answers if one.status != GOOD]
    assert [one for one in failed if one.status != UNAVAILABLE or not one.retry_after] == []
    assert [one for one in failed if not is_soon_after(one, lost_at)] == []
    assert max(one.seconds for one in answers) < LONGEST_ANSWER_SECONDS


def is_soon_after(answer: Answer, lost_at: list[float]) -> bool:
    """Whether an answer came within the bound after a node was lost."""
    ended = answer.at + answer.seconds
    return any(0 <= ended - one <= UNAVAILABLE_SECONDS for one in lost_at)


def tell(text: str) -> None:
    """Shown with `-s`, and where the test fails."""
    print(text, flush=True)  # noqa: T201  # measured times, for whoever runs it
