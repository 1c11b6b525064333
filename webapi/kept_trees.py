"""The trees of sealed partitions that were asked for last, within a bound of memory."""

from collections import OrderedDict
from threading import Lock
from typing import Final

from indexer.head import ShareTree

MOST_SHARES: Final = 200_000
"""Of all trees together; some 25 MB in each process."""


class KeptTrees:
    """Trees by the signed head that vouches for them: neither ever changes. Thread-safe.

    Args:
        most_shares: how many shares they may have together.
    """

    def __init__(self, most_shares: int = MOST_SHARES) -> None:
        self._most_shares = most_shares
        self._lock = Lock()
        self._trees: OrderedDict[str, ShareTree] = OrderedDict()
        self._shares = 0

    def find(self, head: str) -> ShareTree | None:
        """Return the tree of a head, if it is kept."""
        with self._lock:
            tree = self._trees.get(head)
            if tree is not None:
                self._trees.move_to_end(head)
            return tree

    def keep(self, head: str, tree: ShareTree) -> None:
        """Keep a tree, and let those go that were not asked for the longest."""
        with self._lock:
            if head in self._trees:
                return
            self._trees[head] = tree
            self._shares += _weight(tree)
            while self._shares > self._most_shares:
                _, gone = self._trees.popitem(last=False)
                self._shares -= _weight(gone)


def _weight(tree: ShareTree) -> int:
    # One without any takes room, too.
    return tree.size + 10
