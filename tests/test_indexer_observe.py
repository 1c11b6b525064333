"""What is seen of partitions on a real node, and in how many requests."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from opensearchpy import OpenSearch

from audit_events.instant import parse_instant
from indexer.client import ask
from indexer.errors import RefusedError
from indexer.observe import SEARCHES, Records, Sealed, observe
from indexer.partitions import list_partitions
from indexer.settings import IndexSettings
from indexer.span import span_of
from tests.cluster import Cluster
from tests.faults import UNREACHABLE, Fault, Faults, connect_through
from tests.lines import batch_of, event_line

pytestmark = pytest.mark.opensearch

FIRST = "2026-01-03T10:00:00.000001Z"
LAST = "2026-01-30T10:00:00.999999Z"


@pytest.fixture
def lifecycle(opensearch: Cluster) -> Generator[OpenSearch]:
    with opensearch.client("lifecycle") as client:
        yield client


@pytest.fixture
def reader(opensearch: Cluster) -> Generator[OpenSearch]:
    with opensearch.client("reader") as client:
        yield client


def write(opensearch: Cluster, settings: IndexSettings, *timestamps: str) -> None:
    batch = batch_of(settings, [event_line(timestamp=one) for one in timestamps])
    body = batch.body(list(range(len(timestamps))))
    with opensearch.client("writer") as client:
        assert ask(client, "POST", "/_bulk", body=body, params={"refresh": "true"}).status == 200


def test_a_partition_shows_what_it_holds(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch, reader: OpenSearch
) -> None:
    assert observe(lifecycle, reader, index) == []
    write(opensearch, index, LAST, FIRST, "2026-02-01T00:00:00.000000Z")
    early, later = observe(lifecycle, reader, index)
    assert (early.name, early.kind) == (f"{index.prefix}-events-2026.01", "events")
    assert early.span == span_of(early.name, index)
    assert (early.events, early.first, early.last) == (2, parse_instant(FIRST), parse_instant(LAST))
    assert (early.open, early.blocked, early.exists) == (True, False, True)
    assert (early.size_bytes or 0) > 0
    assert (early.segments or 0) > 0
    assert later.first == later.last == datetime(2026, 2, 1, tzinfo=UTC)
    assert early.uuid
    assert early.uuid != later.uuid
    assert observe(lifecycle, None, index)[0].first is None


def test_what_is_no_event_has_the_moment_that_the_cluster_read(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch, reader: OpenSearch
) -> None:
    """Whoever has the writer's password spells a timestamp as the cluster alone reads it."""
    write(opensearch, index, FIRST)
    name, empty = f"{index.prefix}-events-2026.01", f"{index.prefix}-events-2026.02"
    forged = {"a": {"timestamp": "2026"}, "b": {"timestamp": ["2026-01-30", None]}, "c": {}}
    encode, body = msgspec.json.encode, b""
    for one, event in forged.items():
        action = {"create": {"_index": empty if one == "c" else name, "_id": one}}
        body += encode(action) + b"\n" + encode(event) + b"\n"
    with opensearch.client("writer") as writer:
        reply = ask(writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
    assert '"errors":false' in reply.text
    early, later = observe(lifecycle, reader, index)
    assert (early.first, early.last) == (parse_instant("2026-01-01"), parse_instant("2026-01-30"))
    assert (later.events, later.first, later.last) == (1, None, None)


def test_blocked_closed_and_empty_ones(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch, reader: OpenSearch
) -> None:
    write(opensearch, index, FIRST, "2026-02-01T00:00:00.000000Z")
    with opensearch.admin() as admin:
        ask(admin, "PUT", f"/{index.prefix}-late-2026.01")
        ask(admin, "POST", f"/{index.prefix}-events-2026.02/_close")
    ask(lifecycle, "PUT", f"/{index.prefix}-events-2026.01/_block/write")
    sealed, closed, empty = observe(lifecycle, reader, index)
    assert (sealed.blocked, sealed.open) == (True, True)
    assert (closed.open, closed.first) == (False, None)
    assert (empty.kind, empty.events, empty.first, empty.last) == ("late", 0, None, None)


def test_somebody_elses_documents_keep_nobody_from_seeing_the_rest(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch, reader: OpenSearch
) -> None:
    """OpenSearch 3.4.0 sorts those without a timestamp for ever; others spell it otherwise."""
    write(opensearch, index, FIRST)
    foreign = {"copy": {"note": "a copy"}, "number": {"timestamp": 1767434400000}}
    for name, document in foreign.items():
        path, body = f"/{index.prefix}-events-{name}/_create/1", msgspec.json.encode(document)
        with opensearch.client("writer") as writer:
            assert ask(writer, "PUT", path, params={"refresh": "true"}, body=body).status == 201
    ours, copy, number = observe(lifecycle, reader, index)
    assert (ours.first, ours.last) == (parse_instant(FIRST), parse_instant(FIRST))
    assert (copy.events, copy.first, copy.last) == (1, None, None)
    assert number.first == number.last == datetime(2026, 1, 3, 10, tzinfo=UTC)


def test_a_hidden_one_is_seen_and_not_taken_for_lost(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch, reader: OpenSearch
) -> None:
    write(opensearch, index, FIRST)
    name = f"{index.prefix}-events-2026.01"
    hide = b'{"index.hidden":true}'
    assert ask(lifecycle, "PUT", f"/{name}/_settings", body=hide).status == 200
    (one,) = observe(lifecycle, reader, index, Records(sealed={name: Sealed("u")}))
    assert (one.name, one.exists, one.first) == (name, True, parse_instant(FIRST))


def test_the_journal_is_believed_of_the_index_that_it_speaks_of(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch
) -> None:
    write(opensearch, index, FIRST)
    name = f"{index.prefix}-events-2026.01"
    gone = f"{index.prefix}-events-2025.12"
    (seen,) = observe(lifecycle, None, index)
    assert seen.uuid is not None
    until = datetime(2027, 1, 1, tzinfo=UTC)
    ours = Records(sealed={name: Sealed(seen.uuid, until, 400)}, archived=(name,))
    others = Records(sealed={name: Sealed("another", until, 30), gone: Sealed("u")})
    restored = Records(
        sealed={name: Sealed("another")},
        restored={name: until},
        restored_as={name: seen.uuid},
        ended=(name,),
    )
    (one,) = observe(lifecycle, None, index, ours)
    assert (one.sealed_record, one.archived, one.replaced) == (True, True, False)
    assert (one.sealed_at, one.sealed_retention_days) == (until, 400)
    lost, one = observe(lifecycle, None, index, others)
    assert (lost.name, lost.exists, lost.sealed_record, lost.uuid) == (gone, False, True, None)
    assert (one.sealed_record, one.replaced, one.sealed_at) == (False, True, None)
    (one,) = observe(lifecycle, None, index, restored)
    assert (one.sealed_record, one.restored_until) == (True, until)
    assert (one.replaced, one.returned) == (False, False)
    finished = Records(sealed={gone: Sealed("u")}, finished=(gone,))
    assert [one.name for one in observe(lifecycle, None, index, finished)] == [name]


def test_only_the_index_that_was_brought_back_is_the_restored_one(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch
) -> None:
    write(opensearch, index, FIRST)
    name = f"{index.prefix}-events-2026.01"
    sealed, until = {name: Sealed("first")}, datetime(2027, 1, 1, tzinfo=UTC)
    swapped = Records(
        sealed=sealed, restored={name: until}, restored_as={name: "second"}, ended=(name,)
    )
    (one,) = observe(lifecycle, None, index, swapped)
    assert (one.sealed_record, one.replaced, one.returned) == (False, True, True)
    returned = Records(sealed=sealed, ended=(name,), finished=(name,))
    (one,) = observe(lifecycle, None, index, returned)
    assert (one.sealed_record, one.replaced, one.returned) == (False, False, True)


def test_late_events_stay_as_long_as_the_partitions_of_their_month(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch
) -> None:
    with opensearch.admin() as admin:
        ask(admin, "PUT", f"/{index.prefix}-late-2026.01")
    events = f"{index.prefix}-events-2026"
    sealed = {
        f"{events}.01.30": Sealed("a", retention_days=90),
        f"{events}.01.31": Sealed("b", retention_days=400),
        f"{events}.02": Sealed("c", retention_days=800),
    }
    records = Records(sealed=sealed, finished=tuple(sealed))
    (one,) = observe(lifecycle, None, index, records)
    assert one.sealed_retention_days == 400


def test_the_journal_is_no_partition(
    opensearch: Cluster, index: IndexSettings, lifecycle: OpenSearch
) -> None:
    with opensearch.admin() as admin:
        ask(admin, "PUT", f"/{index.prefix}-journal")
    assert observe(lifecycle, None, index) == []
    (listed,) = list_partitions(lifecycle, index, [])
    assert listed.name == f"{index.prefix}-journal"


def answering(answers: dict[str, object]) -> Faults:
    """Something that answers each of the three requests by its path."""

    def script(_method: str, path: str, _body: bytes) -> Fault:
        content = next(content for part, content in answers.items() if part in path)
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        return lambda _send, _sent: (200, {}, text)

    return Faults(script)


def test_hundreds_of_partitions_take_a_few_requests() -> None:
    """Counted at the transport: 400 daily partitions, 200 searches in a request."""
    settings = IndexSettings(partition="day")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    names = [f"audit-events-{start + timedelta(days=n):%Y.%m.%d}" for n in range(400)]
    hit = {"hits": {"hits": [{"sort": [round(parse_instant(FIRST).timestamp() * 1e6) * 1000]}]}}
    faults = answering(
        {
            "/_settings": {name: {"settings": {"index.uuid": "u"}} for name in names},
            "/_cat": [{"index": name, "status": "open", "docs.count": "0"} for name in names],
            "/_msearch": {"responses": [hit] * SEARCHES},
        }
    )
    with connect_through(UNREACHABLE, faults, role="lifecycle") as client:
        seen = observe(client, client, settings)
    assert [one.name for one in seen] == names
    assert {one.first for one in seen} == {parse_instant(FIRST)}
    assert sum(faults.requests.values()) == 2 + 4


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("<html>", id="a page"),
        pytest.param("[]", id="another JSON"),
        pytest.param('{"responses":[]}', id="none of what was asked"),
        pytest.param('{"responses":[{"hits":1},{"hits":1}]}', id="another shape"),
    ],
)
def test_something_else_that_answers_is_an_error(garbage: str) -> None:
    name = "audit-events-2026.01"
    faults = answering(
        {
            "/_settings": {name: {"settings": {}}},
            "/_cat": [{"index": name, "status": "open"}],
            "/_msearch": garbage,
        }
    )
    with (
        connect_through(UNREACHABLE, faults) as client,
        pytest.raises(RefusedError, match="not_an_answer") as raised,
    ):
        observe(client, client, IndexSettings())
    assert raised.value.hint
