"""One content of one file: bytes in, whole lines out, and how far of them is settled.

A tail reads by its descriptor and never by its name, so a file that is renamed or deleted is read
to its end. Each read also takes the `ANCHOR_BYTES` before it and compares them with what was read
there, so a file that was truncated and has grown past the old offset since is noticed, whatever
it begins with.

A half line is read again from its start each time, until it is whole: a writer whose disk is full
cuts off again what it wrote of a line, and another line stands there next. What is remembered of
one (at most `max_line_bytes`) is only handed out when its file was truncated or left alone.
"""

from collections import deque
from hashlib import sha256
from typing import Final

from agent.chunk import Chunk, OverLong, Part, Piece, Run
from agent.content import Plain
from agent.identity import ANCHOR_BYTES, HEAD_BYTES, NOTHING, Place, fingerprint

READ_BYTES: Final = 1 << 18
"""Measured: 64 to 512 KiB cost the same a line, 1 MiB a quarter more."""


class TruncatedError(Exception):
    """The bytes before the position are not those that were read: another content is there now."""


class _Skipped:
    """A line beyond the limit whose newline has not been found yet; `before` is its end so far."""

    __slots__ = ("before", "digest", "length", "offset")

    def __init__(self, offset: int, data: bytes) -> None:
        self.offset = offset
        self.length = len(data)
        self.digest = sha256(data)
        self.before = data[-ANCHOR_BYTES:]

    def take(self, data: bytes) -> None:
        self.length += len(data)
        self.digest.update(data)
        self.before = (self.before + data)[-ANCHOR_BYTES:]

    def finish(self) -> OverLong:
        return OverLong(self.offset, self.length, self.digest.hexdigest())


class Tail:
    """Reads one content from an offset on; not thread-safe, one loop owns it.

    Args:
        content: where its bytes are read; the tail closes it.
        path: its name, for records; the owner changes it when the file is renamed.
        device, inode: as `fstat` tells.
        place: where to go on, already verified to be this content; None to begin at its start.
        max_line_bytes: longest line that is handed out.
    """

    position: int
    """Offset up to which it was read, a half line at the end included."""
    settled: int
    """Offset up to which all is settled, a half line that was handed out included."""
    _boundary: int
    """The last end of line before which all is settled."""
    anchor: bytes
    """Bytes just before that."""
    _before: bytes
    """What stands just before `pending`."""
    _skipped: _Skipped | None
    finished: int
    """Where the file ended when its half line was handed out as it was; 0 if it never was."""
    has_more: bool
    """Whether the last read stopped before the end of the file."""
    looked_early: bool
    """Whether `looked` was so soon after a change that another one may look the same."""
    seen: int
    """Unix second, coarse, in which it was last found."""
    settled_since: str
    """Timestamp of the last event that is settled."""
    __slots__ = (
        "_before",
        "_boundary",
        "_half",
        "_head",
        "_place",
        "_skipped",
        "anchor",
        "content",
        "device",
        "finished",
        "gone",
        "grown",
        "has_more",
        "inode",
        "looked",
        "looked_early",
        "max_line_bytes",
        "parts",
        "path",
        "position",
        "rotated",
        "seen",
        "settled",
        "settled_since",
        "size",
    )

    def __init__(
        self,
        content: Plain,
        path: str,
        device: int,
        inode: int,
        *,
        place: Place | None = None,
        max_line_bytes: int,
    ) -> None:
        self.content, self.path = content, path
        self.device, self.inode = device, inode
        self.max_line_bytes = max_line_bytes
        start = place.offset if place else 0
        self.position = self.settled = self._boundary = start
        self._half, self._skipped = b"", None
        self._head = content.pread(min(HEAD_BYTES, start), 0)
        first = max(0, start - ANCHOR_BYTES)
        self._before = self.anchor = content.pread(start - first, first)
        self.finished = place.finished if place else 0
        self.parts: deque[Part] = deque()
        self.has_more = False
        # What the owner last saw of it.
        self.size, self.grown = start, 0.0
        self.rotated = place.rotated if place else False
        self.looked: tuple[int, int] | None = None
        self.looked_early = False
        self.gone, self.seen = False, 0
        self.settled_since = ""
        self._place = place

    @property
    def descriptor(self) -> int:
        """That of its file; below 0 when it is not open."""
        return self.content.descriptor

    @property
    def is_parked(self) -> bool:
        """Whether its file was closed because nothing happens to it."""
        return self.content.descriptor < 0

    @property
    def modified(self) -> float:
        """When (Unix time) its file was changed, as the owner saw it last."""
        return self.looked[1] / 1e9 if self.looked else 0.0

    @property
    def pending(self) -> int:
        """Offset of the first byte of the line that is not complete yet."""
        if self._skipped:
            return self._skipped.offset
        return self.position - len(self._half)

    @property
    def has_half_line(self) -> bool:
        """Whether bytes were read that no newline ends yet, and that were not handed out so."""
        return self.pending < self.position != self.finished

    @property
    def is_settled(self) -> bool:
        """Whether everything that was handed out is settled."""
        return not self.parts

    def read(self, read_bytes: int = READ_BYTES) -> Chunk | None:
        """The whole lines of the next `read_bytes` bytes, None at the end of the file.

        A chunk without a line is possible: then the read brought only a piece of one.

        Raises:
            TruncatedError: the content up to the last end of line is no longer there.
            OSError: it cannot be read.
        """
        skipped = self._skipped
        if skipped:
            more = self._read_after(skipped.before, self.position, read_bytes)
            if more is not None:
                return self._skip(skipped, more) if more else None
        base, before = self.pending, self._before
        known = 0 if skipped else len(self._half)
        data = self._read_after(before, base, known + read_bytes)
        if data is None or not self._has_head():
            raise TruncatedError
        if skipped:
            # It was cut off again before it ever ended.
            self._skipped, self.position = None, base
        elif data == self._half:
            return None
        return self._take([], data, base, before)

    def finish(self) -> Chunk | None:
        """Hand out the half line at the end as it is: nobody is going to complete it.

        If somebody does, it is read again, as a whole.
        """
        if not self.has_half_line:
            return None
        if self._skipped:
            pieces: list[Piece] = [self._skipped.finish()]
        else:
            pieces = [Run(self.pending, [self._half])]
        self.finished = self.position
        return Chunk(
            self, pieces, end=self.position, data=b"", base=self.position, before=self._before
        )

    def advance(self) -> list[Part]:
        """Move `settled` over the longest settled prefix and return the parts it passed."""
        passed: list[Part] = []
        while self.parts and self.parts[0].settled:
            part = self.parts.popleft()
            self.settled = part.end
            if not part.is_torn:
                self._boundary, self.anchor = part.end, part.anchor
            self.settled_since = part.since or self.settled_since
            passed.append(part)
        return passed

    def place(self) -> Place:
        """What the checkpoint has to remember: the last end of line before which all is settled.

        Never the middle of a line, even where a half one is done with: what is skipped by it must
        be whole lines, whichever file it is held against.

        Cheap while nothing changes: thousands of quiet files are in every checkpoint.
        """
        known = self._place
        if known is None or not self._is_as(known):
            known = self._place = self._make_place()
        return known

    def _is_as(self, place: Place) -> bool:
        return (
            place.offset == self._boundary
            and place.finished == self.finished
            and place.path == self.path
            and place.seen == self.seen
            and place.rotated == self.rotated
        )

    def _make_place(self) -> Place:
        return Place(
            path=self.path,
            device=self.device,
            inode=self.inode,
            head=fingerprint(self._head) if self._head else NOTHING,
            offset=self._boundary,
            anchor=fingerprint(self.anchor),
            seen=self.seen,
            rotated=self.rotated,
            finished=self.finished,
        )

    def close(self) -> None:
        """Let go of the file; a place can still be asked for."""
        self.content.close()

    def _read_after(self, before: bytes, offset: int, length: int) -> bytes | None:
        """The bytes from `offset` on, None if those before it are not `before`."""
        reach = len(before)
        found = self.content.pread(reach + length, offset - reach)
        if not found.startswith(before):
            return None
        self.has_more = len(found) == reach + length or self.content.is_behind
        return found[reach:]

    def _has_head(self) -> bool:
        """Whether the file still begins as it did; the bytes before the line may not tell."""
        if self.pending <= ANCHOR_BYTES:
            return True
        return self.content.pread(len(self._head), 0) == self._head

    def _skip(self, skipped: _Skipped, data: bytes) -> Chunk:
        """Look for the end of a line that is too long; what follows it is read as usual."""
        base, before = self.position, skipped.before
        ending = data.find(b"\n") + 1
        self._keep_head(data, base)
        if not ending:
            skipped.take(data)
            self.position += len(data)
            return Chunk(self, [], end=self.pending, data=data, base=base, before=before)
        skipped.take(data[: ending - 1])
        self._skipped = None
        return self._take([skipped.finish()], data, base, before, start=ending)

    def _take(
        self, pieces: list[Piece], data: bytes, base: int, before: bytes, start: int = 0
    ) -> Chunk:
        """Cut `data`, which stands at `base`, into lines; its first `start` bytes are done with."""
        lines = (data[start:] if start else data).split(b"\n")
        self._half = lines.pop()
        last = len(data) - len(self._half)
        self._keep_head(data, base)
        if lines:
            self._append(pieces, base + start, lines)
        if last:
            self._before = (before + data[max(0, last - ANCHOR_BYTES) : last])[-ANCHOR_BYTES:]
        self.position = base + len(data)
        if len(self._half) > self.max_line_bytes:
            self._skipped = _Skipped(base + last, self._half)
            self._half = b""
        return Chunk(self, pieces, end=self.pending, data=data, base=base, before=before)

    def _keep_head(self, data: bytes, base: int) -> None:
        """Remember how the content begins, half lines too: a young file may have nothing else."""
        if base < HEAD_BYTES and base <= len(self._head):
            self._head = (self._head[:base] + data[:HEAD_BYTES])[:HEAD_BYTES]
            self._place = None

    def _append(self, pieces: list[Piece], offset: int, lines: list[bytes]) -> None:
        limit = self.max_line_bytes
        if max(map(len, lines)) <= limit:
            pieces.append(Run(offset, lines))
            return
        run = Run(offset, [])
        for line in lines:
            if len(line) <= limit:
                run.lines.append(line)
            else:
                if run.lines:
                    pieces.append(run)
                pieces.append(OverLong(offset, len(line), sha256(line).hexdigest()))
                run = Run(offset + len(line) + 1, [])
            offset += len(line) + 1
        if run.lines:
            pieces.append(run)
