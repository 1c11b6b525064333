"""The archives among the files: where a gzip archive goes on, and which ones are done with.

A rotated file that is compressed is a copy of a content that is known, and recognised as one: by
how it begins and by the bytes just before the place in it. To see these it is unpacked up to there,
a step at a turn, so that nobody waits for it. One that is not known is read from its start; what
was stored of it before is found a duplicate by its ids. One that is still being written is left
alone until it reaches the place, or has not grown for `COPYING_SECONDS`.

Each that is unpacked holds a window and what it unpacked last, some hundred KiB. So they are few at
a time (`AT_ONCE`), and a start that finds thousands needs no memory for all of them.

What was read to its end and is settled is closed and remembered with its size and its last bytes:
it is not unpacked again, at a restart neither, unless it changes.

One that ends too early is told as soon as it rests; whoever ends by itself (`--once`) waits for it.
"""

import os
import time
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from agent.content import Unpacked
from agent.discover import MAGIC_BYTES, archive_kind
from agent.identity import HEAD_BYTES, Place, agrees
from agent.places import COPYING_SECONDS, Key, Opened, Places
from agent.tail import Tail
from agent.turns import Turns
from agent.unreadable import Unreadable

AT_ONCE: Final = 128
_MOVED: Final = 16
"""So many that grow are put behind the others at a look: each is unpacked again from its start."""
Look = tuple[int, int]
"""Size and time of change."""


class Search:
    """Looks in one archive for the place from which it is read on.

    Args:
        opened: a gzip archive.
        content: what it unpacks to.
        path: its name, renewed by the owner.
        now: monotonic.
        left_globs: only worth reading if it is known.
    """

    __slots__ = ("_candidates", "_content", "_may_grow", "found", "grown", "is_waiting", "key",
                 "left_globs", "looked", "opened", "path")  # fmt: skip

    def __init__(
        self, opened: Opened, content: Unpacked, path: str, now: float, *, left_globs: bool
    ) -> None:
        self.opened, self.path, self.left_globs = opened, path, left_globs
        self.key = opened.key
        self.found: Place | None = None
        self.is_waiting = False
        """Whether it has to grow before more can be said."""
        self.grown = now - max(0.0, time.time() - opened.modified)
        self.looked: Look | None = None
        self._content = content
        self._candidates: list[Place] | None = None
        self._may_grow = True

    def look(self, now: float) -> None:
        """See whether it grew, or is not going to."""
        status = os.fstat(self._content.descriptor)
        look = (status.st_size, status.st_mtime_ns)
        if self.looked not in {None, look}:
            self.grown, self.is_waiting = now, False
        elif now - self.grown >= COPYING_SECONDS:
            self._may_grow = self.is_waiting = False
        self.looked = look

    def begin_anew(self) -> None:
        """Let go of all that was unpacked."""
        self._content = self.opened.content = Unpacked(self._content.descriptor)
        self._candidates, self.found, self.is_waiting = None, None, False
        self.opened.head = b""

    def step(self, places: Places) -> bool:
        """Unpack a little more; True when `found` is the place, or None if it is not known."""
        if self._candidates is None:
            head = self._content.pread(HEAD_BYTES, 0)
            if self._content.is_behind:
                return False
            if len(head) == HEAD_BYTES or not self._waits():
                self.opened.head = head
                self._candidates = places.of_archive(self.opened)
            return False
        if self._candidates:
            self._try(self._candidates)
            return False
        length = self.found.anchor.length if self.found else 0
        first = self.found.offset - length if self.found else 0
        if not self._content.advance(first):
            return False
        # What a tail begins with has to be at hand.
        self._content.pread(length, first)
        return not self._content.is_behind

    def _try(self, candidates: list[Place]) -> None:
        """Unpack towards the first of them, and see whether it is one."""
        place = candidates[0]
        length = place.anchor.length
        if not self._content.advance(place.offset - length):
            return
        anchor = self._content.pread(length, place.offset - length)
        if self._content.is_behind:
            return
        if len(anchor) < length and self._waits():
            return
        del candidates[0]
        if agrees(place.anchor, anchor):
            self.found = place

    def _waits(self) -> bool:
        self.is_waiting = self._may_grow and not self._content.is_over
        return self.is_waiting


class _Done(msgspec.Struct):
    place: Place
    looked: Look | None
    gone: float | None = None
    """Since when (monotonic) it is nowhere."""


class Archives:
    """All archives that no tail reads.

    Args:
        places: what is known of contents.
        unreadable: is told of those that cannot be read.
    """

    def __init__(self, places: Places, unreadable: Unreadable) -> None:
        self._places = places
        self._unreadable = unreadable
        self._searches: dict[Key, Search] = {}
        self._done: dict[Key, _Done] = {}
        self._turn = 0
        self.reading = 0
        """How many are read by tails: as counted last, and those that were taken up since."""

    def __contains__(self, key: Key) -> bool:
        return key in self._searches or key in self._done

    def __iter__(self) -> Iterator[Place]:
        """The places of those that are done with."""
        for done in self._done.values():
            yield done.place

    @property
    def has_more(self) -> bool:
        """Whether a `step` may bring something."""
        return bool(self._at_hand())

    def searches(self) -> set[Search]:
        """Those of which a `step` says more."""
        return {search for search in self._searches.values() if not search.is_waiting}

    @property
    def is_awaited(self) -> bool:
        """Whether one is still being written, or waits for its turn."""
        return bool(self._searches)

    def add(
        self, opened: Opened, content: Unpacked, path: str, now: float, *, left_globs: bool
    ) -> bool:
        """Take an archive that was just opened; True when its descriptor is kept."""
        place = self._places.claim_done(opened)
        if place is None:
            self._searches[opened.key] = Search(opened, content, path, now, left_globs=left_globs)
            return True
        self._done[opened.key] = _Done(msgspec.structs.replace(place, path=path), None)
        return False

    def finish(self, place: Place, content: Unpacked) -> bool:
        """Let go of an archive that is settled to its end, if its last bytes can be read."""
        try:
            opened = Opened(content.descriptor)
            seal = opened.seal()
        except OSError as error:
            self._unreadable.note(place.path, error)
            return False
        place = msgspec.structs.replace(place, packed=opened.size, seal=seal)
        content.close()
        self._done[opened.key] = _Done(place, None)
        return True

    def meet(self, key: Key, path: str, status: os.stat_result, seen: int) -> bool:
        """A file was found; False when it is none of these, or changed since it was done with."""
        search, done = self._searches.get(key), self._done.get(key)
        if search is not None:
            search.path = path
        if done is None:
            return search is not None
        look = (status.st_size, status.st_mtime_ns)
        if done.looked not in {None, look} or status.st_size != done.place.packed:
            # Another one may be there now, or this one has grown: then its place holds still.
            self._places.put([msgspec.structs.replace(done.place, packed=0)])
            del self._done[key]
            return False
        done.looked, done.gone = look, None
        if (done.place.path, done.place.seen) != (path, seen):
            done.place = msgspec.structs.replace(done.place, path=path, seen=seen)
        return True

    def look(
        self, present: set[Key], tails: Iterable[Tail], now: float, grace_seconds: float
    ) -> None:
        """After all were met: see which grew, and forget those that are gone for long."""
        self.reading = sum(isinstance(tail.content, Unpacked) for tail in tails)
        self._make_room()
        for search in list(self._searches.values()):
            try:
                search.look(now)
            except OSError as error:
                self._give_up(search, error)
        for key in [key for key in self._done if key not in present]:
            done = self._done[key]
            done.gone = now if done.gone is None else done.gone
            if now - done.gone >= grace_seconds:
                del self._done[key]

    def find_growing(self, tails: Iterable[Tail], turns: Turns, now: float) -> list[Tail]:
        """Some tails that are to make room where others wait for it: read as far as they go.

        They grow, and nobody knows for how long; one that rests is done with by itself.
        """
        if not self._searches or self.reading < AT_ONCE:
            return []
        growing = [
            tail
            for tail in tails
            if isinstance(tail.content, Unpacked)
            and now - tail.grown < COPYING_SECONDS
            and tail.is_settled
            and not (tail.content.is_over or tail.gone or tail.has_more or tail in turns)
        ]
        return growing[:_MOVED]

    def step(self) -> Search | None:
        """Go on with one of the searches; it, when it is over."""
        at_hand = self._at_hand()
        if not at_hand:
            return None
        self._turn += 1
        search = at_hand[self._turn % len(at_hand)]
        try:
            is_over = search.step(self._places)
        except OSError as error:
            self._give_up(search, error)
            return None
        if not is_over:
            return None
        del self._searches[search.key]
        return search

    def _give_up(self, search: Search, error: OSError) -> None:
        """It cannot be read; the next look opens it anew."""
        self._unreadable.note(search.path, error)
        search.opened.content.close()
        del self._searches[search.key]

    def _make_room(self) -> None:
        """Put those behind the others that wait to grow, as far as others wait for their turn."""
        first = self._first()
        behind = len(self._searches) - len(first)
        waiting = [search for search in first if search.is_waiting]
        for search in waiting[: min(behind, _MOVED)]:
            search.begin_anew()
            self._searches[search.key] = self._searches.pop(search.key)

    def _at_hand(self) -> list[Search]:
        return [search for search in self._first() if not search.is_waiting]

    def _first(self) -> list[Search]:
        """Those that may hold what they unpacked."""
        return list(islice(self._searches.values(), max(0, AT_ONCE - self.reading)))

    def close(self) -> None:
        """Close every descriptor."""
        for search in self._searches.values():
            search.opened.content.close()


def became_archive(tail: Tail) -> bool:
    """Whether what was an empty file is an archive now."""
    is_plain = not tail.pending and not isinstance(tail.content, Unpacked)
    return is_plain and bool(archive_kind(tail.content.pread(MAGIC_BYTES, 0)))


def tell_end(tail: Tail, content: Unpacked, now: float, unreadable: Unreadable) -> None:
    """Say so when an archive that was read as far as it goes ends too early, and rests."""
    if content.problem:
        unreadable.tell_damaged(tail.path, content.problem)
    elif content.is_over:
        unreadable.resolve(tail.path)
    elif _rests(tail, now):
        unreadable.tell_incomplete(tail.path)
        if tail.looked and content.size(tail.looked[0]) <= tail.position:
            # Half a line that nobody is going to complete is nothing to wait for.
            tail.size = tail.pending


def lacks_end(tail: Tail, told: Container[str]) -> bool:
    """Whether an archive has no end yet, and it is not told either that it has none."""
    content = tail.content
    return (
        isinstance(content, Unpacked)
        and not content.is_over
        and not tail.gone
        and tail.path not in told
    )


def _rests(tail: Tail, now: float) -> bool:
    # By both clocks: a file may be of another host's time, ahead of ours.
    return max(now - tail.grown, time.time() - tail.modified) >= COPYING_SECONDS
