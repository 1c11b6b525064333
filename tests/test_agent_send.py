"""The senders: what waits for a few items lets others pass, and memory stays bounded."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from agent.send import CARRIED_A_SENDER, Senders, Settled, Writer
from agent.shipment import Shipment
from indexer.backoff import Backoff
from indexer.batch import Batch
from indexer.bulk import BulkWriter, Settlement, StoredEvent
from indexer.dead_letter import DeadLetter
from indexer.document_id import document_id
from indexer.errors import Interrupted
from indexer.settings import IndexSettings
from tests import faults
from tests.cluster import Cluster
from tests.faults import Answer, Faults, Send, connect_through
from tests.lines import batch_of, event_line
from tests.waiting import wait_until

COUNT = 2
INDEX = IndexSettings()


def shipment(index: IndexSettings = INDEX, lines: int = 1) -> Shipment:
    return Shipment(batch_of(index, [event_line() for _ in range(lines)]), 0.0)


class Carrying:
    """A writer whose every write waits for a few items until `gate` is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def write(self, batch: Batch, carry: Callable[[int], None]) -> Settlement:
        carry(1)
        try:
            if not self.gate.wait(60):
                raise Interrupted
        finally:
            carry(-1)
        return Settlement(created=len(batch), duplicates=0, dead=0, retries=1)

    def missing(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        del events
        return []


@contextmanager
def sending(writer: Writer, directory: Path, count: int = COUNT) -> Generator[Senders]:
    woken = threading.Event()
    senders = Senders(
        writer, DeadLetter(directory), count=count, abandon=threading.Event(), wake=woken.set
    )
    try:
        yield senders
    finally:
        senders.close()


def collect(senders: Senders, count: int) -> list[Settled]:
    back: list[Settled] = []

    def is_back() -> bool:
        back.extend(senders.collect())
        return len(back) == count

    wait_until(is_back, "all come back", pause_seconds=0.002)
    return back


def test_what_is_carried_lets_others_start_up_to_a_bound(tmp_path: Path) -> None:
    writer = Carrying()
    most = COUNT * (1 + CARRIED_A_SENDER)
    with sending(writer, tmp_path) as senders:
        for _ in range(most):
            wait_until(lambda: senders.is_free, "one may start")
            senders.submit(shipment())
        # All threads are busy, and what is carried beyond the bound counts as under way.
        time.sleep(0.1)
        assert not senders.is_free
        writer.gate.set()
        assert len(collect(senders, most)) == most
        assert senders.is_free


def test_what_is_not_carried_lets_nothing_pass(tmp_path: Path) -> None:
    class Blocked(Carrying):
        @override
        def write(self, batch: Batch, carry: Callable[[int], None]) -> Settlement:
            del carry
            return super().write(batch, lambda _change: None)

    writer = Blocked()
    with sending(writer, tmp_path) as senders:
        senders.submit(shipment())
        assert senders.is_free
        senders.submit(shipment())
        time.sleep(0.05)
        assert not senders.is_free
        writer.gate.set()
        collect(senders, COUNT)


@pytest.mark.opensearch
def test_items_that_are_refused_for_now_do_not_hold_up_the_others(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """With one sender: the first batch has an item that is refused until three others are in."""
    slow = shipment(index, lines=50)
    slow_id = document_id(slow.batch.ids[0]).encode()
    others = threading.Event()

    def refuse_slow(send: Send, body: bytes) -> Answer:
        actions = body.splitlines()[::2]

        def is_slow(number: int) -> bool:
            return not others.is_set() and slow_id in actions[number]

        return faults.items(is_slow, 429, "rejected_execution_exception")(send, body)

    backoff = Backoff(first_seconds=0.05, longest_seconds=0.05)
    script = Faults(lambda _method, path, _body: refuse_slow if path == "/_bulk" else None)
    with connect_through(opensearch.connection(), script) as client, capture_logs():
        writer = BulkWriter(
            client, index, DeadLetter(tmp_path), stop=threading.Event(), backoff=backoff, at_once=1
        )
        with sending(writer, tmp_path, count=1) as senders:
            senders.submit(slow)
            for _ in range(3):
                wait_until(lambda: senders.is_free, "one may start")
                senders.submit(other := shipment(index, lines=50))
                (passed,) = collect(senders, 1)
                assert passed.shipment is other
            others.set()
            (last,) = collect(senders, 1)
    assert last.shipment is slow
    assert last.settlement is not None
    assert last.settlement.created == 50
