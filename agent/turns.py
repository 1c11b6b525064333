"""Whose turn it is to be read: fairness between backlogs and fresh lines."""

from collections import deque

from agent.tail import Tail


class Turns:
    """Tails that have something to read, each at most once.

    Those near the end of their file come first, each once, then one that has a backlog: a thousand
    backlogs cost a fresh line the time of one read, and a thousand fresh lines hold no backlog up.
    """

    def __init__(self, near_bytes: int) -> None:
        self._near_bytes = near_bytes
        self._near: deque[Tail] = deque()
        self._far: deque[Tail] = deque()
        self._waiting: set[Tail] = set()
        self._round = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, tail: Tail) -> bool:
        return tail in self._waiting

    def add(self, tail: Tail) -> None:
        """Give it a turn, unless it waits for one."""
        if tail in self._waiting or tail.descriptor < 0:
            return
        self._waiting.add(tail)
        is_far = tail.size - tail.position > self._near_bytes
        (self._far if is_far else self._near).append(tail)

    def take(self) -> Tail | None:
        """The tail whose turn it is."""
        if self._near and (self._round > 0 or not self._far):
            self._round -= 1
            tail = self._near.popleft()
        elif self._far:
            self._round = len(self._near)
            tail = self._far.popleft()
        else:
            return None
        self._waiting.discard(tail)
        return tail
