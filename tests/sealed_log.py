"""A journal with sealings and signed heads, recorded as the lifecycle does.

No partition is needed: what an organisation is shown of heads outlives all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from joserfc.jwk import OKPKey

from audit_events.chain import encode_hash
from audit_events.instant import parse_instant
from indexer.client import ask
from indexer.digest import Digest
from indexer.head import Share, Shares, sign
from indexer.journal import Journal
from indexer.names import journal_name
from indexer.records import Subject, record_seal
from indexer.settings import IndexSettings
from indexer.signing import next_head
from indexer.span import span_of
from tests.cluster import Cluster

KEY: Final = OKPKey.generate_key("Ed25519")
SEALED_AT: Final = "2026-11-08T00:00:00.000000Z"


def shares_of(counts: Mapping[str | None, int], seed: str = "") -> Shares:
    """Shares of so many events, whose roots stand for any."""
    return {
        one: Share(count, encode_hash(sha256(f"{seed}/{one}/{count}".encode()).digest()))
        for one, count in counts.items()
    }


def digest_of(shares: Shares) -> Digest:
    """What a partition of these shares holds; of its lines nobody asks."""
    events = sum(share.events for share in shares.values())
    return Digest(events=events, first=None, last=None, sha256="0" * 64, shares=shares)


@dataclass
class SealedLog:
    """What is sealed of one prefix."""

    cluster: Cluster
    index: IndexSettings
    heads: list[str] = field(default_factory=list[str])
    shares: list[Shares] = field(default_factory=list[Shares])

    def name(self, day: str, kind: str = "events") -> str:
        """The partition of `2026.10`, or of `2026.10.05`."""
        return f"{self.index.prefix}-{kind}-{day}"

    def seal(
        self, counts: Mapping[str | None, int], day: str, *, kind: str = "events", uuid: str = "u"
    ) -> None:
        """Record a partition as sealed, with the next head."""
        name = self.name(day, kind)
        shares = shares_of(counts, name)
        self.heads.append(self.sign(name, shares, uuid))
        self.shares.append(shares)
        self.record(name, shares, self.heads[-1], uuid)

    def subject(self, name: str, uuid: str) -> Subject:
        """The index that records speak of."""
        span = span_of(name, self.index)
        assert span is not None
        return Subject(name, uuid, span)

    def sign(self, name: str, shares: Shares, uuid: str = "u") -> str:
        """The next head, signed."""
        head = next_head(
            self.heads,
            self.subject(name, uuid),
            digest_of(shares),
            sealed_at=parse_instant(SEALED_AT),
            retention_days=365,
        )
        return sign(head, KEY)

    def record(self, name: str, shares: Shares, signed: str, uuid: str = "u") -> None:
        """Record a sealing with any head, or none."""
        with self.cluster.client("lifecycle") as lifecycle:
            journal = Journal(lifecycle, self.index)
            record_seal(
                journal,
                self.subject(name, uuid),
                digest_of(shares),
                more={},
                beat=lambda: None,
                sign=lambda: signed,
            )
        self.refresh()

    def refresh(self) -> None:
        """Let what was recorded be found."""
        with self.cluster.admin() as admin:
            assert ask(admin, "POST", f"/{journal_name(self.index)}/_refresh").status == 200
