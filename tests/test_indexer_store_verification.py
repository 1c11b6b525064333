"""Whether a whole store holds, on a real node: what was done to it is told by name."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_events.envelope import decode_envelope
from indexer.client import ask
from indexer.digest import digest_partition
from indexer.errors import NoAnswerError, StoreError
from indexer.journal import Journal
from indexer.live_index import find_index
from indexer.names import journal_name, late_name, partition_name
from indexer.records import DELETED, MISSING, Subject, read_seal, record_end, record_seal
from indexer.settings import IndexSettings
from indexer.span import span_of
from indexer.store_findings import Finding
from indexer.store_verification import StoreVerification
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.lines import event_line
from tests.webapi_api import write_events

pytestmark = pytest.mark.opensearch

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = [f"2026-{month:02}-{day:02}T10:00:00Z" for month in (2, 3, 4) for day in (5, 15, 25)]
"""Three in each of three months."""


@dataclass
class Store:
    """A store with one source of nine events of two organisations, before it is stored."""

    cluster: Cluster
    index: IndexSettings
    lines: list[bytes]

    def put(self, lines: list[bytes], name: str | None = None) -> None:
        """Store lines where they belong, or in the index that is named."""
        body = bytearray()
        for line in lines:
            one = decode_envelope(line)
            home = name or partition_name(one.timestamp, self.index)
            body += b"%b\n%b\n" % (create_action(home, one.id), line)
        with self.cluster.admin() as admin:
            reply = ask(admin, "POST", "/_bulk", params={"refresh": "true"}, body=bytes(body))
        assert '"errors":false' in reply.text, reply.text

    def seal(self, name: str) -> None:
        """Record what it holds, as the lifecycle does."""
        with self.cluster.client("reader") as reader, self.cluster.client("lifecycle") as lifecycle:
            span = span_of(name, self.index)
            assert span is not None
            subject = Subject(name, self.uuid(name), span)
            journal = Journal(lifecycle, self.index)
            digest = digest_partition(reader, name)
            record_seal(journal, subject, digest, more={}, beat=lambda: None)
            self.refresh()

    def end(self, name: str, action: str) -> None:
        """Delete a partition that was sealed, and record it."""
        span, uuid = span_of(name, self.index), self.uuid(name)
        assert span is not None
        with self.cluster.client("lifecycle") as lifecycle, self.cluster.admin() as admin:
            journal = Journal(lifecycle, self.index)
            seal = read_seal(journal, name, uuid)
            record_end(journal, action, Subject(name, uuid, span), seal, more={}, beat=lambda: None)
            assert ask(admin, "DELETE", f"/{name}").status == 200
            self.refresh()

    def refresh(self) -> None:
        """The reader may not, and this test does not wait."""
        with self.cluster.client("lifecycle") as lifecycle:
            assert ask(lifecycle, "POST", f"/{journal_name(self.index)}/_refresh").status == 200

    def uuid(self, name: str) -> str:
        with self.cluster.client("lifecycle") as lifecycle:
            found = find_index(lifecycle, name)
        assert found is not None
        return found.uuid

    def partition(self, number: int) -> str:
        """Where an event belongs."""
        return partition_name(decode_envelope(self.lines[number]).timestamp, self.index)

    def verify(self, **options: Any) -> tuple[list[Finding], StoreVerification]:
        with self.cluster.client("reader") as reader:
            asked: dict[str, Any] = {"until": UNTIL, **options}
            verification = StoreVerification(reader, self.index, **asked)
            return list(verification.run()), verification


@pytest.fixture
def store(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Store:
    fields: list[dict[str, Any]] = [
        {"action": "member.invited", "organization_id": f"org_{number % 2}", "at": day}
        for number, day in enumerate(DAYS)
    ]
    return Store(opensearch, index, write_events(tmp_path / "a.log", fields, DAYS[0]))


def brief(findings: list[Finding]) -> list[tuple[str, int | None, int | None]]:
    return [(one.kind, one.first_seq, one.last_seq) for one in findings]


def test_a_whole_store_holds_open_sealed_and_late_with_its_journal(store: Store) -> None:
    """One that came late, two organisations, three partitions."""
    store.put([*store.lines[:2], *store.lines[3:]])
    store.put(store.lines[2:3], late_name("2026-02-25T10:00:00.000000Z", store.index))
    for number in (0, 3):
        store.seal(store.partition(number))
    told: list[tuple[str, int, int]] = []
    until = datetime.now(UTC) + timedelta(hours=1)
    found, verification = store.verify(until=until, report=lambda *one: told.append(one))
    assert found == []
    summary = verification.summary
    # Of each sealing there is a record, of one run of the lifecycle each.
    assert (summary.indices, summary.sealed, summary.events, summary.sources) == (5, 2, 11, 3)
    assert [name for name, _, _ in told][-1] == journal_name(store.index)
    assert told[-1][1:] == (11, 11)


FLAWS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], tuple[str, int, int]]] = {
    "altered": (
        lambda lines: [*lines[:4], lines[4].replace(b"member.invited", b"member.removed"),
                       *lines[5:]],
        ("altered", 4, 4),
    ),
    "removed": (lambda lines: [*lines[:2], *lines[6:]], ("missing", 2, 5)),
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_was_done_to_an_event_is_told_by_name(store: Store, flaw: str) -> None:
    spoil, expected = FLAWS[flaw]
    store.put(spoil(store.lines))
    (one,), verification = store.verify()
    assert brief([one]) == [expected]
    named = decode_envelope(store.lines[4 if flaw == "altered" else 6])
    place = (one.source_id, one.index, one.timestamp, one.event_id)
    home = partition_name(named.timestamp, store.index)
    assert place == (named.source.id, home, named.timestamp, named.id)
    assert one.next
    assert verification.summary.errors == 1


def test_one_that_is_stored_twice_or_slipped_in_is_told_with_both_places(store: Store) -> None:
    store.put(store.lines)
    late = late_name("2026-02-05T10:00:00.000000Z", store.index)
    store.put(store.lines[:1], late)
    forged = msgspec.json.decode(store.lines[4])
    forged = event_line({"source": forged["source"]}, timestamp=forged["timestamp"])
    store.put([forged])
    found, _ = store.verify()
    assert brief(found) == [("twice", 0, 0), ("twice", 4, 4)]
    assert f"{store.partition(0)}/{decode_envelope(store.lines[0]).id}" in found[0].problem
    assert late in found[0].problem
    assert found[1].event_id == decode_envelope(forged).id
    assert decode_envelope(store.lines[4]).id in found[1].problem


def test_what_is_no_event_is_told(store: Store) -> None:
    store.put(store.lines)
    with store.cluster.client("writer") as writer:
        path = f"/{store.partition(0)}/_create"
        for number, body in enumerate((b'{"organizationId":"org_0"}', b'{"timestamp":null}')):
            assert ask(writer, "PUT", f"{path}/forged{number}", body=body).status == 201
    with store.cluster.client("lifecycle") as lifecycle:
        ask(lifecycle, "POST", f"/{store.partition(0)}/_refresh")
    (one,), _ = store.verify()
    assert (one.kind, one.index) == ("foreign", store.partition(0))
    assert "holds 2 of what is no event, such as: not an event" in one.problem


def test_a_sealed_partition_with_one_more_event_is_told(store: Store, tmp_path: Path) -> None:
    """Of a source of its own, so that each chain holds."""
    store.put(store.lines[:6])
    for number in (0, 3):
        store.seal(store.partition(number))
    more = {"action": "member.invited", "organization_id": "org_1", "at": DAYS[1]}
    store.put(write_events(tmp_path / "b.log", [more], DAYS[0]))
    (one,), verification = store.verify()
    assert (one.kind, one.index) == ("digest", store.partition(0))
    assert "it has 4 events, and 3 were sealed (org_1: 2, not 1)" in one.problem
    assert verification.summary.sealed == 2


def test_another_index_in_the_place_of_a_sealed_one_is_told(store: Store) -> None:
    store.put(store.lines)
    name = store.partition(3)
    store.seal(name)
    with store.cluster.admin() as admin:
        assert ask(admin, "DELETE", f"/{name}").status == 200
    (gone, gap), _ = store.verify()
    assert (gone.kind, gone.index) == ("gone", name)
    assert brief([gap]) == [("missing", 3, 5)]
    changed = [*store.lines[3:5], store.lines[5].replace(b"org_1", b"org_0")]
    store.put(changed)
    found, _ = store.verify()
    assert [one.kind for one in found] == ["digest", "altered"]


def test_a_partition_that_went_when_its_time_had_come_is_no_loss(store: Store) -> None:
    """Be it the first or, as after a restore, one between two."""
    store.put(store.lines)
    for number in (0, 3):
        store.seal(store.partition(number))
    store.end(store.partition(0), DELETED)
    found, verification = store.verify()
    assert found == []
    assert verification.summary.late_beginnings == 1
    store.put(store.lines[:3])
    store.end(store.partition(3), DELETED)
    (one,), verification = store.verify()
    assert (brief([one]), one.is_warning) == ([("deleted", 3, 5)], True)
    assert verification.summary.errors == 0


def test_a_partition_that_was_recorded_as_missing_stays_a_loss(store: Store) -> None:
    store.put(store.lines)
    store.seal(store.partition(3))
    store.end(store.partition(3), MISSING)
    (gone, gap), _ = store.verify()
    assert (gone.kind, gap.kind) == ("gone", "missing")
    assert "which the lifecycle recorded at" in gone.problem


@pytest.mark.parametrize(
    ("is_sealed", "is_recorded"), [(True, True), (True, False), (False, False)]
)
def test_a_partition_that_goes_while_it_is_read_is_told_and_the_others_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, is_sealed: bool, is_recorded: bool
) -> None:
    """By the lifecycle, as its time has come, or by hand."""
    monkeypatch.setattr("indexer.store_reading.PAGE_EVENTS", 1)
    altered = store.lines[8].replace(b"member.invited", b"member.removed")
    store.put([*store.lines[:8], altered])
    name = store.partition(3)
    if is_sealed:
        store.seal(name)
    waiting = iter([name])

    def report(read: str, _done: int, _total: int) -> None:
        for one in waiting if read == name else ():
            if is_recorded:
                store.end(one, DELETED)
            else:
                with store.cluster.admin() as admin:
                    assert ask(admin, "DELETE", f"/{one}").status == 200

    found, verification = store.verify(report=report)
    kinds = ["deleted", "deleted"] if is_recorded else ["gone", "missing"]
    assert [one.kind for one in found] == ["altered", *kinds]
    assert f"{name} was deleted while it was read" in found[1].problem
    assert (verification.summary.errors, verification.summary.warnings) == (
        (1, 2) if is_recorded else (3, 0)
    )
    assert verification.summary.events == 6


def test_a_source_that_begins_late_though_nothing_was_deleted_is_pointed_at(store: Store) -> None:
    store.put(store.lines[2:])
    (one,), verification = store.verify()
    assert (one.kind, one.first_seq, one.is_warning) == ("beginning", 2, True)
    assert verification.summary.errors == 0


def test_only_what_was_asked_for_is_read_and_its_edges_are_no_loss(store: Store) -> None:
    """The clock was set back: an event of before stands behind one of the time asked for."""
    store.put(store.lines)
    since = datetime(2026, 3, 1, tzinfo=UTC)
    found, verification = store.verify(since=since, until=datetime(2026, 4, 10, tzinfo=UTC))
    assert (found, verification.summary.events, verification.summary.indices) == ([], 4, 2)
    found, verification = store.verify(names=[store.partition(3)])
    assert (found, verification.summary.events, verification.summary.indices) == ([], 3, 1)
    with pytest.raises(StoreError, match="no index nobody"):
        store.verify(names=["nobody"])


def test_what_lies_outside_of_the_time_is_not_missing(store: Store, tmp_path: Path) -> None:
    """A clock that was set, back and forth."""
    days = [DAYS[4], DAYS[0], DAYS[5], DAYS[8], DAYS[6]]
    fields = [{"action": "member.invited", "at": day} for day in days]
    store.put(write_events(tmp_path / "b.log", fields, DAYS[0]))
    since = datetime(2026, 3, 1, tzinfo=UTC)
    found, verification = store.verify(since=since, until=datetime(2026, 4, 10, tzinfo=UTC))
    assert (found, verification.summary.events) == ([], 3)


def test_an_event_that_arrives_while_it_reads_is_not_missing(store: Store) -> None:
    store.put([*store.lines[:4], *store.lines[5:]])
    waiting = iter([store.lines[4:5]])

    def report(name: str, _done: int, _total: int) -> None:
        if name == store.partition(8):
            for lines in waiting:
                store.put(lines)

    found, _ = store.verify(report=report)
    assert found == []
    assert next(waiting, None) is None


def test_what_arrives_is_compared_all_the_same(store: Store) -> None:
    store.put([*store.lines[:4], *store.lines[5:]])
    waiting = iter([[store.lines[4].replace(b"member.invited", b"member.removed")]])

    def report(name: str, _done: int, _total: int) -> None:
        if name == store.partition(8):
            for lines in waiting:
                store.put(lines)

    found, _ = store.verify(report=report)
    assert brief(found) == [("altered", 4, 4)]


def test_a_gap_that_an_agent_told_of_says_so(store: Store, tmp_path: Path) -> None:
    store.put([*store.lines[:4], *store.lines[5:]])
    source_id = decode_envelope(store.lines[0]).source.id
    gap = {
        "action": "audit_log.gap_detected",
        "organization_id": "_system",
        "resource": {"type": "source", "id": source_id},
        "context": {"firstSeq": 4, "lastSeq": 4},
    }
    store.put(write_events(tmp_path / "agent.log", [gap], "2026-03-20T10:00:00Z"))
    (one,), _ = store.verify()
    assert "the agent missed it, too, and told so at 2026-03-20T10:00:00.000000Z" in one.problem


def test_a_closed_index_is_told_and_not_passed_over(store: Store) -> None:
    store.put(store.lines)
    with store.cluster.admin() as admin:
        assert ask(admin, "POST", f"/{store.partition(8)}/_close").status == 200
    (one,), _ = store.verify()
    assert (one.kind, one.index) == ("closed", store.partition(8))


@pytest.mark.parametrize("poison", [{"blocks.read": True}, {"max_result_window": 10}])
@pytest.mark.parametrize("month", ["2026.05", "2026.07"])
def test_an_index_that_refuses_keeps_no_verdict_on_the_others_away(
    store: Store, poison: dict[str, object], month: str
) -> None:
    """Whoever has the writer's password can make one, of a time that is asked for or not."""
    store.put([*store.lines[:4], *store.lines[5:]])
    name = f"{store.index.prefix}-events-{month}"
    body = msgspec.json.encode({"settings": {"index": poison}})
    with store.cluster.client("writer") as writer:
        assert ask(writer, "PUT", f"/{name}", body=body).status == 200
    found, verification = store.verify()
    unread = [one.index for one in found if one.kind == "unread"]
    assert brief([one for one in found if one.kind != "unread"]) == [("missing", 4, 4)]
    assert unread == ([name, ""] if month == "2026.05" else [""])
    assert verification.summary.indices == 3


def test_pages_and_parts_hold_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store_reading.PAGE_EVENTS", 2)
    monkeypatch.setattr("indexer.spool.PART_EVENTS", 1)
    monkeypatch.setattr("indexer.spool.HELD_EVENTS", 1)
    monkeypatch.setattr("indexer.spool.BUFFER_BYTES", 1)
    store.put(store.lines)
    found, verification = store.verify()
    assert (found, verification.summary.events) == ([], 9)
    since = datetime(2026, 3, 1, tzinfo=UTC)
    assert store.verify(since=since)[0] == []


def test_a_cluster_that_goes_away_in_the_middle_says_nothing_of_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The point in time is gone, as after a restart of the node; then the node is."""
    monkeypatch.setattr("indexer.store_reading.PAGE_EVENTS", 1)
    store.put(store.lines)
    asked = itertools.count()

    def lose(_name: str, _done: int, _total: int) -> None:
        if next(asked) == 1:
            with store.cluster.admin() as admin:
                assert ask(admin, "DELETE", "/_search/point_in_time/_all").status == 200

    with pytest.raises((StoreError, NoAnswerError)):
        store.verify(report=lose)
