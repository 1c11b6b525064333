"""Contents that are known: which place in them a file that was just opened goes on from."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from agent.identity import HEAD_BYTES, Place, continues, fingerprint

FORGET_SECONDS: Final = 86_400
"""How long a place is kept whose file is nowhere: its disk may be mounted again."""
PLACES_LIMIT: Final = 10_000
"""Places without a file that are kept at most, the ones seen last."""
COPYING_SECONDS: Final = 5.0
"""How long a file that is being copied from a known one may take between two writes."""
_CANDIDATES: Final = 8

Key = tuple[int, int]
"""Device and inode."""


class Opened:
    """A file that was opened and belongs to no tail yet."""

    __slots__ = ("descriptor", "head", "key", "mode", "modified", "size")

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.descriptor = descriptor
        self.key: Key = (status.st_dev, status.st_ino)
        self.mode = status.st_mode
        self.size = status.st_size
        self.modified = status.st_mtime
        self.head = b""

    def read_head(self) -> bytes:
        """Its first bytes, which a regular file alone is asked for."""
        self.head = os.pread(self.descriptor, HEAD_BYTES, 0)
        return self.head

    def continues(self, place: Place) -> bool:
        """Whether it is the content that `place` speaks of."""
        length = place.anchor.length
        anchor = os.pread(self.descriptor, length, place.offset - length)
        return continues(place, self.size, self.head, anchor)


class Places:
    """The places of a checkpoint that no file has claimed yet, and the search for copies.

    Args:
        unclaimed: from the checkpoint.
        live: asked for the places of all tails when a copy has to be recognised.
    """

    def __init__(
        self, unclaimed: Iterable[Place], live: Callable[[], Iterable[tuple[Place, int]]]
    ) -> None:
        self._live = live
        self._unclaimed: dict[Key, list[Place]] = {}
        self._heads: dict[str, list[tuple[Place, int]]] | None = None
        self._put(unclaimed)

    def __iter__(self) -> Iterator[Place]:
        for places in self._unclaimed.values():
            yield from places

    def begin_look(self) -> None:
        """Forget which contents begin with what: tails have moved on since the last look."""
        self._heads = None

    def claim(self, opened: Opened) -> Place | None:
        """The place that speaks of this very file and content; it is the caller's from now on."""
        places = self._unclaimed.get(opened.key, [])
        for place in places:
            if opened.continues(place):
                places.remove(place)
                if not places:
                    del self._unclaimed[opened.key]
                return place
        return None

    def of_copy(self, opened: Opened, path: str) -> Place | None:
        """Where to go on if it is a copy: begins and goes on like content that is known.

        As good as rotated: nobody writes to a copy.
        """
        device, inode = opened.key
        for place, _ in self._same_heads(opened.head):
            if place.offset and opened.continues(place):
                return msgspec.structs.replace(
                    place, path=path, device=device, inode=inode, rotated=True, finished=0
                )
        return None

    def is_being_copied(self, opened: Opened, unix_seconds: float) -> bool:
        """Whether it is so far the beginning of what another file holds, and still growing."""
        if unix_seconds - opened.modified > COPYING_SECONDS:
            return False
        start = max(0, opened.size - HEAD_BYTES)
        for place, descriptor in self._same_heads(opened.head):
            if descriptor < 0 or opened.size >= place.offset:
                continue
            ours = os.pread(opened.descriptor, opened.size - start, start)
            if ours == os.pread(descriptor, opened.size - start, start):
                return True
        return False

    def keep(self, places: Iterable[Place]) -> None:
        """Remember places that no tail stands for any more."""
        self._put(places)

    def forget(self, unix_seconds: float) -> None:
        """Let go of the places whose files have been nowhere for long, or are too many."""
        if not self._unclaimed:
            return
        kept = [place for place in self if place.seen > unix_seconds - FORGET_SECONDS]
        self._unclaimed = {}
        self._put(sorted(kept, key=lambda place: place.seen)[-PLACES_LIMIT:])

    def _put(self, places: Iterable[Place]) -> None:
        for place in places:
            self._unclaimed.setdefault((place.device, place.inode), []).append(place)

    def _same_heads(self, head: bytes) -> Sequence[tuple[Place, int]]:
        """Places in content with this head, and the descriptor where there is one."""
        if len(head) < HEAD_BYTES:
            # So little is read again at no cost; and its like may be no copy at all.
            return ()
        if self._heads is None:
            self._heads = {}
            for place, descriptor in (*self._live(), *((place, -1) for place in self)):
                if place.head.length == HEAD_BYTES:
                    self._heads.setdefault(place.head.digest, []).append((place, descriptor))
        return self._heads.get(fingerprint(head).digest, [])[-_CANDIDATES:]
