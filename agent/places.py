"""Contents that are known: which place in them a file that was just opened goes on from."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from agent.content import Plain, Unpacked, read_at
from agent.discover import GZIP, archive_kind
from agent.identity import HEAD_BYTES, NOTHING, Fingerprint, Place, agrees, continues, fingerprint

FORGET_SECONDS: Final = 86_400
"""How long a place is kept whose file is nowhere: its disk may be mounted again."""
PLACES_LIMIT: Final = 10_000
"""Places without a file that are kept at most, the ones seen last."""
COPYING_SECONDS: Final = 5.0
"""How long a file that is being copied from a known one may take between two writes."""
SEAL_BYTES: Final = 1024
_CANDIDATES: Final = 8
_SEEN_STEP_SECONDS: Final = 3600
"""How coarsely the checkpoint says when a file was last seen; it would change all the time."""

Key = tuple[int, int]
"""Device and inode."""


def seen_now() -> int:
    """The Unix second, coarse, that says of a place that its file is there."""
    return int(time.time()) // _SEEN_STEP_SECONDS * _SEEN_STEP_SECONDS


class Opened:
    """A file that was opened and belongs to no tail yet."""

    __slots__ = ("content", "head", "key", "kind", "mode", "modified", "size")

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.content = Plain(descriptor)
        self.key: Key = (status.st_dev, status.st_ino)
        self.mode = status.st_mode
        self.size = status.st_size
        self.modified = status.st_mtime
        self.head = b""
        self.kind = ""
        """Which archive it is."""

    def read_head(self) -> None:
        """Take its first bytes, which a regular file alone is asked for; of gzip none yet."""
        self.head = self.content.pread(HEAD_BYTES, 0)
        self.kind = archive_kind(self.head)
        if self.kind == GZIP:
            self.content = Unpacked(self.content.descriptor)
            self.head = b""

    def is_file_of(self, place: Place) -> bool:
        """Whether it is the very file of `place`, and so no copy of it."""
        return self.key == (place.device, place.inode)

    def continues(self, place: Place) -> bool:
        """Whether it is the content that `place` speaks of."""
        length = place.anchor.length
        anchor = self.content.pread(length, place.offset - length)
        return continues(place, self.size, self.head, anchor)

    def seal(self) -> Fingerprint:
        """The fingerprint of its last bytes: of an archive, its checksum and length among them."""
        first = max(0, self.size - SEAL_BYTES)
        return fingerprint(read_at(self.content.descriptor, self.size - first, first))


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
        self.put(unclaimed)

    def __iter__(self) -> Iterator[Place]:
        for places in self._unclaimed.values():
            yield from places

    def begin_look(self) -> None:
        """Forget which contents begin with what: tails have moved on since the last look."""
        self._heads = None

    def claim(self, opened: Opened) -> Place | None:
        """The place that speaks of this very file and content; it is the caller's from now on."""
        for place in self._unclaimed.get(opened.key, []):
            if opened.continues(place):
                self.drop(place)
                if agrees(place.head, opened.head):
                    return place
                # The half line that was there is no more.
                return msgspec.structs.replace(place, finished=0)
        return None

    def claim_done(self, opened: Opened) -> Place | None:
        """The place of this very archive, if it was read to its end and is as it was then."""
        for place in self._unclaimed.get(opened.key, []):
            if place.packed and place.packed == opened.size and place.seal == opened.seal():
                self.drop(place)
                return place
        return None

    def of_archive(self, opened: Opened) -> list[Place]:
        """All that may be places in it, by offset; which one is, its bytes before that tell."""
        found = [
            one for one in self._unclaimed.get(opened.key, []) if agrees(one.head, opened.head)
        ]
        found += (place for place, _ in self._same_heads(opened.head))
        return sorted((one for one in found if one.offset), key=lambda place: place.offset)

    def is_unclaimed(self, place: Place) -> bool:
        """Whether no file has claimed it."""
        return place in self._unclaimed.get((place.device, place.inode), [])

    def drop(self, place: Place) -> None:
        """Forget a place that a file has claimed."""
        key = (place.device, place.inode)
        places = self._unclaimed.get(key, [])
        if place in places:
            places.remove(place)
            if not places:
                del self._unclaimed[key]

    def put(self, places: Iterable[Place]) -> None:
        """Keep places, which no tail stands for, for the files that may claim them."""
        for place in places:
            self._unclaimed.setdefault((place.device, place.inode), []).append(place)

    def of_copy(self, opened: Opened, path: str) -> Place | None:
        """Where to go on if it is a copy: begins and goes on like content that is known.

        As good as rotated: nobody writes to a copy.
        """
        for place, _ in self._same_heads(opened.head):
            if place.offset and not opened.is_file_of(place) and opened.continues(place):
                return moved(place, path, opened.key)
        return None

    def is_begun_copy(self, opened: Opened) -> bool:
        """Whether it is no more than the beginning of what another file holds."""
        start = max(0, opened.size - HEAD_BYTES)
        for place, descriptor in self._same_heads(opened.head):
            if descriptor < 0 or opened.size >= place.offset or opened.is_file_of(place):
                continue
            ours = opened.content.pread(opened.size - start, start)
            if ours == read_at(descriptor, opened.size - start, start):
                return True
        return False

    def forget(self, unix_seconds: float) -> None:
        """Let go of the places whose files have been nowhere for long, or are too many."""
        if not self._unclaimed:
            return
        kept = [place for place in self if place.seen > unix_seconds - FORGET_SECONDS]
        self._unclaimed = {}
        self.put(sorted(kept, key=lambda place: place.seen)[-PLACES_LIMIT:])

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


def moved(place: Place, path: str, key: Key, *, finished: int = 0) -> Place:
    """The same place in a copy, which nobody writes to."""
    device, inode = key
    return msgspec.structs.replace(
        place,
        path=path,
        device=device,
        inode=inode,
        rotated=True,
        finished=finished,
        packed=0,
        seal=NOTHING,
    )
