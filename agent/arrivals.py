"""Files that are new to the agent: opened, recognised, and made a tail from their place.

A file that is in none of the globs any more is only taken up if the checkpoint speaks of it: by its
inode and its content. Where nothing of it was settled yet, no content proves it; there its name has
to begin as the former one did, and its text as an event does.
"""

import os
import stat
import time
from collections.abc import Callable, Container, Iterable, Mapping

from agent.archives import Archives, Search
from agent.content import Unpacked
from agent.discover import find_own, list_files
from agent.identity import Place
from agent.places import COPYING_SECONDS, Key, Opened, Places, moved
from agent.tail import Tail
from agent.unreadable import Unreadable


class Arrivals:
    """Makes tails of files that have none.

    Args:
        tails: those that there are.
        places: what is known of contents.
        archives: takes the gzip archives.
        unreadable: told what cannot be read.
        open_file: gives a descriptor, or raises OSError.
        state_directory: the agent's own, where nothing but its trail is read.
        max_line_bytes: longest line that is handed out.
    """

    def __init__(
        self,
        tails: Mapping[Key, Tail],
        places: Places,
        archives: Archives,
        unreadable: Unreadable,
        *,
        open_file: Callable[[str], int],
        state_directory: str,
        max_line_bytes: int,
    ) -> None:
        self._tails = tails
        self._places = places
        self._archives = archives
        self._unreadable = unreadable
        self._open_file = open_file
        self._state_directory = state_directory
        self.max_line_bytes = max_line_bytes
        self._foreign: dict[Key, str] = {}
        """Archives that cannot be read, by what they are."""
        self._copies: dict[Key, tuple[tuple[int, float], float]] = {}
        """What may still be copied: size and time of change, and since when they are so."""
        self.is_copy_awaited = False
        """Whether a file was left alone because it is being copied from a known one."""

    def arrive(self, path: str, now: float, *, left: Place | None = None) -> Tail | None:
        """A tail of this file, None if it gets none (yet).

        Args:
            path: of a file that no tail reads.
            now: monotonic.
            left: the place for which it was looked for outside of the globs.
        """
        try:
            descriptor = self._open_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable.note(path, error)
            return None
        try:
            opened = Opened(descriptor)
            tail, is_kept = self._recognise(opened, path, now, left)
        except OSError as error:
            self._unreadable.note(path, error)
            tail, is_kept = None, False
        if tail:
            self._unreadable.resolve(path)
        elif not is_kept:
            os.close(descriptor)
        return tail

    def follow(self, search: Search) -> Tail | None:
        """A tail of an archive for whose place the search is over, None if it is not to be read."""
        key, place = search.key, search.found
        if search.left_globs and (place is None or not self._places.is_unclaimed(place)):
            search.opened.content.close()
            return None
        if place is not None:
            if search.left_globs or (place.device, place.inode) == key:
                self._places.drop(place)
            place = moved(place, search.path, key, finished=place.finished)
        tail = self._tail(search.opened, search.path, place)
        # How much it unpacks to, the first read begins to say.
        tail.rotated = tail.has_more = True
        return tail

    def is_foreign(self, key: Key, path: str) -> bool:
        """Whether it is known as an archive that cannot be read."""
        kind = self._foreign.get(key)
        if kind:
            self._unreadable.tell_archive(path, kind)
        return bool(kind)

    def begin_look(self, present: set[Key]) -> None:
        """Forget what is gone."""
        self.is_copy_awaited = False
        self._copies = {key: one for key, one in self._copies.items() if key in present}
        self._foreign = {key: kind for key, kind in self._foreign.items() if key in present}

    def _recognise(
        self, opened: Opened, path: str, now: float, left: Place | None
    ) -> tuple[Tail | None, bool]:
        """Its tail, and whether somebody else keeps its descriptor."""
        if not self._is_wanted(opened, path):
            return None, False
        opened.read_head()
        content, left_globs = opened.content, left is not None
        if isinstance(content, Unpacked):
            return None, self._archives.add(opened, content, path, now, left_globs=left_globs)
        if opened.kind:
            if left is None:
                self._foreign[opened.key] = opened.kind
                self._unreadable.tell_archive(path, opened.kind)
            return None, False
        if left is not None:
            return self._recognise_left(opened, path, left), False
        place = self._places.claim(opened)
        if place is None:
            if self._places.is_begun_copy(opened) and not self._rests(opened, now):
                self.is_copy_awaited = True
                return None, False
            place = self._places.of_copy(opened, path)
        return self._tail(opened, path, place), False

    def _is_wanted(self, opened: Opened, path: str) -> bool:
        """Whether it is a file that nobody reads yet, and that the agent does not write itself."""
        key = opened.key
        if not stat.S_ISREG(opened.mode) or key in self._tails or key in self._archives:
            return False
        is_own = key in find_own(self._state_directory)
        if is_own:
            self._unreadable.tell_own(path)
        return not is_own

    def _rests(self, opened: Opened, now: float) -> bool:
        """Whether a copy did not grow for so long that nobody goes on with it."""
        look = (opened.size, opened.modified)
        before, since = self._copies.get(opened.key, (look, now))
        since = since if before == look else now
        self._copies[opened.key] = look, since
        # By both clocks: its time may be that of another host, or of its original, ahead of ours.
        return max(now - since, time.time() - opened.modified) >= COPYING_SECONDS

    def _recognise_left(self, opened: Opened, path: str, left: Place) -> Tail | None:
        place = self._places.claim(opened) if left.head.length else None
        if place is None:
            if left.offset or not _is_kin(path, left.path) or opened.head[:1] not in {b"", b"{"}:
                return None
            self._places.drop(left)
        tail = self._tail(opened, path, place)
        # Nobody is going to write to what left the globs.
        tail.rotated = True
        return tail

    def _tail(self, opened: Opened, path: str, place: Place | None) -> Tail:
        return Tail(
            opened.content, path, *opened.key, place=place, max_line_bytes=self.max_line_bytes
        )


def find_left(places: Iterable[Place], found: Container[str]) -> dict[str, Place]:
    """Files that may have left the globs: by path, the place for which they are worth a look.

    Args:
        places: those that no file has claimed.
        found: what the globs match.
    """
    near: dict[str, dict[int, str]] = {}
    left: dict[str, Place] = {}
    for place in places:
        directory = place.path.rpartition("/")[0] or "/"
        if directory not in near:
            near[directory] = list_files(directory)
        path = near[directory].get(place.inode)
        if path is not None and path not in found:
            # Or another one that has its inode now, so that goes on.
            left[path] = place
        for other in near[directory].values():
            if other.endswith(".gz") and other not in found and _is_kin(other, place.path):
                left.setdefault(other, place)
    return left


def _is_kin(path: str, former: str) -> bool:
    """Whether its name begins as the former one does, up to the first dot."""
    stem = former.rpartition("/")[2].split(".")[0]
    return bool(stem) and path.rpartition("/")[2].startswith(stem)
