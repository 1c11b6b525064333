"""Reading on by arrival while partitions refresh at odd moments, or not at all."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from opensearchpy import NotFoundError, OpenSearch

from indexer.document_id import document_id
from indexer.names import partition_name
from indexer.settings import IndexSettings
from indexer.templates import install
from tests.cluster import Cluster
from tests.stream_reading import SETTLED_REFRESHES, api_of, follow, page, ship, until_settled
from tests.webapi_api import Api, write_events
from webapi.errors import IndexGoneError
from webapi.query import Query, list_search
from webapi.storage import Storage

pytestmark = pytest.mark.opensearch


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings) -> Api:
    return api_of(opensearch, index)


@pytest.fixture
def writer(opensearch: Cluster) -> Iterator[OpenSearch]:
    with opensearch.client("writer") as client:
        yield client


class Begun(NamedTuple):
    """A partition of which one event was read, and what may still be shipped to it."""

    name: str
    cursor: str
    rest: list[bytes]


@pytest.fixture
def begun(api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path) -> Begun:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 4, "2026-03-15")
    ship(writer, index, lines[:1])
    _, cursor = until_settled(api, page(api, "start=beginning")["cursor"])
    return Begun(partition_name("2026-03-15T00:00:00.000000Z", index), cursor, lines[1:])


def pause(admin: OpenSearch, name: str) -> None:
    admin.indices.put_settings(index=name, body={"index.refresh_interval": "-1"})


def block(admin: OpenSearch, name: str, *, writes: bool) -> None:
    admin.indices.put_settings(index=name, body={"index.blocks.write": writes})


def test_what_waits_for_a_refresh_is_not_passed_however_long_that_takes(
    opensearch: Cluster, api: Api, writer: OpenSearch, index: IndexSettings, begun: Begun
) -> None:
    cursor = begun.cursor
    with opensearch.admin() as admin:
        pause(admin, begun.name)
        wanted = ship(writer, index, begun.rest)
        found = page(api, f"after={cursor}")
        end = time.monotonic() + SETTLED_REFRESHES + 3
        while time.monotonic() < end:
            found = page(api, f"after={cursor}")
            assert found["events"] == []
            cursor = found["cursor"]
            time.sleep(0.3)
        assert found["more"], "nobody takes that for the end"
        admin.indices.refresh(index=begun.name)
    assert follow(api, cursor)[0] == wanted


@pytest.mark.parametrize("what", ["flush", "realtime"])
def test_what_left_the_memory_of_the_writer_is_not_passed_before_it_can_be_found(
    opensearch: Cluster, index: IndexSettings, writer: OpenSearch, begun: Begun, what: str
) -> None:
    api = api_of(opensearch, index)
    with opensearch.admin() as admin:
        pause(admin, begun.name)
        wanted = ship(writer, index, begun.rest)
        if what == "flush":
            admin.indices.flush(index=begun.name)
        else:
            admin.get(index=begun.name, id=document_id(wanted[-1]), params={"realtime": "true"})
    assert until_settled(api, begun.cursor)[0] == wanted


def test_a_seal_before_the_refresh_hides_nothing(
    opensearch: Cluster, api: Api, writer: OpenSearch, index: IndexSettings, begun: Begun
) -> None:
    with opensearch.admin() as admin:
        pause(admin, begun.name)
        wanted = ship(writer, index, begun.rest)
        block(admin, begun.name, writes=True)
        found, cursor = until_settled(api, begun.cursor)
        admin.indices.refresh(index=begun.name)
    assert found + until_settled(api, cursor)[0] == wanted


def test_a_seal_that_is_lifted_and_put_again_hides_nothing(
    opensearch: Cluster, api: Api, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e", [{"action": "app.created"}] * 4, "2026-03-15")
    ship(writer, index, lines[:1])
    name = partition_name("2026-03-15T00:00:00.000000Z", index)
    with opensearch.admin() as admin:
        block(admin, name, writes=True)
        _, cursor = until_settled(api, page(api, "start=beginning")["cursor"])
        block(admin, name, writes=False)
        cursor = page(api, f"after={cursor}")["cursor"]
        wanted = ship(writer, index, lines[1:])
        block(admin, name, writes=True)
    assert until_settled(api, cursor)[0][-3:] == wanted


def test_what_is_not_there_is_not_refreshed(
    opensearch: Cluster, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    ship(writer, index, write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15"))
    name = partition_name("2026-03-15T00:00:00.000000Z", index)
    gone = partition_name("2026-02-15T00:00:00.000000Z", index)
    with opensearch.client("reader") as reader:
        storage = Storage(reader, index, 10)
        (there,) = storage.checkpoints([name]).values()
        assert storage.refresh([name, gone], there.copy) == [name]
        assert storage.refresh([name], "of no node") == []


def test_what_no_longer_lies_where_it_did_is_looked_for_anew(
    opensearch: Cluster, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    ship(writer, index, write_events(tmp_path / "e", [{"action": "app.created"}], "2026-03-15"))
    name = partition_name("2026-03-15T00:00:00.000000Z", index)
    search = list_search(Query(organization_id="org_a"))
    with opensearch.client("reader") as reader:
        storage = Storage(reader, index, 10)
        (there,) = storage.checkpoints([name]).values()
        storage.refresh([name])
        assert len(storage.search(search, [name], copy=there.copy).hits.hits) == 1
        with pytest.raises(IndexGoneError):
            storage.search(search, [name], copy="of no node")


CLOCKS = (
    "2026-03-15T10:00:00.000000Z",
    "2026-03-15T09:00:00.000000Z",
    "2025-01-01T00:00:00.000000Z",
)


class Agents:
    """Three that ship at once into three partitions, each with a clock of its own."""

    def __init__(self, opensearch: Cluster, index: IndexSettings, home: Path) -> None:
        self.ids: list[str] = []
        self._opensearch = opensearch
        self._index = index
        self._home = home
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(3)]

    def start(self) -> None:
        for one in self._threads:
            one.start()

    def are_done(self) -> bool:
        return not any(one.is_alive() for one in self._threads)

    def _run(self, number: int) -> None:
        with self._opensearch.client("writer") as client:
            for turn in range(12):
                events = [
                    {"action": "app.created", "at": f"2026-0{1 + (turn + each) % 3}-15"}
                    for each in range(15)
                ]
                lines = write_events(self._home / f"{number}-{turn}", events, "2026-03-15")
                self.ids += ship(client, self._index, lines, CLOCKS[number])
                time.sleep(0.2 * number)


class Disturber:
    """Does to the partitions what operators, other readers and a busy cluster do."""

    def __init__(self, admin: OpenSearch, index: IndexSettings, ids: Sequence[str]) -> None:
        self._admin = admin
        self._index = index
        self._ids = ids
        self._chance = Random(1)  # noqa: S311  # chooses what to try, no secret
        self._disturbances = (self._flush, self._look_up, self._merge, self._pause)

    def disturb(self) -> None:
        """Do one thing to one partition."""
        name = partition_name(
            f"2026-0{self._chance.randint(1, 3)}-15T00:00:00.000000Z", self._index
        )
        # Before the first event there is no such index.
        with suppress(NotFoundError):
            self._chance.choice(self._disturbances)(name)

    def end(self) -> None:
        """Let all refresh by themselves again."""
        self._admin.indices.put_settings(
            index=f"{self._index.prefix}-events-*", body={"index.refresh_interval": "1s"}
        )

    def _flush(self, name: str) -> None:
        self._admin.indices.flush(index=name)

    def _look_up(self, name: str) -> None:
        if self._ids:
            self._admin.get(index=name, id=document_id(self._ids[-1]))

    def _merge(self, name: str) -> None:
        self._admin.indices.forcemerge(index=name)

    def _pause(self, name: str) -> None:
        pause(self._admin, name)


@pytest.mark.slow
def test_nothing_is_missed_whatever_clocks_and_refreshes_do(
    opensearch: Cluster, tmp_path: Path
) -> None:
    with (
        opensearch.own_prefix() as made,
        opensearch.client("lifecycle") as lifecycle,
        opensearch.admin() as admin,
    ):
        index = msgspec.structs.replace(made, refresh_interval_seconds=2)
        install(lifecycle, index)
        api = api_of(opensearch, index)
        cursor = page(api, "start=now")["cursor"]
        agents = Agents(opensearch, index, tmp_path)
        disturber = Disturber(admin, index, agents.ids)
        agents.start()
        found: list[str] = []
        end = time.monotonic() + 3 * index.refresh_interval_seconds * SETTLED_REFRESHES
        while time.monotonic() < end or not agents.are_done():
            disturber.disturb()
            answer = page(api, f"after={cursor}&limit=40")
            cursor = answer["cursor"]
            found += [event["id"] for event in answer["events"]]
            time.sleep(0 if answer["events"] else 0.2)
        disturber.end()
        found += until_settled(api, cursor)[0]
        assert len(agents.ids) == 540
        assert sorted(found) == sorted(agents.ids)
