"""The worked example of docs/heads.md; `python -m tests.heads_example` writes its blocks anew."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode

from audit_events.canonical import canonical
from audit_events.chain import encode_hash, genesis, link
from indexer.head import (
    Head,
    OrganizationHead,
    OrganizationHeads,
    Share,
    Shares,
    prove,
    root_of_shares,
    share_leaf,
    sign,
)
from indexer.signing_key import describe
from indexer.tree import Tree, leaf_hash, node_hash

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "heads.md"
KEY: Final = OKPKey.import_key(
    {
        # Of RFC 8037, appendix A.1: everybody has it.
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
)
SOURCE_ID: Final = "01986e4e-1800-7000-8000-000000000000"
_FIRST: Final = "2026-08-03T09:30:00.000000Z"
MOMENTS: Final = (_FIRST, _FIRST, "2026-08-31T08:00:00.000000Z")
_BLOCK: Final = re.compile(r"(<!-- (\w+) -->\n```\w*\n)(.*?)(```)", re.DOTALL)


def lines() -> list[bytes]:
    """Return the organisation's events as they are stored, in the order of the tree."""
    previous, stored = genesis(SOURCE_ID), list[bytes]()
    for seq, moment in enumerate(MOMENTS):
        event: dict[str, object] = {
            "action": "member.invited",
            "actor": {"id": "u_1", "type": "user"},
            "id": f"01986e4e-1800-7000-8000-00000000000{seq + 1}",
            "organizationId": "org_acme",
            "schemaVersion": 1,
            "source": {"host": "h", "id": SOURCE_ID, "seq": seq, "service": "s"},
            "timestamp": moment,
        }
        previous = link(previous, canonical(event))
        line = canonical({**event, "hash": encode_hash(previous)})
        stored.append(line[:-1] + f',"ingestedAt":"{moment[:17]}01.000000Z"}}'.encode())
    return stored[::-1]


def shares() -> Shares:
    """Return the shares of a partition of two organisations."""
    tree = Tree()
    tree.add(lines())
    return {
        "org_acme": Share(3, encode_hash(tree.root())),
        "org_other": Share(1, encode_hash(leaf_hash(b"an event of another organisation"))),
    }


def head() -> Head:
    """Return the head of that partition."""
    return Head(
        number=1,
        previous=None,
        partition="audit-events-2026.08",
        index_uuid="hPr3kzBdQ2mYyXqRVtL7aw",
        events=4,
        first="2026-08-03T09:30:00.000000Z",
        last="2026-08-31T08:00:00.000000Z",
        sha256="0" * 64,
        organizations=2,
        root=root_of_shares(shares()),
        sealed_at="2026-09-08T00:00:00.000000Z",
        retention_days=365,
    )


def heads() -> OrganizationHeads:
    """Return what the organisation keeps."""
    share = prove(shares(), "org_acme")
    return OrganizationHeads("org_acme", (OrganizationHead(sign(head(), KEY), share),))


def blocks() -> Mapping[str, str]:
    """Return the blocks of the document, by name."""
    stored, ours = lines(), shares()["org_acme"]
    hashes = [leaf_hash(one) for one in stored]
    first = node_hash(hashes[0], hashes[1])
    text = canonical({"events": ours.events, "organizationId": "org_acme", "root": ours.root})
    tree = [
        *(f"leaf {at}      {one.hex()}" for at, one in enumerate(hashes)),
        f"node 0, 1   {first.hex()}",
        f"root        {node_hash(first, hashes[2]).hex()}",
        f"base64url   {ours.root}",
    ]
    other = share_leaf("org_other", shares()["org_other"])
    leaf = share_leaf("org_acme", ours)
    share = [
        f"text        {text.decode()}",
        f"leaf        {leaf.hex()}",
        f"path[0]     {other.hex()}",
        f"root        {node_hash(leaf, other).hex()}",
        f"base64url   {head().root}",
    ]
    document = heads()
    signed = document.heads[0].head
    contents = {
        "key": describe(KEY),
        "events": b"\n".join(stored).decode(),
        "tree": "\n".join(tree),
        "share": "\n".join(share),
        "head": msgspec.json.format(msgspec.json.encode(head())).decode(),
        "header": urlsafe_b64decode(signed.split(".")[0].encode()).decode(),
        "document": msgspec.json.format(msgspec.json.encode(document)).decode(),
    }
    return {name: f"{content}\n" for name, content in contents.items()}


def blocks_of(text: str) -> Mapping[str, str]:
    """Return the named blocks of a document."""
    return {name: content for _, name, content, _ in _BLOCK.findall(text)}


def main() -> None:
    """Write the blocks into the document."""
    current = blocks()
    text = DOCUMENT.read_text()
    text = _BLOCK.sub(lambda one: one[1] + current.get(one[2], one[3]) + one[4], text)
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
