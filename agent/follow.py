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
    unreadable                 noted in `unreadable`, tried again at each look; the others go on

Files with little to read go before those with a backlog, at one piece of the backlog a round, so
neither a huge file nor a thousand small ones keep a fresh line waiting.
"""

import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import structlog

from agent.chunk import Chunk
from agent.discover import Found, beside, is_compressed, is_still, may_match, scan
from agent.identity import Place
from agent.places import Key, Opened, Places
from agent.settings import AgentSettings
from agent.tail import READ_BYTES, Tail, TruncatedError
from agent.turns import Turns

SEEN_STEP_SECONDS: Final = 3600
"""How coarsely the checkpoint says when a file was last seen; it would change all the time."""
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
        self.unreadable: dict[str, str] = {}
        """Files that match and cannot be opened or read, with the reason."""
        self._places = Places(places, self._live_places)
        self._former: list[Tail] = []
        self._let_go: list[Tail] = []
        self._names: dict[str, Key] = {}
        self._archives: set[Key] = set()
        self._turns = Turns(read_bytes)
        self._ended: deque[Chunk] = deque()
        self._first_look = True
        self.is_copy_awaited = False
        """Whether the last look left a file alone because it is being copied from a known one."""
        self.truncations = 0

    # What happens to the files.

    def rescan(self, now: float) -> None:
        """Look at everything that the globs match and at every open descriptor; `now` monotonic."""
        found = scan(self._settings.paths, self._settings.state_directory)
        keys = {path: (status.st_dev, status.st_ino) for path, status in found.items()}
        self._places.begin_look()
        self.is_copy_awaited = False
        for path, key in keys.items():
            tail = self.tails.get(key)
            if tail is None:
                self._adopt(path, now)
            elif tail.path == path or keys.get(tail.path) != key:
                self._meet(tail, path, found[path], now)
        if self._first_look:
            self._look_beside(now)
            self._first_look = False
        self._mark_rotated(keys)
        present = set(keys.values())
        for key in [key for key in self.tails if key not in present]:
            self._miss(self.tails[key], now)
        self._names = keys
        self._archives &= present
        self._forget_unreadable(found)
        self._forget(now)

    def touch(self, paths: Iterable[str]) -> bool:
        """Read these files soon, something happened to them; True when a rescan is due for it."""
        is_new = False
        for path in paths:
            tail = self.tails.get(self._names.get(path, (0, 0)))
            if tail is not None:
                self._turns.add(tail)
            elif may_match(path, self._settings.paths) and path not in self.unreadable:
                is_new = True
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
                _log.info("file_let_go", path=path, offset=tail.settled)
                tail.close()
                del self.tails[key]
                self._let_go.append(tail)
        for tail in self.tails.values():
            tail.max_line_bytes = settings.max_line_bytes

    # What is read.

    def read(self, now: float) -> Chunk | None:
        """The next lines of the file whose turn it is; None when nothing is left to read now."""
        while True:
            if self._ended:
                return self._ended.popleft()
            tail = self._turns.take()
            if tail is None:
                return None
            chunk = self._read(tail, now)
            if chunk is not None:
                return chunk

    @property
    def has_more(self) -> bool:
        """Whether a read may bring something."""
        return bool(len(self._turns) or self._ended)

    def contents(self) -> list[Tail]:
        """Every content that is read or was read and is not settled."""
        return [*self.tails.values(), *self._former, *self._let_go]

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

    def _read(self, tail: Tail, now: float) -> Chunk | None:
        if tail.descriptor < 0:
            return None
        start = tail.position
        try:
            chunk = tail.read(self._read_bytes)
        except TruncatedError:
            self._begin_anew(tail, now)
            return None
        except OSError as error:
            self._note_unreadable(tail.path, error)
            tail.looked = None
            return None
        if tail.position != start:
            self.unreadable.pop(tail.path, None)
            tail.size = max(tail.size, tail.position)
            tail.grown = now
        if chunk is None:
            return None
        if tail.has_more:
            self._turns.add(tail)
        return chunk if chunk.pieces else None

    def _begin_anew(self, tail: Tail, now: float) -> None:
        """The file was truncated: its old content is a former one, a new one begins at 0."""
        self.truncations += 1
        _log.info("file_truncated", path=tail.path, read=tail.position, settled=tail.settled)
        self._end(tail)
        new = Tail(
            tail.descriptor,
            tail.path,
            tail.device,
            tail.inode,
            max_line_bytes=self._settings.max_line_bytes,
        )
        new.gone, new.seen, new.grown = tail.gone, tail.seen, now
        tail.descriptor = -1
        tail.grown = now
        self._former.append(tail)
        self.tails[tail.device, tail.inode] = new
        self._turns.add(new)

    def _end(self, tail: Tail) -> None:
        chunk = tail.finish()
        if chunk is not None:
            self._ended.append(chunk)

    # One file at a look.

    def _meet(self, tail: Tail, path: str, status: os.stat_result, now: float) -> None:
        if tail.path != path:
            _log.info("file_renamed", path=path, formerly=tail.path)
            tail.path = path
        tail.gone = False
        self._see(tail)
        if not self._look_at(tail, status, now) and tail.rotated:
            self._end_if_quiet(tail, now)

    def _miss(self, tail: Tail, now: float) -> None:
        if not tail.gone:
            tail.gone = True
            tail.grown = max(tail.grown, now)
        if self._look_at(tail, os.fstat(tail.descriptor), now) or tail in self._turns:
            return
        self._end_if_quiet(tail, now)
        if self._is_over(tail, now) and tail.is_settled and not self._ended:
            tail.close()
            del self.tails[tail.device, tail.inode]
            _log.info("file_finished", path=tail.path, settled=tail.settled)

    def _look_at(self, tail: Tail, status: os.stat_result, now: float) -> bool:
        look = (status.st_size, status.st_mtime_ns)
        was_early = tail.looked_early
        tail.looked_early = abs(time.time() - status.st_mtime) < TICK_SECONDS
        if look == tail.looked:
            if was_early and not self._is_over(tail, now):
                self._turns.add(tail)
            return False
        tail.looked = look
        tail.size = status.st_size
        tail.grown = now
        self._turns.add(tail)
        return True

    def _end_if_quiet(self, tail: Tail, now: float) -> None:
        """Nobody completes the last line of a file that was rotated away and is quiet."""
        if tail.has_half_line and self._is_over(tail, now) and tail not in self._turns:
            self._end(tail)

    def _is_over(self, tail: Tail, now: float) -> bool:
        return now - tail.grown >= self._settings.rotated_grace_seconds

    def _see(self, tail: Tail) -> None:
        tail.seen = int(time.time()) // SEEN_STEP_SECONDS * SEEN_STEP_SECONDS

    def _mark_rotated(self, keys: dict[str, Key]) -> None:
        """A file is rotated when another one has taken its name."""
        for path, key in keys.items():
            former = self._names.get(path)
            if former is not None and former != key and former in self.tails:
                self.tails[former].rotated = True

    # New files.

    def _adopt(self, path: str, now: float, *, left_globs: bool = False) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note_unreadable(path, error)
            return
        try:
            tail = self._open_tail(descriptor, path, left_globs=left_globs)
        except OSError as error:
            os.close(descriptor)
            self._note_unreadable(path, error)
            return
        if tail is None:
            os.close(descriptor)
            return
        self.unreadable.pop(path, None)
        self.tails[tail.device, tail.inode] = tail
        self._see(tail)
        self._look_at(tail, os.fstat(descriptor), now)
        _log.info("file_followed", path=path, offset=tail.position, size=tail.size)

    def _open_tail(self, descriptor: int, path: str, *, left_globs: bool) -> Tail | None:
        opened = Opened(descriptor)
        key = opened.key
        if not stat.S_ISREG(opened.mode) or key in self.tails or key in self._archives:
            return None
        if is_compressed(opened.read_head()):
            _log.warning("file_compressed", path=path, hint="only plain files are read")
            self._archives.add(key)
            return None
        place = self._places.claim(opened)
        if place is None:
            if left_globs:
                return None
            if self._places.is_being_copied(opened, time.time()):
                self.is_copy_awaited = True
                return None
            place = self._places.of_copy(opened, path)
        tail = Tail(
            descriptor, path, *key, place=place, max_line_bytes=self._settings.max_line_bytes
        )
        # Nobody is going to write to what left the globs.
        tail.rotated = tail.rotated or left_globs
        return tail

    def _live_places(self) -> Iterator[tuple[Place, int]]:
        for tail in self.contents():
            yield tail.place(), tail.descriptor

    def _look_beside(self, now: float) -> None:
        """Find files that left the globs while nobody watched, by inode in their directory."""
        for place in list(self._places):
            path = beside(place.path).get(place.inode)
            if path is not None and place.head.length:
                self._adopt(path, now, left_globs=True)

    # Letting go.

    def _note_unreadable(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self.unreadable.get(path) != reason:
            self.unreadable[path] = reason
            _log.error(
                "file_unreadable",
                path=path,
                reason=reason,
                hint="let the agent's user read it; it is tried again at every look",
            )

    def _forget_unreadable(self, found: Found) -> None:
        for path in [path for path in self.unreadable if path not in found]:
            del self.unreadable[path]

    def _forget(self, now: float) -> None:
        self._former = [
            tail for tail in self._former if not (tail.is_settled and self._is_over(tail, now))
        ]
        settled = [tail for tail in self._let_go if tail.is_settled]
        self._let_go = [tail for tail in self._let_go if not tail.is_settled]
        self._places.keep(tail.place() for tail in settled)
        self._places.forget(time.time())
