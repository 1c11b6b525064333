"""What the journal says of a sealing, and that nobody's second word counts beside it."""

import pytest

from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.journal import Journal, Key
from indexer.records import SEALED, Subject, read_seal, record_seal
from indexer.settings import IndexSettings
from indexer.span import span_of
from tests.cluster import Cluster

NAME = "audit-events-2025.01"
DIGEST = Digest(3, None, None, "a" * 64, {"org_1": 2, "org_2": 1})


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
        assert (seal.events, seal.sha256, seal.organizations) == (
            3,
            "a" * 64,
            {"org_1": 2, "org_2": 1},
        )
        (true,) = journal.read([SEALED], with_organizations=True)
        context = {**(true.context or {}), "sha256": "b" * 64}
        forged = Key("forged", span.end)
        journal.record(SEALED, key=forged, context=context, resource=subject.resource)
        with pytest.raises(JournalError, match="recorded twice"):
            read_seal(journal, NAME, "uuid")
