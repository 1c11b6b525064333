"""Merkle trees (RFC 9162, section 2.1): one hash that stands for a row of leaves, and proofs of it.

    leaf = SHA-256(0x00 || data)    node = SHA-256(0x01 || left || right)    empty = SHA-256("")

A tree of n leaves splits at the largest power of two below n. Hashes are 32 raw bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of what stands above two others."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf; it holds one hash for each bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []
        """Roots of the complete trees it consists of, the largest first."""

    def add(self, leaves: Iterable[bytes]) -> None:
        """Take more leaves' data, in order."""
        for data in leaves:
            self.add_hash(leaf_hash(data))

    def add_hash(self, leaf: bytes) -> None:
        """Take one more leaf by its hash."""
        top, complete = leaf, self._complete
        self.size += 1
        size = self.size
        while not size & 1:
            top = node_hash(complete.pop(), top)
            size >>= 1
        complete.append(top)

    def root(self) -> bytes:
        """Return the hash of all leaves so far."""
        if not self._complete:
            return EMPTY_ROOT
        *lefts, top = self._complete
        for left in reversed(lefts):
            top = node_hash(left, top)
        return top


def rows_of(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the rows of a tree: the hashes of all leaves, those above them, last the root alone.

    Each row is its hashes joined, which is how the most of them fit into memory. The last one of a
    row that has none beside it stands in the row above, too.
    """
    row = list(leaves)
    rows = [b"".join(row)]
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        row = above + row[len(above) * 2 :]
        rows.append(b"".join(row))
    return rows


def inclusion_path(rows: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from one leaf to the root, the nearest first.

    Args:
        rows: as `rows_of` returned them.
        index: which of the leaves.
    """
    places = ((index >> height) ^ 1 for height in range(len(rows) - 1))
    beside = [hash_at(row, place) for row, place in zip(rows, places, strict=False)]
    return [one for one in beside if one]


def hash_at(row: bytes, index: int) -> bytes:
    """Return one of the hashes that are joined in a row; empty where it has fewer."""
    return row[index * HASH_BYTES : (index + 1) * HASH_BYTES]


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2), None where it can be no path.

    Args:
        leaf: the hash of the leaf.
        index: which leaf of the tree it is.
        size: how many leaves the tree has.
        path: as `inclusion_path` returned it.
    """
    if not 0 <= index < size:
        return None
    here, last, root = index, size - 1, leaf
    for hash_ in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            root = node_hash(hash_, root)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            root = node_hash(root, hash_)
        here, last = here >> 1, last >> 1
    return root if last == 0 else None
