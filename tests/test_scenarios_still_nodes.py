"""A node that stands still until the others do without it, and what it answers when it goes on."""

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest
from opensearchpy import OpenSearch
from typing_extensions import override

from indexer.client import connect
from indexer.deletion import remove
from indexer.errors import RefusedError
from indexer.settings import IndexSettings
from tests.node_home import own_home
from tests.stream_reading import SETTLED_REFRESHES, ship
from tests.three_nodes import NAMES, ThreeNodes, await_slowly
from tests.webapi_api import write_events
from webapi.arrivals import Arrivals, Arrived, Place
from webapi.errors import UnavailableError
from webapi.query import Query, ScopedSearch
from webapi.storage import Storage
from webapi.storage_answer import Found

pytestmark = [pytest.mark.opensearch, pytest.mark.slow, pytest.mark.timeout(540)]

AT_ONCE: Final = 6
"""So many wait for it when it goes on; it learns soon that it is the primary no more."""
LOSS_SECONDS: Final = 180
"""Failed checks take 30 s, an election some more, and a busy machine makes all of it longer."""
QUEUED_SECONDS: Final = 45
"""Longer than anything stays in the queue of a cluster manager."""
ORGANIZATION: Final = "org_a"


@pytest.fixture(scope="module")
def nodes() -> Iterator[ThreeNodes]:
    with own_home() as home:
        yield ThreeNodes(home)


@pytest.fixture
def index(nodes: ThreeNodes) -> IndexSettings:
    return nodes.new_index()


@pytest.mark.nodes
def test_what_a_node_answers_that_stood_still_hides_nothing(
    nodes: ThreeNodes, index: IndexSettings, tmp_path: Path
) -> None:
    """Its answer is as of when it stopped, and comes when the others are further."""
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 9, _today())
    with nodes.cluster.client("writer") as writer:
        before = ship(writer, index, lines[:3])
    nodes.await_green()
    still = nodes.primary_of(f"{index.prefix}-events-*")
    others = nodes.seen_by(*(name for name in NAMES if name != still))
    waiting = msgspec.structs.replace(nodes.seen_by(still).connection(), timeout_seconds=90)
    with (
        connect(waiting, role="reader") as late,
        others.client("reader") as reader,
        others.client("writer") as writer,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        storage = Divided(Storage(late, index, 90), reader, index)
        arrivals = Arrivals(storage, index, SETTLED_REFRESHES)
        place = read_until(arrivals, Place(), before)
        storage.is_late = True
        # So that their connections are there when it goes on.
        assert [ids_of(page.result()) for page in ask(arrivals, Place(), pool)] == [
            set(before)
        ] * AT_ONCE
        with nodes.standing_still(still):
            nodes.await_loss_of(still, LOSS_SECONDS)
            after = ship(writer, index, lines[3:])
            see(arrivals, 3 * SETTLED_REFRESHES)
            asked = ask(arrivals, place, pool)
            time.sleep(2)
        found = [one for page in asked for one in answered(page)]
        storage.is_late = False
        for one in found:
            read_until(arrivals, one.place, set(after) - ids_of(one))
        read_until(arrivals, place, after)


@pytest.mark.nodes
def test_a_deletion_is_done_or_given_up_while_one_waits_for_it(
    nodes: ThreeNodes, index: IndexSettings
) -> None:
    """The cluster manager waits for a node for 30 s, and what it is told meanwhile waits behind."""
    done, given_up = (f"{index.prefix}-events-2026.{month}" for month in ("01", "02"))
    for name in (done, given_up):
        nodes.admin.indices.create(index=name)
    nodes.await_green()
    still = next(name for name in NAMES if name != nodes.manager())
    others = nodes.seen_by(*(name for name in NAMES if name != still))
    begun = time.monotonic()
    with others.admin() as admin, nodes.standing_still(still):
        remove(admin, done)
        with pytest.raises(RefusedError, match="process_cluster_event_timeout_exception"):
            remove(admin, given_up)
        nodes.await_loss_of(still, LOSS_SECONDS)
    nodes.await_green()
    time.sleep(max(0.0, begun + QUEUED_SECONDS - time.monotonic()))
    assert [nodes.admin.indices.exists(index=name) for name in (done, given_up)] == [False, True]


class Divided(Storage):
    """Asks the nodes that are there, and for what is found at times the one that stands still."""

    def __init__(self, late: Storage, reader: OpenSearch, index: IndexSettings) -> None:
        super().__init__(reader, index, 10)
        self._late = late
        self.is_late = False

    @override
    def search(
        self, search: ScopedSearch, indices: Sequence[str] = (), *, copy: str | None = None
    ) -> Found:
        if self.is_late:
            return self._late.search(search, indices, copy=copy)
        return super().search(search, indices, copy=copy)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def see(arrivals: Arrivals, seconds: float) -> None:
    """See how far the partitions are for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        arrivals.now()
        time.sleep(0.3)


def ask(arrivals: Arrivals, place: Place, pool: ThreadPoolExecutor) -> "list[Future[Arrived]]":
    """Ask for the same page several times at once."""
    return [
        pool.submit(arrivals.page, Query(organization_id=ORGANIZATION), place)
        for _ in range(AT_ONCE)
    ]


def answered(page: "Future[Arrived]") -> list[Arrived]:
    """What one of them answered; that it cannot is right as well."""
    try:
        return [page.result()]
    except UnavailableError:
        return []


def ids_of(page: Arrived) -> set[str]:
    return {msgspec.json.decode(hit.source)["id"] for hit in page.hits}


def read_until(arrivals: Arrivals, place: Place, wanted: Collection[str]) -> Place:
    """Read on until these came; returns the place behind them."""
    seen: set[str] = set()
    places = [place]

    def is_there() -> bool:
        try:
            page = arrivals.page(Query(organization_id=ORGANIZATION), places[-1])
        except UnavailableError:
            return False
        seen.update(ids_of(page))
        places.append(page.place)
        return seen >= set(wanted)

    await_slowly(is_there, lambda: f"{len(set(wanted) - seen)} of {len(wanted)} were passed", 40)
    return places[-1]
