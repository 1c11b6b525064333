"""Signed heads against whoever can rewrite all of a store: on a real node, as the admin."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from joserfc.jwk import OKPKey

from audit_events.event import Resource
from audit_events.instant import format_instant, parse_instant
from indexer.client import ask
from indexer.digest import digest_partition
from indexer.head import sign
from indexer.head_row import read_row
from indexer.head_verification import Evidence
from indexer.journal import PARTITION, Journal, Key
from indexer.names import journal_name
from indexer.records import DELETED, SEALED, Subject, record_seal
from indexer.seal_parts import split
from indexer.settings import IndexSettings
from indexer.signing import next_head
from indexer.span import span_of
from indexer.store_findings import Finding
from tests.cluster import Cluster
from tests.test_indexer_head import HEAD
from tests.test_indexer_store_verification import DAYS, Store
from tests.webapi_api import write_events

pytestmark = pytest.mark.opensearch

KEY, FOREIGN = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
SEALED_AT: Final = "2026-05-10T00:00:00.000000Z"


def write_lines(path: Path, action: str) -> list[bytes]:
    """A source with three events in each of three months."""
    fields: list[dict[str, Any]] = [
        {"action": action, "organization_id": f"org_{number % 2}", "at": day}
        for number, day in enumerate(DAYS)
    ]
    return write_events(path, fields, DAYS[0])


@dataclass
class Sealing:
    """Seals partitions of a store as the lifecycle does, and keeps each head."""

    store: Store
    key: OKPKey | None
    heads: list[str] = field(default_factory=list)

    def seal(
        self,
        name: str,
        *,
        head: str | None = None,
        days: int = 365,
        at: str = SEALED_AT,
    ) -> None:
        """Record what a partition holds, with its head.

        Args:
            name: of the partition.
            head: not a new one, but this.
            days: the retention of the sealing.
            at: when that is said to have been.
        """
        store, span = self.store, span_of(name, self.store.index)
        assert span is not None
        with store.cluster.client("reader") as reader, store.cluster.client("lifecycle") as client:
            digest = digest_partition(reader, name)
            subject = Subject(name, store.uuid(name), span)
            if self.key is not None and head is None:
                said = next_head(
                    self.heads,
                    subject,
                    digest,
                    sealed_at=parse_instant(at),
                    retention_days=days,
                )
                head = sign(said, self.key)
                self.heads.append(head)
            record_seal(
                Journal(client, store.index),
                subject,
                digest,
                more={},
                beat=lambda: None,
                sign=lambda: head or "",
            )
            store.refresh()


@pytest.fixture
def store(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Store:
    return Store(opensearch, index, write_lines(tmp_path / "a.log", "member.invited"))


@pytest.fixture
def sealing(store: Store) -> Sealing:
    """Three partitions of one source; two of them are sealed."""
    store.put(store.lines)
    sealing = Sealing(store, KEY)
    for number in (0, 3):
        sealing.seal(store.partition(number))
    return sealing


def evidence(kept: Sequence[str] | None, *, key: OKPKey = KEY, end: str = "\n") -> Evidence:
    if kept is None:
        return Evidence([key])
    lines = [(f"line {number}", f"{one}\n") for number, one in enumerate(kept, 1)]
    lines[-1] = (lines[-1][0], f"{kept[-1]}{end}")
    return Evidence([key], read_row("kept", lines, [key]))


def kinds(found: Sequence[Finding]) -> list[tuple[str, int | None]]:
    return [(one.kind, one.head_number) for one in found]


def delete(cluster: Cluster, *names: str) -> None:
    with cluster.admin() as admin:
        for name in names:
            assert ask(admin, "DELETE", f"/{name}").status == 200


def test_a_store_that_is_as_it_was_signed_holds(sealing: Sealing) -> None:
    for kept, count in ((sealing.heads, 2), (sealing.heads[:1], 1), (None, 0)):
        found, verification = sealing.store.verify(evidence=evidence(kept))
        assert found == []
        assert (verification.summary.heads, verification.summary.kept_heads) == (2, count)


def rewrite(sealing: Sealing, path: Path, forger: OKPKey | None, heads: Sequence[str]) -> None:
    """As the admin: other events with chains that hold, and a journal that fits.

    Args:
        sealing: of the store.
        path: of a file for the events.
        forger: signs the forged seals.
        heads: what the journal is given instead; empty for none.
    """
    store = sealing.store
    names = [store.partition(number) for number in (0, 3, 6)]
    delete(store.cluster, *names, journal_name(store.index))
    store.put(write_lines(path, "member.removed"))
    forged = Sealing(store, forger)
    for number, name in enumerate(names[:2]):
        forged.seal(name, head=heads[number] if heads else None)


FORGERIES: dict[str, tuple[OKPKey | None, bool, list[str], list[str]]] = {
    "without a head": (
        None, False, ["rewritten", "unsigned", "head", "head"], ["unsigned"],
    ),
    "with the old heads": (None, True, ["head"] * 4, ["head"] * 4),
    "with heads of another key": (
        FOREIGN, False, ["signature", "rewritten", "head", "head"], ["signature"],
    ),
    "with the key": (KEY, False, ["rewritten", "fork", "fork", "head", "head"], []),
}  # fmt: skip
"""Who signs, whether the journal has the old heads again, and what is told: with what was kept,
and without."""


@pytest.mark.parametrize("forgery", FORGERIES)
def test_who_rewrites_all_of_it_is_seen_by_what_was_kept(
    sealing: Sealing, tmp_path: Path, forgery: str
) -> None:
    forger, has_old, with_kept, without = FORGERIES[forgery]
    store = sealing.store
    rewrite(sealing, tmp_path / "forged.log", forger, sealing.heads if has_old else ())
    plain, verification = store.verify()
    assert plain == [], "the chains and the journal hold"
    assert verification.summary.sealed == 2
    found, verification = store.verify(evidence=evidence(sealing.heads))
    assert [one.kind for one in found] == with_kept
    assert verification.summary.errors
    assert "is another index than then" in found[-1].problem
    assert [one.index for one in found[-2:]] == [store.partition(0), store.partition(3)]
    found, _ = store.verify(evidence=evidence(None))
    assert [one.kind for one in found] == without
    found, _ = store.verify(evidence=evidence(sealing.heads), names=[store.partition(3)])
    assert {one.index for one in found if one.kind == "head"} == {store.partition(3)}


def test_who_leaves_a_partition_out_with_its_record_is_seen(sealing: Sealing) -> None:
    """The journal is written anew without the last sealing, and its source ends before."""
    store = sealing.store
    names = [store.partition(number) for number in (0, 3, 6)]
    delete(store.cluster, *names[1:], journal_name(store.index))
    again = Sealing(store, KEY)
    again.seal(names[0], head=sealing.heads[0])
    assert store.verify()[0] == []
    assert store.verify(evidence=evidence(None))[0] == []
    found, _ = store.verify(evidence=evidence(sealing.heads))
    assert kinds(found) == [("rewritten", 2)]


def test_no_journal_is_a_rewritten_one(sealing: Sealing) -> None:
    delete(sealing.store.cluster, journal_name(sealing.store.index))
    found, _ = sealing.store.verify(evidence=evidence(sealing.heads))
    assert kinds(found) == [("rewritten", None)]


def test_one_that_is_lost_of_the_file_or_of_the_journal_is_told(sealing: Sealing) -> None:
    store, heads = sealing.store, sealing.heads
    found, _ = store.verify(evidence=evidence(heads[1:]))
    assert (kinds(found), found[0].is_warning) == ([("unkept", 1)], True)
    found, _ = store.verify(evidence=evidence([*heads, heads[1][:300]], end=""))
    assert (kinds(found), found[0].is_warning) == ([("cut", None)], True)
    found, _ = store.verify(evidence=evidence([sign(HEAD, KEY)]))
    assert kinds(found) == [("rewritten", 1), ("fork", 1)], "of another log with the same key"
    found, _ = store.verify(evidence=evidence(heads, key=FOREIGN))
    assert [one.kind for one in found] == ["signature", "signature"]


def test_a_partition_that_went_when_its_time_had_come_is_no_loss(store: Store) -> None:
    store.put(store.lines)
    sealing = Sealing(store, KEY)
    names = [store.partition(number) for number in (0, 3)]
    for name, days in zip(names, (30, 5000), strict=True):
        sealing.seal(name, days=days)
        store.end(name, DELETED)
    found, _ = store.verify(evidence=evidence(sealing.heads))
    assert kinds(found) == [("early", 2)]
    assert "its retention of 5000 days had not ended" in found[0].problem


def test_one_more_event_in_a_sealed_partition_is_told(sealing: Sealing, tmp_path: Path) -> None:
    """In the very index that was signed."""
    store = sealing.store
    more = {"action": "member.invited", "organization_id": "org_1", "at": DAYS[1]}
    store.put(write_events(tmp_path / "b.log", [more], DAYS[0]))
    found, _ = store.verify(evidence=evidence(None))
    assert [one.kind for one in found] == ["head", "digest"]
    assert found[0].problem.startswith(f"{store.partition(0)} is not what head 1")
    assert "events 4, not 3" in found[0].problem


def test_a_partition_that_was_brought_back_as_it_was_holds(sealing: Sealing) -> None:
    """By hand, or as after the loss of a cluster: its index is another one."""
    store = sealing.store
    delete(store.cluster, store.partition(0))
    assert kinds(store.verify(evidence=evidence(sealing.heads))[0])[0] == ("gone", None)
    store.put(store.lines[:3])
    assert store.verify(evidence=evidence(sealing.heads))[0] == []


def test_a_name_that_lives_again_after_it_was_deleted_has_a_head_of_its_own(store: Store) -> None:
    """Events of that time came after a longer retention was set."""
    store.put(store.lines)
    sealing, name = Sealing(store, KEY), store.partition(0)
    sealing.seal(name, days=30)
    store.end(name, DELETED)
    store.put(store.lines[1:3])
    sealing.seal(name, days=30, at=format_instant(datetime.now(UTC)))
    found, verification = store.verify(evidence=evidence(sealing.heads))
    assert [one.kind for one in found] == ["beginning"]
    assert (verification.summary.heads, verification.summary.sealed) == (2, 1)


def test_a_record_of_a_sealing_that_is_not_whole_vouches_for_nothing(sealing: Sealing) -> None:
    """Somebody with the lifecycle's password added another one of the same index."""
    store = sealing.store
    name = store.partition(0)
    span = span_of(name, store.index)
    assert span is not None
    with store.cluster.client("lifecycle") as lifecycle, store.cluster.client("reader") as reader:
        journal, digest = Journal(lifecycle, store.index), digest_partition(reader, name)
        (context,) = split(store.uuid(name), digest)
        key = Key("another", span.end)
        resource = Resource(type=PARTITION, id=name)
        journal.record(SEALED, key=key, context=context, resource=resource)
    store.refresh()
    found, _ = store.verify(evidence=evidence(sealing.heads))
    assert [one.kind for one in found] == ["head", "digest"]
    assert "the journal does not vouch for head 1" in found[0].problem


def test_a_head_that_stands_in_a_forged_record_too_is_told(sealing: Sealing) -> None:
    """Somebody with the lifecycle's password wrote it by hand, with a share that has no hash."""
    store = sealing.store
    path, name = f"/{journal_name(store.index)}", f"{store.index.prefix}-events-2020.01"
    with store.cluster.client("lifecycle") as lifecycle:
        hits = msgspec.json.decode(ask(lifecycle, "GET", f"{path}/_search").text)["hits"]["hits"]
        source = next(
            hit["_source"] for hit in hits if hit["_source"]["context"]["head"] == sealing.heads[0]
        )
        source["resource"]["id"] = name
        source["context"]["organizations"][0]["events"] = 2**60
        body = msgspec.json.encode(source)
        assert ask(lifecycle, "PUT", f"{path}/_create/forged", body=body).status == 201
    store.refresh()
    found, _ = store.verify(evidence=evidence(sealing.heads))
    told = [(one.kind, one.index) for one in found if not one.source_id]
    assert told == [("gone", name), ("head", store.partition(0))]
    (head,) = (one for one in found if one.kind == "head")
    assert "does not vouch for head 1" in head.problem
