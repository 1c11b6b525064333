"""Partitions with their heads and exports of them, as sealing and exporting make them, in files."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from joserfc.jwk import OKPKey

from audit_events.chain import encode_hash
from indexer.head import (
    Head,
    OrganizationHead,
    OrganizationHeads,
    Share,
    Shares,
    head_hash,
    prove,
    root_of_shares,
    sign,
)
from indexer.signing_key import describe
from indexer.tree import Tree
from tests.webapi_api import write_events

SEALED_AT = "2026-12-01T00:00:00.000000Z"
LATE_AT = "2026-12-05T10:00:00.000000Z"
AS_OF = "2026-12-20T00:00:00.000000Z"


def ingested(line: bytes, at: str) -> bytes:
    """Return a line as it is stored."""
    return line.removesuffix(b"}") + f',"ingestedAt":"{at}"}}'.encode()


def events_at(path: Path, moments: Iterable[tuple[str, str]], service: str = "") -> list[bytes]:
    """Return stored lines of organisations at moments, ingested an hour after they happened."""
    events: list[dict[str, Any]] = [
        {"action": "member.invited", "organization_id": whose, "at": at} for whose, at in moments
    ]
    lines = write_events(path, events, "2026-08-01T00:00:00Z") if events else []
    if service:
        lines = [
            one.replace(b'"service":"tests"', f'"service":"{service}"'.encode()) for one in lines
        ]
    return [ingested(one, f"{read(one)['timestamp'][:11]}23:30:00.000000Z") for one in lines]


def read(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


def in_order(lines: Iterable[bytes]) -> list[bytes]:
    """Return them as the digest has those of one organisation: the newest first."""
    return sorted(lines, key=lambda one: (read(one)["timestamp"], read(one)["id"]), reverse=True)


def shares_of(lines: Iterable[bytes]) -> dict[str | None, Share]:
    """Return the share of each organisation, whose lines these are."""
    by_organization: defaultdict[str | None, list[bytes]] = defaultdict(list)
    for line in lines:
        by_organization[read(line)["organizationId"]].append(line)
    shares: dict[str | None, Share] = {}
    for whose, some in by_organization.items():
        tree = Tree()
        tree.add(in_order(some))
        shares[whose] = Share(len(some), encode_hash(tree.root()))
    return shares


class SealedWorld:
    """A key, and the heads that it signed, one behind the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key_path = home / "operator.jwk"
        self.use(OKPKey.generate_key("Ed25519"))
        self.retention_days = 30
        self.signed: list[str] = []
        self.shares: list[Shares] = []

    def use(self, key: OKPKey) -> None:
        """Sign with another key from now on, and publish it."""
        self.key = key
        self.key_path.write_text(describe(key))

    def seal(self, partition: str, lines: Sequence[bytes], sealed_at: str = SEALED_AT) -> None:
        """Sign a head of these lines."""
        self.sign(partition, shares_of(lines), sealed_at)

    def sign(self, partition: str, shares: Shares, sealed_at: str = SEALED_AT) -> None:
        """Sign a head of these shares."""
        head = Head(
            number=len(self.signed) + 1,
            previous=head_hash(self.signed[-1]) if self.signed else None,
            partition=partition,
            index_uuid=f"uuid-{len(self.signed)}",
            events=sum(one.events for one in shares.values()),
            first=None,
            last=None,
            sha256="0" * 64,
            organizations=len(shares),
            root=root_of_shares(shares),
            sealed_at=sealed_at,
            retention_days=self.retention_days,
        )
        self.signed.append(sign(head, self.key))
        self.shares.append(shares)

    def heads(self, organization_id: str = "org_a") -> OrganizationHeads:
        """Return what an organisation is given."""
        pairs = zip(self.signed, self.shares, strict=True)
        some = (OrganizationHead(one, prove(shares, organization_id)) for one, shares in pairs)
        return OrganizationHeads(organization_id, tuple(some))

    def document(self, heads: OrganizationHeads | None = None, name: str = "heads.json") -> Path:
        """Write it."""
        path = self.home / name
        path.write_bytes(msgspec.json.encode(heads or self.heads()))
        return path


def trailer(lines: Sequence[bytes], **more: object) -> dict[str, Any]:
    """Return what an export of these lines says of itself."""
    return {
        "events": len(lines),
        "organizationId": "org_a",
        "filters": {},
        "asOf": AS_OF,
        "sha256": hashlib.sha256(b"".join(one + b"\n" for one in lines)).hexdigest(),
        **more,
    }


def export(path: Path, lines: Sequence[bytes], **more: object) -> Path:
    """Write an export of lines in the order given."""
    last = json.dumps({"export": trailer(lines, **more)}, separators=(",", ":")).encode()
    path.write_bytes(b"".join(one + b"\n" for one in [*lines, last]))
    return path
