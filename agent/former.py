"""Contents that are read no further: replaced, or that no glob matches any more."""

from collections.abc import Callable, Iterator

from agent.places import Places
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

    def forget(self, is_over: Callable[[Tail], bool]) -> None:
        """Forget those that are settled, the replaced ones when their grace is over."""
        self._replaced = [
            tail for tail in self._replaced if not (tail.is_settled and is_over(tail))
        ]
        self._places.keep(tail.place() for tail in self._let_go if tail.is_settled)
        self._let_go = [tail for tail in self._let_go if not tail.is_settled]
