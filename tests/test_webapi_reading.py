"""Pages that are filled from partitions, against one search over everything on a real node."""

import json
import random
import secrets
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from audit_events.envelope import decode_envelope
from audit_events.instant import format_instant, parse_instant
from indexer.client import ask
from indexer.document_id import document_id
from indexer.names import journal_name, late_name, partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.webapi_api import write_events
from webapi.arrivals import Arrivals, Place
from webapi.errors import NoCopyError, UnavailableError
from webapi.query import Position, Query, list_search
from webapi.reading import Reading, instant_of
from webapi.search_text import read_text
from webapi.storage import Storage
from webapi.storage_answer import Found

pytestmark = pytest.mark.opensearch

START = parse_instant("2026-02-26T00:00:00Z")
ACTIONS = ("member.invited", "app.created", "member.removed")
QUESTIONS = 150


class Scene:
    """Events of two organisations, of months and days mixed, with late ones and a journal."""

    def __init__(self, opensearch: Cluster, index: IndexSettings, directory: Path) -> None:
        self.index = index
        self.directory = directory
        self.reader = opensearch.client("reader")
        self.admin = opensearch.admin()
        self.storage = Storage(self.reader, index, 10)
        self.reading = Reading(self.storage, index, trusted_seconds=0)

    def store(self, name: str, moments: Sequence[str], organization: str = "org_a") -> list[str]:
        """Create an event at each moment in an index; return their ids."""
        events: list[dict[str, object]] = [
            {"action": ACTIONS[number % 3], "at": moment, "organization_id": organization}
            for number, moment in enumerate(moments)
        ]
        path = self.directory / f"{secrets.token_hex(6)}.log"
        lines = write_events(path, events, "2026-02-26T00:00:00Z")
        ids = [decode_envelope(line).id for line in lines]
        body = b"".join(
            b"%b\n%b\n" % (create_action(name, event_id), line)
            for event_id, line in zip(ids, lines, strict=True)
        )
        reply = ask(self.admin, "POST", "/_bulk", params={"refresh": "true"}, body=body)
        assert '"errors":false' in reply.text, reply.text
        return ids

    def fill(self) -> None:
        """February is a month, the beginning of March days, the rest of it a month again."""
        chance = random.Random(7)  # noqa: S311  # the same layout in each run
        for _ in range(30):
            moment = START + timedelta(hours=chance.randrange(24 * 14), seconds=chance.randrange(2))
            text = format_instant(moment)
            days = moment.month == 3 and moment.day < 8
            settings = replace_partition(self.index, "day" if days else "month")
            name = partition_name(text, settings)
            if chance.random() < 0.2:
                name = late_name(text, self.index)
            elif chance.random() < 0.1:
                name = journal_name(self.index)
            self.store(name, [text] * chance.randrange(1, 6), chance.choice(("org_a", "org_b")))

    def partitions(self) -> list[str]:
        return sorted(self.storage.list_indices())

    def seal(self, name: str) -> None:
        assert ask(self.admin, "PUT", f"/{name}/_block/write").status == 200

    def lose(self, name: str) -> None:
        """A sealed one without any copy, as when the disk of its only node is lost."""
        settings = {
            "index.routing.allocation.require._name": "nowhere",
            "index.blocks.write": True,
        }
        body = msgspec.json.encode({"settings": settings})
        made = ask(self.admin, "PUT", f"/{name}", params={"wait_for_active_shards": "0"}, body=body)
        assert made.status == 200, made.text

    def delete(self, name: str) -> None:
        assert ask(self.admin, "DELETE", f"/{name}").status == 200

    def settled(self) -> None:
        """What is sealed or quiet is believed to be so at once."""
        self.reading = Reading(self.storage, self.index, 0, trusted_seconds=0)


def replace_partition(settings: IndexSettings, partition: str) -> IndexSettings:
    return msgspec.structs.replace(settings, partition=partition)


@pytest.fixture
def scene(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Scene:
    return Scene(opensearch, index, tmp_path)


def ids(found: Found) -> list[str]:
    return [str(hit.sort[2]) for hit in found.hits.hits]


def same(scene: Scene, query: Query) -> Found:
    """Ask by partitions, and hold it to one search over all of them."""
    found = scene.reading.page(query)
    oracle = scene.storage.search(list_search(query))
    assert ids(found) == ids(oracle), query
    assert found.hits.total == oracle.hits.total, query
    return found


def random_query(chance: random.Random, place: Position | None) -> Query:
    since = START + timedelta(hours=chance.randrange(24 * 14))
    window = chance.random() < 0.5
    offset = 0 if place else chance.choice((0, 0, 1, 7, 60))
    return Query(
        organization_id=chance.choice(("org_a", "org_a", "org_b", "org_none")),
        actions=chance.choice(((), (), ("member.*",), ("app.created",), ("app.deleted",))),
        since=since if window else None,
        until=since + timedelta(hours=chance.randrange(1, 100)) if window else None,
        text=chance.choice((None, None, read_text("ana"), read_text("nobody"))),
        newest_first=chance.random() < 0.5,
        limit=chance.choice((1, 2, 5, 50, 200)),
        offset=offset,
        after=place,
    )


@pytest.mark.slow
def test_any_question_is_answered_as_by_one_search_over_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing sealed, then half of it, then all: counted live, partly and from memory."""
    scene.settled()
    scene.fill()
    monkeypatch.setattr("webapi.reading.OPEN_AT_MOST", 3)
    monkeypatch.setattr("webapi.reading.COUNTED_AT_ONCE", 2)
    chance = random.Random(11)  # noqa: S311  # the same questions in each run
    partitions = scene.partitions()
    for sealed in (0, len(partitions) // 2, len(partitions)):
        for name in partitions[:sealed]:
            scene.seal(name)
        place: Position | None = None
        for _ in range(QUESTIONS // 3):
            found = same(scene, random_query(chance, place))
            hits = found.hits.hits
            some = chance.choice(hits) if hits and chance.random() < 0.5 else None
            place = None if some is None else Position(some.sort[1], some.sort[2])


def test_a_long_list_of_names_goes_another_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapi.storage.MAX_PATH_BYTES", 10)
    scene.store(f"{scene.index.prefix}-events-2026.02", ["2026-02-27T00:00:00Z"] * 3)
    assert len(ids(same(scene, Query(organization_id="org_a", limit=2)))) == 3
    scene.delete(f"{scene.index.prefix}-events-2026.02")
    assert ids(same(scene, Query(organization_id="org_a"))) == []


def test_a_partition_that_is_new_or_gone_is_so_in_the_next_answer(
    scene: Scene,
) -> None:
    """The first list does not know the second partition, the second one names a deleted one."""
    scene.settled()
    query = Query(organization_id="org_a", limit=1)
    prefix = scene.index.prefix
    assert ids(same(scene, query)) == []
    scene.store(f"{prefix}-events-2026.02", ["2026-02-27T00:00:00Z"] * 3)
    first = same(scene, query).hits.hits[0]
    scene.store(f"{prefix}-late-2026.01", ["2026-01-27T00:00:00Z"] * 2)
    scene.store(f"{prefix}-events-2026.01", ["2026-01-26T00:00:00Z"] * 2)
    assert same(scene, query).hits.total.value == 7
    scene.seal(f"{prefix}-events-2026.01")
    assert same(scene, query).hits.total.value == 7
    scene.delete(f"{prefix}-events-2026.01")
    rest = replace(query, after=Position(first.sort[1], first.sort[2]), limit=50)
    assert len(ids(same(scene, rest))) == 4
    assert same(scene, query).hits.total.value == 5


def test_a_sealed_partition_that_is_opened_or_made_anew_is_counted_anew(
    scene: Scene,
) -> None:
    scene.settled()
    query = Query(organization_id="org_a", limit=1)
    old, newer = (f"{scene.index.prefix}-events-2026.{month}" for month in ("01", "02"))
    scene.store(old, ["2026-01-27T00:00:00Z"] * 3)
    scene.store(newer, ["2026-02-27T00:00:00Z"] * 3)
    scene.seal(old)
    for _ in range(2):
        assert same(scene, query).hits.total.value == 6
    opened = msgspec.json.encode({"index.blocks.write": False})
    assert ask(scene.admin, "PUT", f"/{old}/_settings", body=opened).status == 200
    scene.store(old, ["2026-01-27T00:00:00Z"])
    assert same(scene, query).hits.total.value == 7
    scene.delete(old)
    scene.store(old, ["2026-01-27T00:00:00Z"])
    scene.seal(old)
    assert same(scene, query).hits.total.value == 4


def test_a_partition_that_is_just_being_sealed_is_not_remembered(scene: Scene) -> None:
    """What was written before the block may not be found yet; so it is counted each time."""
    query = Query(organization_id="org_a", limit=1)
    old, newer = (f"{scene.index.prefix}-events-2026.{month}" for month in ("01", "02"))
    slow = msgspec.json.encode({"index.refresh_interval": "-1"})
    scene.store(newer, ["2026-02-27T00:00:00Z"] * 3)
    (first,) = scene.store(old, ["2026-01-27T00:00:00Z"])
    assert ask(scene.admin, "PUT", f"/{old}/_settings", body=slow).status == 200
    line = ask(scene.admin, "GET", f"/{old}/_doc/{document_id(first)}").text
    again = json.dumps(json.loads(line)["_source"]).encode()
    made = ask(scene.admin, "PUT", f"/{old}/_create/{secrets.token_hex(8)}", body=again)
    assert made.status == 201
    scene.seal(old)
    # As a rule 4; a refresh that was under way may have found it.
    assert scene.reading.page(query).hits.total.value in {4, 5}
    # As a rule 4; a refresh that was under way may have found it.
    assert scene.reading.page(query).hits.total.value in {4, 5}
    assert ask(scene.admin, "POST", f"/{old}/_refresh").status == 200
    assert scene.reading.page(query).hits.total.value == 5


def test_what_is_remembered_is_not_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.settled()
    prefix = scene.index.prefix
    for month in (1, 2, 3):
        name = f"{prefix}-events-2026.{month:02}"
        scene.store(name, [f"2026-{month:02}-05T00:00:00Z"] * 3)
        scene.seal(name)
    asked = watch(scene, monkeypatch)
    query = Query(organization_id="org_a", limit=2)
    assert len(ids(same(scene, query))) == 3
    asked.clear()
    assert len(ids(scene.reading.page(query))) == 3
    (names,) = asked
    assert f"{prefix}-events-2026.03" in names
    assert f"{prefix}-events-2026.02" not in names


def test_a_partition_that_lost_its_primary_keeps_no_other_from_being_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.settled()
    prefix = scene.index.prefix
    names = [f"{prefix}-events-2026.{month:02}" for month in (2, 3)]
    for month, name in enumerate(names, 2):
        scene.store(name, [f"2026-{month:02}-05T00:00:00Z"] * 3)
        scene.seal(name)
    lost = f"{prefix}-events-2026.01"
    scene.lose(lost)
    assert scene.storage.refresh([lost, *names, f"{prefix}-events-2025.12"]) == names
    since = parse_instant("2026-02-01T00:00:00Z")
    query = Query(organization_id="org_a", limit=2, since=since)
    for _ in range(2):
        assert scene.reading.page(query).hits.total.value == 6
    arrived = Arrivals(scene.storage, scene.index, 0).page(query, Place())
    assert len(arrived.hits) == 2, "what is there comes, and no defect of ours"
    asked = watch(scene, monkeypatch)
    assert len(ids(scene.reading.page(query))) == 3
    assert [set(one) & set(names) for one in asked] == [{names[-1]}]
    with pytest.raises(UnavailableError):
        scene.reading.page(replace(query, since=None))


def test_what_is_added_to_an_older_partition_is_in_the_next_answer(scene: Scene) -> None:
    """Nothing is remembered of what may grow, not even that nothing was there."""
    prefix = scene.index.prefix
    scene.store(f"{prefix}-events-2026.01", ["2026-01-05T00:00:00Z"] * 9)
    for month in (2, 3):
        scene.store(f"{prefix}-events-2026.{month:02}", [f"2026-{month:02}-05T00:00:00Z"], "org_b")
    query = Query(organization_id="org_a", limit=2)
    for month in (3, 2):
        for _ in range(2):
            same(scene, query)
        scene.store(f"{prefix}-events-2026.{month:02}", [f"2026-{month:02}-06T00:00:00Z"])
    assert same(scene, query).hits.total.value == 11


def test_a_quiet_partition_is_not_asked_and_what_it_takes_is_in_the_next_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapi.listing.PATIENCE_SECONDS", 30.0)
    scene.settled()
    names = [f"{scene.index.prefix}-events-2026.03.{day:02}" for day in range(1, 7)]
    for day, name in enumerate(names, 1):
        scene.store(name, [f"2026-03-{day:02}T00:00:00Z"] * 3)
    query = Query(organization_id="org_a", limit=2)
    same(scene, query)
    asked = watch(scene, monkeypatch)
    found = scene.reading.page(query)
    assert (len(ids(found)), found.hits.total.value) == (3, 18)
    (first,) = asked
    assert set(first) & set(names) == {names[-1]}
    scene.store(names[0], ["2026-03-01T12:00:00Z"])
    assert same(scene, query).hits.total.value == 19
    scene.store(names[2], ["2026-03-03T12:00:00Z"], "org_b")
    assert same(scene, query).hits.total.value == 19


def test_the_second_time_all_that_fill_the_page_are_asked_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first one that was asked, too, it is known that it does not fill the page alone."""
    scene.settled()
    for month in (1, 2, 3):
        name = f"{scene.index.prefix}-events-2026.{month:02}"
        scene.store(name, [f"2026-{month:02}-05T00:00:00Z"] * 2)
        scene.seal(name)
    query = Query(organization_id="org_a", limit=3)
    assert len(ids(same(scene, query))) == 4
    asked = watch(scene, monkeypatch)
    assert len(ids(scene.reading.page(query))) == 4
    assert len(asked) == 1


def test_a_text_is_asked_of_each_partition_that_was_counted_by_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either order, and page by page, it is the answer of one search over all."""
    scene.settled()
    names = [f"{scene.index.prefix}-events-2026.{month:02}" for month in (1, 2, 3)]
    for month, name in enumerate(names, 1):
        moments = [f"2026-{month:02}-05T00:00:00Z", f"2026-{month:02}-06T00:00:00Z"]
        scene.store(name, moments)
        scene.seal(name)
    query = Query(organization_id="org_a", text=read_text("ana"), limit=4)
    assert len(ids(same(scene, query))) == 5
    groups: list[Sequence[Sequence[str]]] = []
    search: Callable[..., Sequence[Found]] = scene.storage.search_apart

    def watched(wanted: object, asked: Sequence[Sequence[str]]) -> Sequence[Found]:
        groups.append(asked)
        return search(wanted, asked)

    monkeypatch.setattr(scene.storage, "search_apart", watched)
    first = same(scene, query)
    assert [[name] in list(map(list, groups[0])) for name in names] == [True, True, True]
    last = first.hits.hits[3]
    behind = replace(query, after=Position(last.sort[1], last.sort[2]))
    assert len(ids(same(scene, behind))) == 2
    assert len(ids(same(scene, replace(query, newest_first=False)))) == 5
    assert len(groups) == 3


def test_a_partition_that_is_gone_is_not_missing_from_a_text_without_a_word(
    scene: Scene,
) -> None:
    scene.settled()
    for month in (1, 2):
        name = f"{scene.index.prefix}-events-2026.{month:02}"
        scene.store(name, [f"2026-{month:02}-05T00:00:00Z"])
        scene.seal(name)
    query = Query(organization_id="org_a", text=read_text("ana"))
    assert len(ids(same(scene, query))) == 2
    assert len(ids(same(scene, query))) == 2
    name = f"{scene.index.prefix}-events-2026.01"
    assert ask(scene.admin, "POST", f"/{name}/_close").status == 200
    with pytest.raises(UnavailableError):
        scene.reading.page(query)
    scene.delete(name)
    assert len(ids(same(scene, query))) == 1


def watch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    asked: list[Sequence[str]] = []
    search: Callable[..., Found] = scene.storage.search

    def watched(wanted: object, indices: Sequence[str] = ()) -> Found:
        asked.append(indices)
        return search(wanted, indices)

    monkeypatch.setattr(scene.storage, "search", watched)
    return asked


def test_a_closed_partition_is_an_error_and_no_silent_half(scene: Scene) -> None:
    old, newer = (f"{scene.index.prefix}-events-2026.{month}" for month in ("01", "02"))
    scene.store(old, ["2026-01-27T00:00:00Z"])
    scene.store(newer, ["2026-02-27T00:00:00Z"] * 3)
    assert ask(scene.admin, "POST", f"/{old}/_close").status == 200
    with pytest.raises(UnavailableError) as caught:
        scene.reading.page(Query(organization_id="org_a", limit=1))
    assert caught.value.code == "storage_incomplete"
    inside = parse_instant("2026-02-01T00:00:00Z")
    found = scene.reading.page(Query(organization_id="org_a", limit=1, since=inside))
    assert found.hits.total.value == 3, "the closed one cannot hold any event of this window"


def test_a_hidden_partition_is_read_as_any_other(scene: Scene) -> None:
    """Anybody who may change settings can hide one, and patterns pass over it without a word."""
    old, newer = (f"{scene.index.prefix}-events-2026.{month}" for month in ("01", "02"))
    (hidden,) = scene.store(old, ["2026-01-27T00:00:00Z"])
    scene.store(newer, ["2026-02-27T00:00:00Z"] * 3)
    hide = msgspec.json.encode({"index.hidden": True})
    for name in (old, newer):
        assert ask(scene.admin, "PUT", f"/{name}/_settings", body=hide).status == 200
    found = same(scene, Query(organization_id="org_a", limit=1))
    assert found.hits.total.value == 4
    assert ids(scene.reading.event("org_a", hidden)) == [hidden]
    assert scene.reading.present("org_a", [ACTIONS[0]]) == {ACTIONS[0]}


def test_one_event_is_found_wherever_it_is(scene: Scene) -> None:
    """Its id tells when it was made; its timestamp, which decides on the partition, is another."""
    (old,) = scene.store(f"{scene.index.prefix}-events-2020.01", ["2020-01-27T00:00:00Z"])
    (foreign,) = scene.store(f"{scene.index.prefix}-late-2026.02", ["2026-02-27T00:00:00Z"], "b")
    assert ids(scene.reading.event("org_a", old)) == [old]
    assert ids(scene.reading.event("org_a", foreign)) == []
    assert ids(scene.reading.event("b", foreign)) == [foreign]


def test_an_event_that_is_stored_under_its_id_itself_is_found_by_it(scene: Scene) -> None:
    """So it is in the first partitions; the others have it in base64url."""
    (now,) = scene.store(f"{scene.index.prefix}-events-2026.02", ["2026-02-27T00:00:00Z"])
    source = json.loads(ask(scene.admin, "GET", _place(scene, now)).text)["_source"]
    then = str(uuid.uuid4())
    path = f"/{scene.index.prefix}-events-2026.01/_create/{then}"
    line = json.dumps({**source, "id": then}).encode()
    assert ask(scene.admin, "PUT", path, params={"refresh": "true"}, body=line).status == 201
    assert ids(scene.reading.event("org_a", then)) == [then]
    for text in (then, f"id:{then}"):
        found = scene.reading.page(Query(organization_id="org_a", text=read_text(text)))
        assert ids(found) == [then]


def _place(scene: Scene, event_id: str) -> str:
    return f"/{scene.index.prefix}-events-2026.02/_doc/{document_id(event_id)}"


@pytest.mark.parametrize(
    ("event_id", "instant"),
    [
        pytest.param("019c9d2a-5c00-7000-8000-000000000000", True, id="version 7"),
        pytest.param("019c9d2a-5c00-4000-8000-000000000000", False, id="random"),
        pytest.param("ffffffff-ffff-7fff-bfff-ffffffffffff", False, id="after the last year"),
        pytest.param("00000000-0000-7000-8000-000000000000", True, id="1970"),
    ],
)
def test_only_an_id_with_a_time_is_a_hint(event_id: str, instant: bool) -> None:  # noqa: FBT001  # a case
    assert (instant_of(event_id) is not None) is instant


ALLOCATION = "index.routing.allocation.enable"


def make_without_copy(scene: Scene, name: str) -> None:
    made = msgspec.json.encode({"settings": {ALLOCATION: "none"}})
    parameters = {"wait_for_active_shards": "0"}
    assert ask(scene.admin, "PUT", f"/{name}", params=parameters, body=made).status == 200


def swept(scene: Scene, query: Query) -> list[str]:
    with closing(scene.reading.sweep(query)) as sweep:
        return [str(hit.sort[2]) for hit in sweep.hits()]


def asked_apart(scene: Scene, query: Query) -> list[str]:
    groups = [[name] for name in scene.partitions()]
    found = scene.storage.search_apart(list_search(query), groups)
    return [one for part in found for one in ids(part)]


@pytest.mark.parametrize(
    "asking",
    [
        pytest.param(lambda scene, query: ids(scene.reading.page(query)), id="list"),
        pytest.param(asked_apart, id="text over counted partitions"),
        pytest.param(
            lambda scene, query: ids(scene.reading.over(list_search(query), None, None)),
            id="incident and facets",
        ),
        pytest.param(swept, id="export"),
    ],
)
def test_a_partition_whose_primary_starts_is_waited_for(
    scene: Scene, asking: Callable[[Scene, Query], list[str]]
) -> None:
    """Its primary starts 0.4 s after it was made, as on a busy node; it was a refusal."""
    old, new = (f"{scene.index.prefix}-events-2026.{month}" for month in ("02", "03"))
    stored = scene.store(old, ["2026-02-27T00:00:00Z"] * 3)
    make_without_copy(scene, new)
    let = msgspec.json.encode({ALLOCATION: "all"})
    start = threading.Timer(0.4, lambda: ask(scene.admin, "PUT", f"/{new}/_settings", body=let))
    start.start()
    try:
        assert sorted(asking(scene, Query(organization_id="org_a"))) == sorted(stored)
    finally:
        start.join()


def test_a_partition_that_stays_without_a_copy_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapi.patience.START_SECONDS", 0.3)
    make_without_copy(scene, f"{scene.index.prefix}-events-2026.03")
    for _ in range(2):
        with pytest.raises(NoCopyError) as caught:
            scene.reading.page(Query(organization_id="org_a"))
        assert caught.value.code == "storage_incomplete"
