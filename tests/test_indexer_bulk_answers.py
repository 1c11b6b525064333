"""The bulk writer against any mix of answers: every line ends in exactly one place, and in time.

No node here: hostile answers come in every order, which a real one cannot be made to give.
"""

import itertools
import socket
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from typing_extensions import override

from agent.settings import AgentSettings
from indexer.backoff import Backoff
from indexer.bulk import BulkWriter, Settlement
from indexer.client import connect
from indexer.dead_letter import DeadLetter
from indexer.errors import Interrupted
from indexer.nesting import make_room
from indexer.settings import ConnectionSettings, IndexSettings
from tests import faults
from tests.faults import UNREACHABLE, Answer, Faults, Send, connect_through
from tests.lines import batch_of, event_line, instant
from tests.waiting import wait_until

SETTINGS = IndexSettings()
PATIENT = Backoff(first_seconds=60, longest_seconds=60, halted_seconds=60)
HURRIED = Backoff(first_seconds=0, longest_seconds=0, halted_seconds=0)
CONFLICT = "version_conflict_engine_exception"
SEAL = "blocked by: [FORBIDDEN/8/index write (api)];"
ITEM_ANSWERS = [
    (201, ""),
    (200, ""),
    (409, CONFLICT),
    (429, "rejected_execution_exception"),
    (429, "cluster_block_exception"),
    (500, "exception"),
    (503, "unavailable_shards_exception"),
    (403, "cluster_block_exception"),
    (403, "security_exception"),
    (404, "index_not_found_exception"),
    (400, "mapper_parsing_exception"),
    (400, "validation_exception"),
    (400, "illegal_argument_exception"),
    (413, ""),
]
REQUEST_ANSWERS = [200, 200, 200, 302, 400, 401, 403, 404, 413, 429, 503, -1, -2]
LINES = [
    *(event_line() for _ in range(5)),
    # In a month that ended long enough ago to be sealed.
    *(event_line(timestamp=instant(days=80)) for _ in range(3)),
    event_line(timestamp=instant(days=500)),
]
Key = tuple[str, str]


class Store:
    """Answers as drawn until the draws are used up, then stores all; keeps what is stored."""

    def __init__(
        self, requests: list[int], items: list[tuple[int, str]], hashes: list[bool]
    ) -> None:
        self.requests, self.items, self.hashes = iter(requests), iter(items), iter(hashes)
        self.stored: dict[Key, bytes] = {}
        self.other: set[Key] = set()

    def answer(self, path: str, body: bytes) -> Answer:
        status = next(self.requests, 200)
        if status == 200:
            content = self.bulk(body) if path == "/_bulk" else self.look_up(body)
            return 200, {}, msgspec.json.encode(content).decode()
        if status == -1:
            return faults.refused(unused, body)
        if status == -2:
            # The answer is lost after the write.
            if path == "/_bulk":
                self.bulk(body)
            return 200, {}, '{"items":'
        return status, {"retry-after": "0"}, "no JSON"

    def bulk(self, body: bytes) -> object:
        lines = body.splitlines()
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return {"errors": True, "items": [{"create": self.item(*pair)} for pair in pairs]}

    def item(self, action: bytes, document: bytes) -> object:
        create = msgspec.json.decode(action)["create"]
        key = (create["_index"], create["_id"])
        status, error_type = next(self.items, (201, ""))
        if key in self.stored or key in self.other:
            status, error_type = (409, CONFLICT)
        elif status == 201:
            self.stored[key] = document
        elif status == 409:
            if next(self.hashes, True):
                self.stored[key] = document
            else:
                self.other.add(key)
        return {"status": status, "error": {"type": error_type, "reason": SEAL}}

    def look_up(self, body: bytes) -> object:
        docs = msgspec.json.decode(body)["docs"]
        return {"docs": [self.doc(doc["_index"], doc["_id"]) for doc in docs]}

    def doc(self, index: str, event_id: str) -> object:
        if (index, event_id) in self.other:
            return {"_id": event_id, "found": True, "_source": {"hash": "another"}}
        if (index, event_id) not in self.stored:
            return {"_id": event_id, "found": False}
        stored = msgspec.Raw(self.stored[index, event_id])
        return {"_id": event_id, "found": True, "_source": stored}

    def faults(self) -> Faults:
        def script(_method: str, path: str, _body: bytes) -> faults.Fault:
            return lambda _send, body: self.answer(path, body)

        return Faults(script)


@pytest.fixture(autouse=True, scope="module")
def _room() -> None:
    """What the first unreadable answer of a process does; hypothesis takes it for a defect."""
    make_room()


def unused(_body: bytes) -> Answer:
    raise AssertionError


@settings(deadline=None, max_examples=300)
@example(requests=[200, 413], items=[(409, CONFLICT)], hashes=[])
@example(requests=[200, 413, 200, 413], items=[(409, CONFLICT)], hashes=[])
@given(
    st.lists(st.sampled_from(REQUEST_ANSWERS), max_size=12),
    st.lists(st.sampled_from(ITEM_ANSWERS), max_size=40),
    st.lists(st.booleans(), max_size=8),
)
@pytest.mark.slow
def test_every_line_ends_in_exactly_one_place(
    requests: list[int], items: list[tuple[int, str]], hashes: list[bool]
) -> None:
    store = Store(requests, items, hashes)
    with tempfile.TemporaryDirectory() as directory, capture_logs():
        dead_letter = DeadLetter(Path(directory))
        with connect_through(UNREACHABLE, store.faults()) as client:
            stop = threading.Event()
            writer = BulkWriter(client, SETTINGS, dead_letter, stop=stop, backoff=HURRIED)
            settlement = writer.write(batch_of(SETTINGS, LINES))
        buried = [
            msgspec.json.decode(record)["line"].encode()
            for record in dead_letter.path.read_bytes().splitlines()
        ]
    stored = [document.partition(b',"ingestedAt"')[0] + b"}" for document in store.stored.values()]
    assert sorted(stored + buried) == sorted(LINES)
    assert settlement.created + settlement.duplicates == len(stored)
    assert settlement.dead == len(buried)


def ended_by_stop(script: Faults, backoff: Backoff, directory: Path) -> float:
    """Seconds from `stop` to the end of a write that waits."""
    stop = threading.Event()
    ended: list[float] = []

    def write() -> None:
        with connect_through(UNREACHABLE, script) as client:
            writer = BulkWriter(client, SETTINGS, DeadLetter(directory), stop=stop, backoff=backoff)
            with pytest.raises(Interrupted):
                writer.write(batch_of(SETTINGS, LINES))
            ended.append(time.monotonic())

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: script.requests, "it asks", pause_seconds=0.001)
    set_at = time.monotonic()
    stop.set()
    thread.join(150)
    return ended[0] - set_at


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.refused, id="nobody listens"),
        pytest.param(faults.status(503), id="503"),
        pytest.param(faults.status(429, retry_after="120"), id="Retry-After"),
        pytest.param(faults.status(401), id="halted"),
        pytest.param(faults.status(403, "cluster_block_exception"), id="blocked"),
    ],
)
def test_stop_ends_a_wait_at_once_and_buries_nothing(tmp_path: Path, fault: faults.Fault) -> None:
    script = Faults(lambda _method, _path, _body: fault)
    assert ended_by_stop(script, PATIENT, tmp_path) < 20, "the wait is a minute"
    assert list(tmp_path.iterdir()) == []


def test_stop_waits_for_a_request_under_way_until_its_timeout_and_no_longer(
    tmp_path: Path,
) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def accept_and_stop() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                stop.set()
                connection.recv(65536)

        thread = threading.Thread(target=accept_and_stop)
        thread.start()
        with connect(ConnectionSettings(url=url, timeout_seconds=0.3), role="writer") as client:
            writer = BulkWriter(client, SETTINGS, DeadLetter(tmp_path), stop=stop, backoff=PATIENT)
            began = time.monotonic()
            with pytest.raises(Interrupted), capture_logs():
                writer.write(batch_of(SETTINGS, LINES))
            assert time.monotonic() - began < 20, "the next attempt is a minute away"
    thread.join(10)
    assert list(tmp_path.iterdir()) == []


def test_a_request_under_way_ends_before_the_agent_has_to() -> None:
    assert ConnectionSettings().timeout_seconds < AgentSettings().shutdown_seconds


@pytest.mark.slow
def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    store = Store([], [], [])
    asked: list[float] = []

    def once(_send: Send, body: bytes) -> Answer:
        asked.append(time.monotonic())
        if len(asked) == 1:
            return 429, {"retry-after": "1"}, ""
        return store.answer("/_bulk", body)

    with connect_through(UNREACHABLE, Faults(lambda *_: once)) as client:
        BulkWriter(
            client, SETTINGS, DeadLetter(tmp_path), stop=threading.Event(), backoff=HURRIED
        ).write(batch_of(SETTINGS, LINES[:1]))
    assert 1 <= asked[1] - asked[0] < 20


def test_a_dead_letter_that_cannot_be_written_holds_the_batch(tmp_path: Path) -> None:
    """Until its disk has room again; then all of it is there."""
    dead_letter = DeadLetter(tmp_path)
    dead_letter.path.symlink_to("/dev/full")
    waits = itertools.count()

    class Stop(threading.Event):
        @override
        def wait(self, timeout: float | None = None) -> bool:
            if next(waits) == 2:
                dead_letter.path.unlink()
            return super().wait(min(timeout or 0, 0.001))

    store = Store([], [], [])
    with connect_through(UNREACHABLE, store.faults()) as client, capture_logs() as logs:
        writer = BulkWriter(client, SETTINGS, dead_letter, stop=Stop(), backoff=HURRIED)
        settlement = writer.write(batch_of(SETTINGS, LINES))
    assert settlement == Settlement(created=8, duplicates=0, dead=1, retries=0)
    assert len(dead_letter.path.read_bytes().splitlines()) == 1
    told = ["dead_letter_not_written", "dead_letter_written_again", "events_refused"]
    assert [log["event"] for log in logs] == told


def test_long_trouble_is_said_once(tmp_path: Path) -> None:
    store = Store([-1] * 200, [], [])
    with connect_through(UNREACHABLE, store.faults()) as client, capture_logs() as logs:
        BulkWriter(
            client, SETTINGS, DeadLetter(tmp_path), stop=threading.Event(), backoff=HURRIED
        ).write(batch_of(SETTINGS, LINES[:2]))
    assert [log["event"] for log in logs] == ["bulk_retrying", "bulk_resumed"]
    assert "203.0.113.9" not in str(logs)


def test_an_empty_batch_asks_nobody(tmp_path: Path) -> None:
    script = faults.in_turn()
    with connect_through(UNREACHABLE, script) as client:
        writer = BulkWriter(client, SETTINGS, DeadLetter(tmp_path), stop=threading.Event())
        assert writer.write(batch_of(SETTINGS, [])) == Settlement(0, 0, 0, 0)
    assert script.requests == {}
