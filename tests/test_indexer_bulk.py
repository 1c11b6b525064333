"""The bulk writer against a real node, with faults between: lost 0, stored twice 0."""

import itertools
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from structlog.testing import capture_logs

from indexer.answer import ALL_STORED, read_items
from indexer.backoff import Backoff
from indexer.bulk import BulkWriter, Settlement
from indexer.client import ask, connect
from indexer.dead_letter import DeadLetter
from indexer.errors import Interrupted
from indexer.names import partition_name, read_indices
from indexer.settings import IndexSettings
from tests import faults
from tests.cluster import Cluster
from tests.event_ids import event_id_of
from tests.faults import Answer, Fault, Faults, Send, connect_through, in_turn
from tests.lines import NOW, batch_of, event_line, instant

NO_DEAD_LETTER = DeadLetter(Path("/proc/none"))
"""A test that buries something here fails."""
HURRIED = Backoff(first_seconds=0.001, longest_seconds=0.01, halted_seconds=0.005)


def stored(cluster: Cluster, index: IndexSettings) -> dict[str, object]:
    """Every stored event by id, as the node has its source."""
    with connect(cluster.connection(), role="lifecycle") as client:
        ask(client, "POST", f"/{index.prefix}-*/_refresh")
    with connect(cluster.connection(), role="reader") as client:
        reply = ask(client, "POST", f"/{read_indices(index)}/_search", params={"size": "10000"})
    hits = msgspec.json.decode(reply.text)["hits"]["hits"]
    assert len(hits) == len({hit["_id"] for hit in hits}), "stored twice"
    return {event_id_of(hit["_id"]): hit["_source"] for hit in hits}


def dead(directory: Path) -> list[dict[str, object]]:
    path = DeadLetter(directory).path
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


class Write(Protocol):
    def __call__(self, lines: list[bytes], script: Faults | None = None) -> Settlement: ...


@pytest.fixture
def write(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Write:
    def write_lines(lines: list[bytes], script: Faults | None = None) -> Settlement:
        through = script or in_turn()
        with connect_through(opensearch.connection(), through) as client:
            dead_letter = DeadLetter(tmp_path)
            stop = threading.Event()
            writer = BulkWriter(client, index, dead_letter, stop=stop, backoff=HURRIED)
            return writer.write(batch_of(index, lines))

    return write_lines


@pytest.mark.opensearch
def test_what_is_stored_is_what_was_written(
    opensearch: Cluster, index: IndexSettings, write: Write, tmp_path: Path
) -> None:
    lines = [
        event_line(),
        event_line(timestamp=instant(days=40)),
        event_line({"context": {"é": [1]}}),
    ]
    assert write(lines) == Settlement(created=3, duplicates=0, dead=0, retries=0)
    expected = [{**msgspec.json.decode(line), "ingestedAt": NOW} for line in lines]
    assert stored(opensearch, index) == {str(event["id"]): event for event in expected}
    assert dead(tmp_path) == []


@pytest.mark.opensearch
def test_a_replay_is_settled_as_duplicates(
    opensearch: Cluster, index: IndexSettings, write: Write, tmp_path: Path
) -> None:
    lines = [event_line() for _ in range(5)]
    write(lines[:3])
    before = stored(opensearch, index)
    settlement = write([*lines, lines[4]])
    assert settlement == Settlement(created=2, duplicates=4, dead=0, retries=0)
    after = stored(opensearch, index)
    assert len(after) == 5
    assert before.items() <= after.items()
    assert dead(tmp_path) == []


@pytest.mark.opensearch
def test_another_event_under_a_stored_id_is_not_lost(
    opensearch: Cluster, index: IndexSettings, write: Write, tmp_path: Path
) -> None:
    event_id = str(uuid.uuid4())
    first, second = (event_line({"result": r}, event_id=event_id) for r in ("success", "denied"))
    write([first])
    assert write([second]).dead == 1
    (record,) = dead(tmp_path)
    assert (record["status"], record["line"]) == (409, second.decode())
    assert record["reason"] == "another event with this id is stored"
    assert len(stored(opensearch, index)) == 1


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda line: line.replace(b"member.", b"number."), id="altered"),
        pytest.param(lambda line: line[:-1] + b',"ingestedAt":"2026","added":"y"}', id="added to"),
        pytest.param(lambda line: line[:-1] + b',"added":"\xed\xa0\x80"}', id="no letters"),
    ],
)
def test_an_event_whose_id_was_taken_by_somebody_who_had_read_it_is_not_lost(
    opensearch: Cluster,
    index: IndexSettings,
    write: Write,
    tmp_path: Path,
    forge: Callable[[bytes], bytes],
) -> None:
    """With the writer's password, before the agent came; and with its `hash`."""
    line = event_line()
    batch = batch_of(index, [line])
    action, _ = b"".join(batch.body([0])).splitlines()
    with opensearch.client("writer") as writer:
        assert (
            '"status":201'
            in ask(writer, "POST", "/_bulk", body=b"%b\n%b\n" % (action, forge(line))).text
        )
    assert write([line, event_line()]) == Settlement(created=1, duplicates=0, dead=1, retries=0)
    (record,) = dead(tmp_path)
    assert (record["status"], record["line"]) == (409, line.decode())


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"ipAddress": "999.1.1.1"}, id="no address"),
        pytest.param({"actor": "ana"}, id="a text where an object is"),
        pytest.param({"context": {"a": "x" * 40_000}}, id="a value longer than a term can be"),
        pytest.param({"organizationId": "o" * 40_000}, id="an organisation too long to filter by"),
    ],
)
def test_a_poison_event_goes_to_the_dead_letter_and_the_others_go_on(
    opensearch: Cluster,
    index: IndexSettings,
    write: Write,
    tmp_path: Path,
    fields: Mapping[str, object],
) -> None:
    lines = [event_line(), event_line(fields), event_line()]
    with capture_logs() as logs:
        settlement = write(lines)
    assert settlement == Settlement(created=2, duplicates=0, dead=1, retries=0)
    (record,) = dead(tmp_path)
    assert record["line"] == lines[1].decode()
    assert (record["status"], record["path"]) == (400, "/a.log")
    assert record["offset"] == len(lines[0]) + 1
    assert "exception" in str(record["reason"])
    assert len(stored(opensearch, index)) == 2
    assert "999.1.1.1" not in str(logs)


@pytest.mark.opensearch
def test_what_must_not_reach_the_cluster_is_buried_without_sending_it(
    write: Write, tmp_path: Path
) -> None:
    nested = event_line().replace(b'"Admin"', b"[" * 500 + b"]" * 500)
    script = in_turn()
    lines = [
        event_line(timestamp=instant(days=500)),
        event_line(timestamp=instant(days=-2)),
        nested,
    ]
    assert write(lines, script).dead == 3
    assert script.requests == {"/_mget": 2}, "partitions, and indices of late events"
    assert [str(record["reason"]) for record in dead(tmp_path)] == [
        "older than retention (400 days)",
        "more than 24 hours in the future",
        "nested deeper than 256 levels",
    ]


@pytest.mark.opensearch
def test_the_node_spells_its_answer_as_the_quick_reading_expects(write: Write) -> None:
    """Else every answer would be decoded item by item, which is right and slower."""
    texts: list[str] = []

    def keep(send: Send, body: bytes) -> Answer:
        code, headers, text = send(body)
        texts.append(text)
        return code, headers, text

    assert write([event_line() for _ in range(3)], in_turn(keep)).created == 3
    assert [read_items(text, 3) is ALL_STORED for text in texts] == [True]


def odd(number: int) -> bool:
    return number % 2 == 1


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.refused, id="nobody listens"),
        pytest.param(faults.lost, id="answer lost after indexing"),
        pytest.param(faults.cut, id="answer cut"),
        pytest.param(faults.text("<html>"), id="garbage with 200"),
        pytest.param(faults.text("{}"), id="another JSON with 200"),
        pytest.param(faults.text('{"errors":false,"items":[]}'), id="no items with 200"),
        pytest.param(faults.one_item_short, id="one item short"),
        pytest.param(faults.status(429, "rejected_execution_exception"), id="429"),
        pytest.param(faults.status(429, retry_after="0"), id="429 with Retry-After"),
        pytest.param(faults.status(503), id="503 of a proxy"),
        pytest.param(faults.status(401), id="credentials that expired"),
        pytest.param(faults.status(403, "security_exception"), id="a role that was taken away"),
        pytest.param(faults.status(404), id="another service"),
        pytest.param(faults.status(400, "illegal_argument_exception"), id="400 for all of it"),
        pytest.param(faults.status(403, "cluster_block_exception"), id="blocked"),
        pytest.param(faults.status(302), id="a login page"),
        pytest.param(faults.items(odd, 429, "rejected_execution_exception"), id="429 for items"),
        pytest.param(faults.items(odd, 503, "unavailable_shards_exception"), id="503 for items"),
        pytest.param(faults.items(odd, 403, "cluster_block_exception"), id="a blocked partition"),
        pytest.param(faults.items(odd, 403, "security_exception"), id="forbidden items"),
        pytest.param(faults.items(odd, 404, "index_not_found_exception"), id="no auto-create"),
        pytest.param(faults.items(odd, 400, "validation_exception"), id="limit of shards"),
    ],
)
def test_nothing_is_lost_or_stored_twice(
    opensearch: Cluster, index: IndexSettings, write: Write, tmp_path: Path, fault: Fault
) -> None:
    lines = [event_line() for _ in range(10)]
    settlement = write(lines, in_turn(fault, fault, fault))
    assert settlement.created + settlement.duplicates == 10
    assert settlement.retries == 3
    assert len(stored(opensearch, index)) == 10
    assert dead(tmp_path) == []


@pytest.mark.opensearch
def test_only_the_items_that_failed_are_sent_again(write: Write) -> None:
    sent: list[int] = []

    def count(send: faults.Send, body: bytes) -> faults.Answer:
        sent.append(body.count(b"\n") // 2)
        return send(body)

    def fail(send: faults.Send, body: bytes) -> faults.Answer:
        sent.append(body.count(b"\n") // 2)
        return faults.items(odd, 429, "rejected_execution_exception")(send, body)

    write([event_line() for _ in range(10)], in_turn(fail, fail, count))
    assert sent == [10, 5, 2]


@pytest.mark.opensearch
def test_413_halves_and_the_smaller_size_is_remembered(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    tight = faults.larger_than(4000)
    script = Faults(lambda _method, _path, _body: tight)
    lines = [event_line() for _ in range(20)]
    with connect_through(opensearch.connection(), script) as client:
        writer = BulkWriter(
            client, index, DeadLetter(tmp_path), stop=threading.Event(), backoff=HURRIED
        )
        assert writer.write(batch_of(index, lines)).created == 20
        script.largest_bytes = 0
        assert writer.write(batch_of(index, [event_line() for _ in range(20)])).created == 20
    assert script.largest_bytes <= 4000
    assert len(stored(opensearch, index)) == 40


@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("picks", "window"),
    [
        pytest.param(lambda _number: True, 1, id="all items: the shard is full"),
        pytest.param(odd, 4, id="some: the others were taken"),
    ],
)
def test_a_shard_that_takes_nothing_gets_fewer_requests_at_a_time(
    opensearch: Cluster, index: IndexSettings, picks: Callable[[int], bool], window: int
) -> None:
    full = faults.items(picks, 429, "rejected_execution_exception")
    with connect_through(opensearch.connection(), in_turn(full, full, full)) as client:
        writer = BulkWriter(
            client, index, NO_DEAD_LETTER, stop=threading.Event(), backoff=HURRIED, at_once=4
        )
        seen: list[float] = []

        pause = writer._wait

        def note(seconds: float) -> None:
            seen.append(writer._exchange.pace.window)
            pause(seconds)

        writer._wait = note  # type: ignore[method-assign]  # what it waits with
        with capture_logs():
            settlement = writer.write(batch_of(index, [event_line() for _ in range(10)]))
    assert settlement.created == 10
    assert int(seen[-1]) == window


@pytest.mark.opensearch
def test_a_proxy_that_breaks_large_requests_without_a_word_gets_smaller_ones(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    limit_bytes = 200_000
    tight = faults.breaks_above(limit_bytes)
    failed: list[int] = []

    def script(_method: str, _path: str, body: bytes) -> Fault | None:
        failed.extend([len(body)] if len(body) > limit_bytes else [])
        return tight

    batches = [[event_line() for _ in range(1500)] for _ in range(4)]
    with connect_through(opensearch.connection(), Faults(script)) as client, capture_logs():
        writer = BulkWriter(
            client, index, DeadLetter(tmp_path), stop=threading.Event(), backoff=HURRIED
        )
        for lines in batches:
            assert writer.write(batch_of(index, lines)).created == 1500
    assert len(failed) < 20
    assert dead(tmp_path) == []


@pytest.mark.opensearch
def test_an_event_that_alone_is_too_large_does_not_stop_the_others(
    write: Write, tmp_path: Path
) -> None:
    tight = faults.larger_than(4000)
    large = event_line({"context": {"a": "x" * 5000}})
    lines = [event_line(), large, event_line()]
    settlement = write(lines, Faults(lambda _method, _path, _body: tight))
    assert (settlement.created, settlement.dead) == (2, 1)
    (record,) = dead(tmp_path)
    assert (record["status"], record["line"]) == (413, large.decode())


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.refused, id="nobody listens"),
        pytest.param(faults.cut, id="answer cut"),
        pytest.param(faults.status(429), id="429"),
        pytest.param(faults.status(403, "security_exception"), id="not allowed to look"),
        pytest.param(faults.text('{"docs":[]}'), id="no docs"),
    ],
)
def test_a_duplicate_waits_until_it_is_looked_up(
    write: Write, tmp_path: Path, fault: Fault
) -> None:
    lines = [event_line() for _ in range(3)]
    write(lines)
    settlement = write(lines, in_turn(fault, fault, path="/_mget"))
    assert settlement == Settlement(created=0, duplicates=3, dead=0, retries=2)
    assert dead(tmp_path) == []


@pytest.mark.opensearch
def test_a_blocked_partition_is_waited_for_and_said_once(
    opensearch: Cluster, index: IndexSettings, write: Write
) -> None:
    write([event_line()])
    partition = partition_name(NOW, index)
    blocked = b'{"index.blocks.write":%s}'
    with connect(opensearch.connection(), role="lifecycle") as client:

        def block(value: bytes) -> None:
            reply = ask(client, "PUT", f"/{partition}/_settings", body=blocked % value)
            assert reply.status == 200, reply.text

        block(b"true")
        attempts = itertools.count(1)

        def lift(_method: str, path: str, _body: bytes) -> Fault | None:
            if path == "/_bulk" and next(attempts) == 4:
                block(b"null")
            return None

        with capture_logs() as logs:
            settlement = write([event_line(), event_line()], Faults(lift))
    assert settlement == Settlement(created=2, duplicates=0, dead=0, retries=3)
    assert [log["event"] for log in logs] == ["bulk_blocked", "bulk_resumed"]


@pytest.mark.secured
@pytest.mark.opensearch
def test_a_missing_template_keeps_the_data(opensearch: Cluster, index: IndexSettings) -> None:
    """Without its template an index is not write-once: the role may not map fields into it."""
    bare = IndexSettings(prefix=f"{index.prefix}-bare", replicas=0)
    stop = threading.Event()
    attempts = itertools.count(1)

    def stop_at_the_third(_method: str, _path: str, _body: bytes) -> Fault | None:
        if next(attempts) == 3:
            stop.set()
        return None

    script = Faults(stop_at_the_third)
    with connect_through(opensearch.connection(), script) as client, capture_logs() as logs:
        writer = BulkWriter(client, bare, NO_DEAD_LETTER, stop=stop, backoff=HURRIED)
        with pytest.raises(Interrupted):
            writer.write(batch_of(bare, [event_line()]))
    assert [log["event"] for log in logs] == ["bulk_halted", "bulk_interrupted"]
    assert stored(opensearch, bare) == {}


@pytest.mark.opensearch
def test_several_writes_at_once_settle_each_their_own(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    turn = itertools.count()
    trouble = itertools.cycle([None, faults.status(429), None, faults.lost, faults.cut])

    def script(_method: str, path: str, _body: bytes) -> Fault | None:
        next(turn)
        return next(trouble) if path == "/_bulk" else None

    batches = [[event_line() for _ in range(50)] for _ in range(8)]
    with connect_through(opensearch.connection(), Faults(script)) as client:
        writer = BulkWriter(
            client, index, DeadLetter(tmp_path), stop=threading.Event(), backoff=HURRIED
        )
        with ThreadPoolExecutor(4) as pool:
            settled = list(pool.map(writer.write, (batch_of(index, b) for b in batches)))
    assert [one.created + one.duplicates for one in settled] == [50] * 8
    assert len(stored(opensearch, index)) == 400
