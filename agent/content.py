"""The bytes of a content by their offset: as they stand in a file, or as an archive unpacks.

An archive is unpacked forwards only, `STEP_BYTES` at a time and as far as somebody reads; what
stands before the offset that was asked for last is let go. So memory is bounded by the reads,
whatever the archive unpacks to, nothing is written to a disk, and one that grows is read on.
Only where it turns out to be damaged is it unpacked again, to get every byte before the damage.

No call does more than a bounded work, whatever somebody packed: one that gave less for that reason
says so (`is_behind`), and the next goes on.
"""

import os
from typing import Final, Protocol, cast

from isal import isal_zlib
from typing_extensions import override

from agent.identity import ANCHOR_BYTES, HEAD_BYTES

STEP_BYTES: Final = 1 << 18
PACKED_BYTES: Final = 1 << 16
"""Of an archive in one read."""
STEP_CALLS: Final = 512
"""Of the inflater in one step: a member without content costs 20 bytes, and 7 us (measured)."""
READ_STEPS: Final = 8
"""In one read: enough for `READ_BYTES` of content that does not shrink."""
_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 31
"""For `decompressobj`: with header and trailer, whose checksum it verifies; the largest window."""


class _Inflate(Protocol):
    """What is used of the standard library's `zlib.decompressobj`, which python-isal mirrors."""

    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_DamagedError = cast("type[Exception]", isal_zlib.error)


def _new_inflate() -> _Inflate:
    return cast("_Inflate", isal_zlib.decompressobj(wbits=_GZIP))  # pyright: ignore[reportUnknownMemberType]  # its stubs leave a type out


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """The `length` bytes of a file at `offset`, fewer at its end alone.

    A call may give less than there is (`man 2 read`): taken for the end, the rest would wait until
    the file changes, and a piece of an anchor would look like another content.
    """
    first = found = os.pread(descriptor, length, offset)
    while 0 < len(found) < length:
        more = os.pread(descriptor, length - len(found), offset + len(found))
        if not more:
            break
        found += more
    if found is first:
        return found
    # Between two calls it may have been truncated and filled anew: no line is made of both.
    again = os.pread(descriptor, ANCHOR_BYTES, offset)
    return found if again and found.startswith(again) else first


class Plain:
    """A file that holds its content as it is; it closes the descriptor."""

    __slots__ = ("descriptor", "is_behind")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_behind = False
        """Whether the last read gave less than there is, for the work that it would have been."""

    def pread(self, length: int, offset: int) -> bytes:
        """The `length` bytes at `offset`, fewer at the end."""
        return read_at(self.descriptor, length, offset) if length else b""

    def size(self, file_bytes: int) -> int:
        """Bytes of the content when its file has so many."""
        return file_bytes

    def close(self) -> None:
        """Let go of the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Unpacked(Plain):
    """What a gzip archive unpacks to, all its members one behind the other.

    The checksum stands at the end of a member, so of a damaged one bytes were handed out before it
    is known; whether a line is what was written, its `hash` tells.
    """

    __slots__ = ("_buffer", "_head", "_read", "_start", "_stream", "problem")

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._stream = _Stream(descriptor)
        self._head = b""
        # What is unpacked and not let go, and its offset.
        self._buffer: bytearray = bytearray()
        self._start = 0
        # The furthest offset in the file, and the bytes before it.
        self._read = (0, b"")
        self.problem = ""
        """Why it ends too early: it is damaged, or something else stands behind it."""

    @property
    def is_over(self) -> bool:
        """Whether all that can be had was unpacked, as long as the file does not change."""
        return bool(self._stream.damage) or self._stream.is_ended

    def is_same(self) -> bool:
        """Whether the file still has the bytes that were read last, and is not another archive."""
        offset, before = self._read
        try:
            return read_at(self.descriptor, len(before), offset - len(before)) == before
        except OSError:
            return True  # as far as anybody can tell

    @override
    def pread(self, length: int, offset: int) -> bytes:
        """The `length` bytes at `offset`, fewer where it ends or is cut, or if `is_behind`."""
        self.is_behind = False
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        may_have_more, steps = True, 0
        while not self._holds(length, offset) and may_have_more and steps < READ_STEPS:
            may_have_more = self._unpack()
            steps += 1
        self.is_behind = not self._holds(length, offset) and may_have_more
        return bytes(self._buffer[:length]) if self._start == offset else b""

    def advance(self, offset: int) -> bool:
        """Let go of what is before `offset`, and unpack one step towards it.

        Returns: True when it is reached, or nothing more can be had now.
        """
        return self._holds(0, offset) or not self._unpack()

    @override
    def size(self, file_bytes: int) -> int:
        """At least so many: what is unpacked, and the rest of the file as if it were not packed."""
        rest = 0 if self.is_over else max(0, file_bytes - self._stream.offset)
        return self._start + len(self._buffer) + rest

    def _holds(self, length: int, offset: int) -> bool:
        """Let go of what is before `offset`; whether the `length` bytes there are unpacked."""
        if offset < self._start:
            self._stream = _Stream(self.descriptor, self._stream.careful_from)
            self._buffer, self._start = bytearray(), 0
        passed = min(len(self._buffer), offset - self._start)
        del self._buffer[:passed]
        self._start += passed
        return self._start == offset and len(self._buffer) >= length

    def _unpack(self) -> bool:
        """Add what one step brings to the buffer, if anything; False when no more can be had now.

        A call that fails keeps to itself what it unpacked before the damage. So all is unpacked
        again, carefully where the damage is, and what is in the buffer or was let go is skipped.
        """
        stream, end = self._stream, self._start + len(self._buffer)
        if stream.damage:
            return False
        known = end - stream.given
        data = stream.take()[known:]
        if stream.offset > self._read[0]:
            self._read = (stream.offset, stream.before)
        if end <= len(self._head) < HEAD_BYTES:
            self._head += data[len(self._head) - end : HEAD_BYTES - end]
        self._buffer.extend(data)
        if not stream.damage:
            return not stream.is_dry
        if stream.careful_from is None:
            self._stream = _Stream(self.descriptor, max(0, stream.offset - PACKED_BYTES))
            return True
        self.problem = stream.damage
        return False


class _Stream:
    """Unpacks from the start of a file to its end.

    Args:
        careful_from: offset in the file from which on it is read one byte at a time.
    """

    __slots__ = ("_between", "_descriptor", "_inflate", "_is_full", "_packed", "before",
                 "careful_from", "damage", "given", "is_dry", "is_ended", "offset")  # fmt: skip

    def __init__(self, descriptor: int, careful_from: int | None = None) -> None:
        self._descriptor = descriptor
        self.careful_from = careful_from
        # Its window is memory, which one that is not read yet does without.
        self._inflate: _Inflate | None = None
        self._packed, self._is_full, self._between = b"", False, False
        self.offset = 0
        """In the file: up to where it was read."""
        self.given = 0
        """Bytes that were unpacked."""
        self.before = b""
        """The bytes of the file just before `offset`."""
        self.is_ended = False
        """Whether the file ends where a member does."""
        self.is_dry = False
        """Whether it ends at all, as it is now."""
        self.damage = ""
        """Why it cannot be unpacked any further."""

    def take(self) -> bytes:
        """What one step unpacks: bounded in calls, in bytes read and in bytes given; maybe nothing.

        What the call that met the damage unpacked before it is lost.
        """
        found = bytearray()
        end = self.offset + PACKED_BYTES
        self.is_dry = False
        try:
            for _ in range(STEP_CALLS):
                if len(found) == STEP_BYTES or not self._has_input(end):
                    break
                found += self._inflate_some(STEP_BYTES - len(found))
        except _DamagedError as error:
            self.damage = str(error)
        except OSError:
            # What is unpacked comes no second time; the next step meets the error again.
            if not found:
                raise
        self.given += len(found)
        return bytes(found)

    def _inflate_some(self, length: int) -> bytes:
        if self._between:
            # Zeros may fill up what is behind a member (RFC 1952 knows none, tapes did).
            self._packed = self._packed.lstrip(b"\0")
            if not self._packed:
                return b""
            if not self._packed.startswith(_MAGIC[: len(self._packed)]):
                raise _DamagedError("behind its end stands something that is no archive")
            self._between, self._inflate = False, None
        self._inflate = self._inflate or _new_inflate()
        data = self._inflate.decompress(self._packed, length)
        self._is_full = len(data) == length
        self._packed = self._inflate.unconsumed_tail
        if self._inflate.eof:
            self._packed, self._is_full = self._inflate.unused_data, False
            self._between = True
        return data

    def _has_input(self, end: int) -> bool:
        """Whether there is something to unpack, read if need be, but not beyond `end`."""
        if self._is_full or self._packed:
            return True
        if self.offset >= end:
            return False
        is_careful = self.careful_from is not None and self.offset >= self.careful_from
        length = 1 if is_careful else min(PACKED_BYTES, end - self.offset)
        self._packed = os.pread(self._descriptor, length, self.offset)
        self.offset += len(self._packed)
        self.before = (self.before + self._packed)[-ANCHOR_BYTES:]
        self.is_dry = not self._packed
        self.is_ended = self._between and self.is_dry
        return not self.is_dry
