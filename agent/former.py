"""Contents that are read no further: replaced, or that no glob matches any more."""

import os
from collections.abc import Callable, Iterator

from agent.content import Unpacked
from agent.parking import Parking
from agent.places import Key, Places
from agent.tail import Tail


class Former:
    """Keeps them until they are settled, and as long as a copy of them may turn up.

    Args:
        places: take over what no glob matches, in case one does again.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._replaced: list[Tail] = []
        self._let_go: list[Tail] = []

    def __iter__(self) -> Iterator[Tail]:
        yield from self._replaced
        yield from self._let_go

    def replace(self, tail: Tail) -> None:
        """Another content is there now."""
        self._replaced.append(tail)

    def let_go(self, tail: Tail) -> None:
        """No glob matches it any more."""
        self._let_go.append(tail)

    def holds(self, key: Key) -> bool:
        """Whether this file was let go, and something of it is not settled."""
        return self._of(key) is not None

    def take_back(
        self, key: Key, path: str, status: os.stat_result, parking: Parking
    ) -> Tail | None:
        """The tail of a file that was let go and is matched again, open; None for now if it is not.

        It is the same one, for its place is known to nobody else before all is settled: another one
        would take the file for a copy of itself, which nobody writes to. Whether the file has its
        content still, reading tells.
        """
        tail = self._of(key)
        if tail is None or isinstance(tail.content, Unpacked):
            # An archive is left alone until it is settled: its place has to be searched for.
            return None
        tail.path, tail.looked = path, None
        if not parking.is_reopened(tail, status):
            return None
        self._let_go.remove(tail)
        tail.gone = False
        return tail

    def forget(self, is_over: Callable[[Tail], bool]) -> None:
        """Forget those that are settled, the replaced ones when their grace is over."""
        self._replaced = [
            tail for tail in self._replaced if not (tail.is_settled and is_over(tail))
        ]
        self._places.put(tail.place() for tail in self._let_go if tail.is_settled)
        self._let_go = [tail for tail in self._let_go if not tail.is_settled]

    def _of(self, key: Key) -> Tail | None:
        return next((tail for tail in self._let_go if (tail.device, tail.inode) == key), None)
