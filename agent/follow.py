"""All files that are followed: found by globs, told apart by identity, read in turns.

What happens to a file and what is done, each found by the next look (`rescan`):

    renamed inside the globs   same inode under another name: the tail goes on
    renamed out of them,       the open descriptor is read on, until nothing came for
      or deleted                 `rotated_grace_seconds` and everything is settled
    truncated (copytruncate)   its own read notices; what was read stays under way, a half line is
                                 handed out, and the same inode begins anew at 0
    copied                     content that is known already: goes on where that one is settled
    recreated, inode reused    the fingerprints disagree with the checkpoint: begins at 0
    renamed while stopped      looked for by inode beside its old name, glob or no glob
    compressed by gzip         a copy as well, and read as what it unpacks to (`archives`)
    compressed otherwise,      noted in `unreadable`, tried again at each look; the others go on
      not to be opened

Files stay open, so that nothing that is appended to them is lost by a rename or a deletion; which
ones are closed nevertheless, and opened again when they change, says `parking`.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import structlog

from agent.archives import Archives, became_archive, lacks_end, tell_end
from agent.arrivals import Arrivals, find_left
from agent.chunk import Chunk
from agent.content import Plain, Unpacked
from agent.discover import Found, drop_unspeakable, is_still, may_match, scan
from agent.former import Former
from agent.identity import Place
from agent.parking import Parking
from agent.places import Key, Places, seen_now
from agent.settings import AgentSettings
from agent.tail import READ_BYTES, Tail, TruncatedError
from agent.turns import Turns
from agent.unreadable import Unreadable

BARREN_TURNS: Final = 16
"""Reads in one call that may bring no line, so that one file without any holds nobody up."""
TICK_SECONDS: Final = 0.1
"""A file may change twice in one tick of its clock: after a look so early it is read once more."""

_log = structlog.get_logger("agent")


class Follower:
    """The tails of all files; one loop owns it.

    Args:
        settings: `paths` absolute.
        places: where to go on, from the checkpoint.
        read_bytes: bytes of one read, at most.
    """

    def __init__(
        self, settings: AgentSettings, places: Iterable[Place], read_bytes: int = READ_BYTES
    ) -> None:
        self._settings = settings
        self._read_bytes = read_bytes
        self.tails: dict[Key, Tail] = {}
        self.unreadable = Unreadable()
        self._places = Places(places, self._live_places)
        self._former = Former(self._places)
        self._names: dict[str, Key] = {}
        self._archives = Archives(self._places, self.unreadable)
        self.searches = self._archives.searches
        self._turns = Turns(read_bytes)
        self._ended: deque[Chunk] = deque()
        self.parking = Parking(self.tails.values, self._turns.__contains__, self.unreadable)
        self._arrivals = Arrivals(
            self.tails,
            self._places,
            self._archives,
            self.unreadable,
            open_file=self.parking.open,
            state_directory=settings.state_directory,
            max_line_bytes=settings.max_line_bytes,
        )
        self._first_look = True
        self.truncations = 0

    # What happens to the files.

    def rescan(self, now: float) -> None:
        """Look at everything that the globs match and at every open descriptor; `now` monotonic."""
        found = scan(self._settings.paths, self._settings.state_directory)
        unspeakable = drop_unspeakable(found)
        keys = {path: (status.st_dev, status.st_ino) for path, status in found.items()}
        present = set(keys.values())
        for growing in self._archives.find_growing(self.tails.values(), self._turns, now):
            self._let_go(growing)
        self._places.begin_look()
        self._arrivals.begin_look(present)
        for path, key in keys.items():
            tail = self.tails.get(key)
            if tail is None:
                self._find(path, found[path], now)
            elif tail.path == path or keys.get(tail.path) != key:
                self._meet(tail, path, found[path], now)
        if self._first_look:
            self._look_beside(found, now)
            self._first_look = False
        self._mark_rotated(keys)
        for key in [key for key in self.tails if key not in present]:
            self._miss(self.tails[key], now)
        self._archives.look(present, self.tails.values(), now, self._settings.rotated_grace_seconds)
        self._names = keys
        self.unreadable.forget({*found, *unspeakable} if unspeakable else found)
        for path in unspeakable:
            self.unreadable.tell_name(path)
        self._former.forget(lambda tail: self._is_over(tail, now))
        self._places.forget(time.time())

    def touch(self, paths: Iterable[str]) -> bool:
        """Read these files soon, something happened to them; True when a rescan is due for it."""
        is_new = False
        for path in paths:
            key = self._names.get(path, (0, 0))
            tail = self.tails.get(key)
            if tail is None or tail.descriptor < 0:
                is_new |= may_match(path, self._settings.paths) and path not in self.unreadable
            else:
                self._turns.add(tail)
                # Rotation puts another file under a name that is known.
                is_new |= not is_still(path, key)
        return is_new

    def renew(self, settings: AgentSettings, read_bytes: int) -> None:
        """Go by other settings from now on.

        A file that no glob matches any more is read no further, and its place is kept. One that was
        deleted or renamed is read to its end as always.
        """
        self._settings, self._read_bytes = settings, read_bytes
        found = scan(settings.paths, settings.state_directory)
        kept = {(status.st_dev, status.st_ino) for status in found.values()}
        for path, key in self._names.items():
            tail = self.tails.get(key)
            if tail is not None and key not in kept and is_still(path, key):
                self._let_go(tail)
        self._arrivals.max_line_bytes = settings.max_line_bytes
        for tail in self.contents():
            tail.max_line_bytes = settings.max_line_bytes

    # What is read.

    def read(self, now: float) -> Chunk | None:
        """The next lines of the file whose turn it is.

        None says that this turn brought none; whether another one may, `has_more` says.
        """
        if self._ended:
            return self._ended.popleft()
        search = self._archives.step()
        if search is not None:
            self._take_up(self._arrivals.follow(search), now)
        for _ in range(BARREN_TURNS):
            tail = self._turns.take()
            chunk = self._read(tail, now) if tail else None
            if chunk is not None or tail is None or isinstance(tail.content, Unpacked):
                return chunk
        return None

    @property
    def has_more(self) -> bool:
        """Whether a read may bring something."""
        return bool(len(self._turns) or self._ended or self._archives.has_more)

    @property
    def is_copy_awaited(self) -> bool:
        """Whether a file is still being written: a copy of a known one, or an archive."""
        is_waiting = self._arrivals.is_copy_awaited or self._archives.is_awaited
        return is_waiting or any(lacks_end(tail, self.unreadable) for tail in self.tails.values())

    def contents(self) -> list[Tail]:
        """Every content that is read or was read and is not settled."""
        return [*self.tails.values(), *self._former]

    def is_settled(self, status: os.stat_result) -> bool:
        """Whether this very file was read to its end, and all of it is settled."""
        tail = self.tails.get((status.st_dev, status.st_ino))
        return tail is not None and tail.is_settled and tail.settled >= status.st_size

    def lag_bytes(self) -> int:
        """Bytes that are not settled yet, over all files."""
        return sum(max(0, tail.size - tail.settled) for tail in self.tails.values())

    def places(self) -> Iterator[Place]:
        """Everything that the checkpoint has to remember of files."""
        for place, _ in self._live_places():
            yield place
        yield from self._places

    def close(self) -> None:
        """Close every descriptor."""
        for tail in self.tails.values():
            tail.close()
        self._archives.close()

    def _read(self, tail: Tail, now: float) -> Chunk | None:
        if tail.descriptor < 0:
            return None
        start = tail.position
        try:
            if became_archive(tail):
                self._replace(tail, now)
                return None
            chunk = tail.read(self._read_bytes)
        except TruncatedError:
            self._begin_anew(tail, now)
            return None
        except OSError as error:
            self._fail(tail, error)
            return None
        if tail.position != start:
            self.unreadable.resolve(tail.path)
            tail.size = max(tail.size, tail.position)
            tail.grown = now
        if tail.has_more:
            self._turns.add(tail)
        elif isinstance(tail.content, Unpacked):
            self._end_archive(tail, tail.content, now)
        return chunk if chunk and chunk.pieces else None

    def _replace(self, tail: Tail, now: float) -> None:
        """Take up what is there now under the same inode."""
        tail.close()
        del self.tails[tail.device, tail.inode]
        self._former.replace(tail)
        self._adopt(tail.path, now)

    def _fail(self, tail: Tail, error: OSError) -> None:
        """It cannot be read now; one whose handle is stale can, once it is opened anew."""
        self.unreadable.note(tail.path, error)
        tail.looked = None
        if error.errno == errno.ESTALE:
            self._let_go(tail)

    def _end_archive(self, tail: Tail, content: Unpacked, now: float) -> None:
        """Say so if it ends too early; if it does not, nobody completes its last line."""
        if content.is_over:
            tail.size = tail.position
            self._end(tail)
        tell_end(tail, content, now, self.unreadable)

    def _begin_anew(self, tail: Tail, now: float) -> None:
        """The file was truncated: its old content is a former one, a new one begins at 0."""
        self.truncations += 1
        _log.info("file_truncated", path=tail.path, read=tail.position, settled=tail.settled)
        self._end(tail)
        longest = self._settings.max_line_bytes
        new = Tail(tail.content, tail.path, tail.device, tail.inode, max_line_bytes=longest)
        new.gone, new.seen, new.grown = tail.gone, tail.seen, now
        tail.content = Plain(-1)
        tail.grown = now
        self._former.replace(tail)
        self.tails[tail.device, tail.inode] = new
        self._turns.add(new)

    def _end(self, tail: Tail) -> None:
        chunk = tail.finish()
        if chunk is not None:
            self._ended.append(chunk)

    # One file at a look.

    def _find(self, path: str, status: os.stat_result, now: float) -> None:
        """No tail reads this file."""
        key = (status.st_dev, status.st_ino)
        if self._former.holds(key):
            self._take_up(self._former.take_back(key, path, status, self.parking), now)
        elif self._archives.meet(key, path, status, seen_now()):
            return
        elif not self._arrivals.is_foreign(key, path):
            self._adopt(path, now)

    def _meet(self, tail: Tail, path: str, status: os.stat_result, now: float) -> None:
        if tail.path != path:
            _log.info("file_renamed", path=path, formerly=tail.path)
            tail.path = path
        tail.gone = False
        tail.seen = seen_now()
        if isinstance(tail.content, Unpacked) and not tail.content.is_same():
            self._replace(tail, now)
            return
        if tail.is_parked and not self.parking.is_reopened(tail, status):
            return
        if not self._look_at(tail, status, now) and tail.rotated:
            self._end_if_quiet(tail, now)
            if self._is_over(tail, now):
                self.parking.park(tail)
        if isinstance(tail.content, Unpacked) and tail not in self._turns:
            self._finish(tail, tail.content, now)

    def _miss(self, tail: Tail, now: float) -> None:
        if not tail.gone:
            tail.gone = True
            tail.grown = max(tail.grown, now)
            if tail.is_parked:
                self.parking.reopen_beside(tail)
        if not tail.is_parked:
            if self._look_inside(tail, now) or tail in self._turns:
                return
            self._end_if_quiet(tail, now)
        if self._is_over(tail, now) and tail.is_settled and not self._ended:
            tail.close()
            del self.tails[tail.device, tail.inode]
            _log.info("file_finished", path=tail.path, settled=tail.settled)

    def _finish(self, tail: Tail, content: Unpacked, now: float) -> None:
        """An archive that is settled to its end, or will never have one, is done with."""
        tell_end(tail, content, now, self.unreadable)
        if not (content.is_over or self._is_over(tail, now)):
            return
        if tail.has_half_line or not tail.is_settled or self._ended:
            return
        if not content.is_over:
            self.unreadable.tell_incomplete(tail.path)
        if self._archives.finish(tail.place(), content):
            del self.tails[tail.device, tail.inode]
            _log.info("archive_finished", path=tail.path, settled=tail.settled)

    def _look_at(self, tail: Tail, status: os.stat_result, now: float) -> bool:
        look = (status.st_size, status.st_mtime_ns)
        was_early = tail.looked_early
        tail.looked_early = abs(time.time() - status.st_mtime) < TICK_SECONDS
        if look == tail.looked:
            is_plain = not isinstance(tail.content, Unpacked)
            if was_early and is_plain and not self._is_over(tail, now):
                self._turns.add(tail)
            return False
        tail.looked = look
        tail.size = tail.content.size(status.st_size)
        tail.grown = now
        self._turns.add(tail)
        return True

    def _look_inside(self, tail: Tail, now: float) -> bool:
        """Look at what is open, whatever its name leads to; True when nothing is left to do."""
        try:
            return self._look_at(tail, os.fstat(tail.descriptor), now)
        except OSError as error:
            # Such as the handle of a file that was deleted on another host of its NFS.
            self.unreadable.note(tail.path, error)
            self._let_go(tail)
            return True

    def _let_go(self, tail: Tail) -> None:
        """Close it; the place is kept for whatever its name leads to later."""
        _log.info("file_let_go", path=tail.path, offset=tail.settled)
        tail.close()
        del self.tails[tail.device, tail.inode]
        self._former.let_go(tail)

    def _end_if_quiet(self, tail: Tail, now: float) -> None:
        """Nobody completes the last line of a file that was rotated away and is quiet."""
        if tail.has_half_line and self._is_over(tail, now) and tail not in self._turns:
            self._end(tail)

    def _is_over(self, tail: Tail, now: float) -> bool:
        return now - tail.grown >= self._settings.rotated_grace_seconds

    def _mark_rotated(self, keys: dict[str, Key]) -> None:
        """A file is rotated when another one has taken its name."""
        for path, key in keys.items():
            former = self._names.get(path)
            if former is not None and former != key and former in self.tails:
                self.tails[former].rotated = True

    # New files.

    def _adopt(self, path: str, now: float, *, left: Place | None = None) -> None:
        self._take_up(self._arrivals.arrive(path, now, left=left), now)

    def _take_up(self, tail: Tail | None, now: float) -> None:
        if tail is None:
            return
        self.tails[tail.device, tail.inode] = tail
        self._archives.reading += isinstance(tail.content, Unpacked)
        tail.seen = seen_now()
        self._look_inside(tail, now)
        _log.info("file_followed", path=tail.path, offset=tail.position, size=tail.size)

    def _look_beside(self, found: Found, now: float) -> None:
        """Find files that left the globs while nobody watched."""
        for path, place in find_left(self._places, found).items():
            self._adopt(path, now, left=place)

    def _live_places(self) -> Iterator[tuple[Place, int]]:
        for tail in self.contents():
            is_plain = not isinstance(tail.content, Unpacked)
            yield tail.place(), tail.descriptor if is_plain else -1
        for place in self._archives:
            yield place, -1
