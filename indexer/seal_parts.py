"""A sealing as it is recorded: in parts that fit in an event each, and put together again. Pure.

Part 1 is the one that counts, and has what no other has: the share of what has no place, and the
signed head. Parts of one sealing have one root; what an attempt left that was cut off, of an older
version or before something was added, has another one, and is of no sealing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.head import Share, Shares, root_of_shares
from indexer.journal import ORGANIZATIONS

PART_ORGANIZATIONS: Final = 300
PART_BYTES: Final = 24_000
"""Of ids in one event: with the rest of each entry (81 bytes at most), of the event and of a head
it stays below 52 KiB of the 64 KiB of a line."""
NEWER: Final = "a newer version may have written it; nothing is deleted until it can be read"
FORGED: Final = (
    "change the lifecycle's password; the record that the journal took first (`_seq_no`) is ours,"
    " unless somebody had the password before the sealing"
)


class OrganizationShare(Struct, frozen=True):
    """The share of one organisation; `root` is empty where an older version recorded it."""

    id: str
    events: int
    root: str = ""


class SealPart(Struct, frozen=True, rename="camel", kw_only=True):
    """What is read of one part."""

    index_uuid: str
    events: int
    sha256: str
    parts: int
    part: int = 1
    first: str | None = None
    last: str | None = None
    organizations: tuple[OrganizationShare, ...] = ()
    unplaced: Share | None = None
    root: str = ""
    head: str = ""


def split(uuid: str, digest: Digest) -> list[dict[str, object]]:
    """Return the contexts that record a sealing, part 1 first; of the index `uuid`."""
    root, unplaced = root_of_shares(digest.shares), digest.shares.get(None)
    parts = list(cut(digest.shares)) or [{}]
    contexts: list[dict[str, object]] = [
        {
            "indexUuid": uuid,
            "events": digest.events,
            "first": digest.first,
            "last": digest.last,
            "sha256": digest.sha256,
            "root": root,
            "part": number,
            "parts": len(parts),
            ORGANIZATIONS: [
                {"id": one, "events": share.events, "root": share.root}
                for one, share in part.items()
            ],
        }
        for number, part in enumerate(parts, 1)
    ]
    if unplaced is not None:
        contexts[0]["unplaced"] = {"events": unplaced.events, "root": unplaced.root}
    return contexts


def cut(shares: Shares) -> Iterator[dict[str, Share]]:
    """Return the shares of organisations in parts, always cut in the same way."""
    part: dict[str, Share] = {}
    size = 0
    for one in sorted(one for one in shares if one is not None):
        # A letter may come to six bytes in JSON (`\u001f`).
        length = len(msgspec.json.encode(one))
        if part and (len(part) == PART_ORGANIZATIONS or size + length > PART_BYTES):
            yield part
            part, size = {}, 0
        part[one] = shares[one]
        size += length
    if part:
        yield part


def join(name: str, uuid: str, parts: Sequence[SealPart]) -> list[SealPart]:
    """Return the parts of one sealing, the one that counts first.

    Args:
        name: of the partition.
        uuid: of the index that was sealed.
        parts: all that are recorded of this partition.

    Raises:
        JournalError: they are not all there, or not all of them are ours.
    """
    ours = [one for one in parts if one.index_uuid == uuid]
    first = next((one for one in ours if one.part == 1), None)
    if first is None:
        raise JournalError(f"the sealing of {name} is not recorded whole", hint=NEWER)
    same = [one for one in ours if one.part == 1 or one.root == first.root]
    by_number = {one.part: one for one in same}
    if len(by_number) < len(same):
        # The id of a record follows from the index and the part: there is one of each.
        raise JournalError(f"the sealing of {name} is recorded twice: one is forged", hint=FORGED)
    if len(by_number) != first.parts:
        raise JournalError(f"the sealing of {name} is not recorded whole", hint=NEWER)
    return [by_number[number] for number in sorted(by_number)]


def count_events(parts: Sequence[SealPart]) -> Mapping[str, int]:
    """Return how many events each organisation has."""
    return {one.id: one.events for part in parts for one in part.organizations}


def read_shares(name: str, parts: Sequence[SealPart]) -> Shares | None:
    """Return the share of each organisation; None where an older version recorded the sealing.

    Raises:
        JournalError: they do not come to the root that is recorded.
    """
    first = parts[0]
    if not first.root:
        return None
    shares: dict[str | None, Share] = {
        one.id: Share(one.events, one.root) for part in parts for one in part.organizations
    }
    if first.unplaced is not None:
        shares[None] = first.unplaced
    if root_of_shares(shares) != first.root:
        raise JournalError(
            f"the shares that the sealing of {name} is recorded with do not come to its root: some"
            " are forged",
            hint=FORGED,
        )
    return shares
