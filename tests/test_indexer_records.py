"""What the journal says of a sealing, and that nobody's second word counts beside it."""

import pytest

from audit_events.chain import encode_hash
from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.head import Share, Shares
from indexer.journal import Journal, Key
from indexer.records import (
    SEALED,
    RecordedHead,
    Seal,
    Subject,
    read_heads,
    read_seal,
    record_seal,
)
from indexer.settings import IndexSettings
from indexer.span import span_of
from tests.cluster import Cluster

NAME = "audit-events-2025.01"
SHARES: Shares = {
    "org_1": Share(2, encode_hash(b"1" * 32)),
    "org_2": Share(1, encode_hash(b"2" * 32)),
    None: Share(1, encode_hash(b"3" * 32)),
}
DIGEST = Digest(4, None, None, "a" * 64, SHARES)


@pytest.mark.opensearch
def test_a_sealing_that_is_recorded_a_second_time_vouches_for_nothing(
    opensearch: Cluster, index: IndexSettings
) -> None:
    """As by somebody with the lifecycle's password, who altered the partition's snapshot."""
    span = span_of(NAME, IndexSettings())
    assert span is not None
    subject = Subject(NAME, "uuid", span)
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index)
        for _ in range(2):
            record_seal(journal, subject, DIGEST, more={}, beat=lambda: None)
        seal = read_seal(journal, NAME, "uuid")
        assert seal == Seal(
            "uuid", 4, None, None, "a" * 64, {"org_1": 2, "org_2": 1}, shares=SHARES, head=""
        )
        (true,) = journal.read([SEALED], with_organizations=True)
        context = {**(true.context or {}), "sha256": "b" * 64}
        forged = Key("forged", span.end)
        journal.record(SEALED, key=forged, context=context, resource=subject.resource)
        with pytest.raises(JournalError, match="recorded twice"):
            read_seal(journal, NAME, "uuid")


@pytest.mark.opensearch
def test_a_head_stands_in_the_record_that_counts_and_is_read_with_those_of_all(
    opensearch: Cluster, index: IndexSettings
) -> None:
    shares: Shares = {f"org_{number:04}": SHARES[None] for number in range(301)}
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index)
        asked: list[int] = []

        def sign() -> str:
            asked.append(len(journal.read((SEALED,))))
            return f"head {len(asked)}"

        def record(name: str, uuid: str, digest: Digest) -> None:
            span = span_of(name, IndexSettings())
            assert span is not None
            subject = Subject(name, uuid, span)
            record_seal(journal, subject, digest, more={}, beat=lambda: None, sign=sign)

        record("audit-events-2025.02", "b", DIGEST)
        record(NAME, "a", Digest(301, None, None, "b" * 64, shares))
        # Again, as after a crash: what the journal has stays.
        record(NAME, "a", Digest(301, None, None, "b" * 64, shares))
        assert asked == [0, 2, 3]
        assert read_heads(journal) == [
            RecordedHead("audit-events-2025.02", "b", "head 1"),
            RecordedHead(NAME, "a", "head 2"),
        ]
        seal = read_seal(journal, NAME, "a")
        assert (seal.head, seal.shares) == ("head 2", shares)


@pytest.mark.opensearch
def test_ten_thousand_organisations_are_recorded_and_read_back(
    opensearch: Cluster, index: IndexSettings
) -> None:
    shares: Shares = {
        f"org_{number:05}{'-' * 31}": Share(number, encode_hash(number.to_bytes(32)))
        for number in range(10_000)
    }
    span = span_of(NAME, IndexSettings())
    assert span is not None
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index)
        many = Digest(49_995_000, None, None, "a" * 64, shares)
        record_seal(journal, Subject(NAME, "uuid", span), many, more={}, beat=lambda: None)
        seal = read_seal(journal, NAME, "uuid")
    assert seal.shares == shares
    assert sum(seal.organizations.values()) == seal.events
