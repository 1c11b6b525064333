"""One content of one file: bytes in, whole lines out, and how far of them is settled.

A tail reads by its descriptor and never by its name, so a file that is renamed or deleted is read
to its end. Each read also takes the `ANCHOR_BYTES` before it and compares them with what was read
there, so a file that was truncated and has grown past the old offset since is noticed, whatever
it begins with. A half line stays in memory (at most `max_line_bytes` of it) and never leaves.
"""

import os
from collections import deque
from hashlib import sha256
from typing import Final

from agent.chunk import Chunk, OverLong, Part, Piece, Run
from agent.identity import ANCHOR_BYTES, HEAD_BYTES, NOTHING, Place, fingerprint

READ_BYTES: Final = 1 << 20

Lines = list[bytes]


class TruncatedError(Exception):
    """The bytes before the position are not those that were read: another content is there now."""


class _Skipped:
    """A line beyond the limit whose newline has not been found yet."""

    __slots__ = ("digest", "length", "offset")

    def __init__(self, offset: int, data: bytes) -> None:
        self.offset = offset
        self.length = len(data)
        self.digest = sha256(data)

    def take(self, data: bytes) -> None:
        self.length += len(data)
        self.digest.update(data)

    def finish(self) -> OverLong:
        return OverLong(self.offset, self.length, self.digest.hexdigest())


class Tail:
    """Reads one content from an offset on; not thread-safe, one loop owns it.

    Args:
        descriptor: open for reading; the tail closes it.
        path: its name, for records; the owner changes it when the file is renamed.
        device, inode: as `fstat` tells.
        place: where to go on, already verified to be this content; None to begin at its start.
        max_line_bytes: longest line that is handed out.
    """

    __slots__ = (
        "_before",
        "_boundary",
        "_carry",
        "_head",
        "_max_line_bytes",
        "_place",
        "_skipped",
        "anchor",
        "descriptor",
        "device",
        "finished",
        "gone",
        "grown",
        "inode",
        "looked",
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
        descriptor: int,
        path: str,
        device: int,
        inode: int,
        *,
        place: Place | None = None,
        max_line_bytes: int,
    ) -> None:
        self.descriptor = descriptor
        self.path = path
        self.device, self.inode = device, inode
        self._max_line_bytes = max_line_bytes
        start = place.offset if place else 0
        self.position = self.settled = self._boundary = start
        self._carry = b""
        self._skipped: _Skipped | None = None
        self._head = _pread(descriptor, min(HEAD_BYTES, start), 0)
        first = max(0, start - ANCHOR_BYTES)
        self._before = _pread(descriptor, start - first, first)
        self.anchor = self._before
        """Bytes just before the last end of line that is settled."""
        self.finished = place.finished if place else 0
        """Where the file ended when its half line was handed out as it was; 0 if it never was."""
        self.parts: deque[Part] = deque()
        self.rotated = place.rotated if place else False
        # What the owner last saw of it.
        self.size = start
        self.looked: tuple[int, int] | None = None
        self.grown = 0.0
        self.gone, self.seen = False, 0
        """Unix second, coarse, in which it was last found."""
        self.settled_since = ""
        """Timestamp of the last event that is settled."""
        self._place = place

    @property
    def pending(self) -> int:
        """Offset of the first byte of the line that is not complete yet."""
        if self._skipped:
            return self._skipped.offset
        return self.position - len(self._carry)

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
            TruncatedError: the content up to the position is no longer there.
            OSError: it cannot be read.
        """
        before = self._before
        reach = len(before)
        found = os.pread(self.descriptor, reach + read_bytes, self.position - reach)
        if not found.startswith(before) or not self._has_head():
            raise TruncatedError
        if len(found) == reach:
            return None
        data = found[reach:]
        base = self.position
        self.position += len(data)
        if len(self._head) < HEAD_BYTES and base <= HEAD_BYTES:
            self._head = (self._head + data)[:HEAD_BYTES]
        self._before = found[-ANCHOR_BYTES:]
        del found
        pieces = self._split(data, base)
        return Chunk(self, pieces, end=self.pending, data=data, base=base, before=before)

    def finish(self) -> Chunk | None:
        """Hand out the half line at the end as it is: nobody is going to complete it."""
        offset = self.pending
        if offset == self.position:
            return None
        if self._skipped:
            pieces: list[Piece] = [self._skipped.finish()]
        else:
            pieces = [Run(offset, [self._carry])]
        self._skipped = None
        self._carry = b""
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
            and place.head.length == len(self._head)
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
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _has_head(self) -> bool:
        """Whether the file still begins as it did; the bytes before the position may not tell."""
        if self.position <= ANCHOR_BYTES:
            return True
        return os.pread(self.descriptor, len(self._head), 0) == self._head

    def _split(self, data: bytes, base: int) -> list[Piece]:
        pieces: list[Piece] = []
        start = 0
        if self._skipped:
            start = data.find(b"\n") + 1
            if not start:
                self._skipped.take(data)
                return pieces
            self._skipped.take(data[: start - 1])
            pieces.append(self._skipped.finish())
            self._skipped = None
        last = data.rfind(b"\n") + 1
        if last > start:
            offset = base + start - len(self._carry)
            whole = data[start : last - 1] if start or last < len(data) else data[:-1]
            lines = (self._carry + whole if self._carry else whole).split(b"\n")
            self._carry = b""
            self._append(pieces, offset, lines)
        self._keep(data[max(last, start) :], base + len(data))
        return pieces

    def _append(self, pieces: list[Piece], offset: int, lines: Lines) -> None:
        limit = self._max_line_bytes
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

    def _keep(self, rest: bytes, end: int) -> None:
        carry = self._carry + rest if self._carry else rest
        if len(carry) > self._max_line_bytes:
            self._skipped = _Skipped(end - len(carry), carry)
            carry = b""
        self._carry = carry


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    return os.pread(descriptor, length, offset) if length else b""
