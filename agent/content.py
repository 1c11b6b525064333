"""The bytes of a content by their offset: as they stand in a file, or as an archive unpacks.

An archive is unpacked forwards only, `STEP_BYTES` at a time and as far as somebody reads; what
stands before the offset that was asked for last is let go. So memory is bounded by the reads,
whatever the archive unpacks to, nothing is written to a disk, and one that grows is read on.
Only where it turns out to be damaged is it unpacked again, to get every byte before the damage.
"""

import os
from typing import Final, Protocol, cast

from isal import isal_zlib
from typing_extensions import override

from agent.identity import ANCHOR_BYTES, HEAD_BYTES

STEP_BYTES: Final = 1 << 18
PACKED_BYTES: Final = 1 << 16
"""Of an archive in one read."""
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


class Plain:
    """A file that holds its content as it is; it closes the descriptor."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def pread(self, length: int, offset: int) -> bytes:
        """The `length` bytes at `offset`, fewer at the end."""
        return os.pread(self.descriptor, length, offset) if length else b""

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

    __slots__ = ("_buffer", "_head", "_start", "_stream", "problem")

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._stream = _Stream(descriptor)
        self._head = b""
        # What is unpacked and not let go, and its offset.
        self._buffer, self._start = bytearray(), 0
        self.problem = ""
        """Why it ends too early: it is damaged, or something else stands behind it."""

    @property
    def is_over(self) -> bool:
        """Whether all that can be had was unpacked, as long as the file does not change."""
        return bool(self.problem) or self._stream.is_ended

    def is_same(self) -> bool:
        """Whether the file still has the bytes that were read last, and is not another archive."""
        before, offset = self._stream.before, self._stream.offset
        return os.pread(self.descriptor, len(before), offset - len(before)) == before

    @override
    def pread(self, length: int, offset: int) -> bytes:
        """The `length` bytes at `offset`, fewer where it ends or is cut."""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        while not self.advance(offset):
            pass
        while len(self._buffer) < length and self._unpack():
            pass
        return bytes(self._buffer[:length])

    def advance(self, offset: int) -> bool:
        """Let go of what is before `offset`, and unpack one step towards it.

        Returns: True when it is reached, or nothing more can be had now.
        """
        if offset < self._start:
            self._stream = _Stream(self.descriptor, self._stream.careful_from)
            self._buffer, self._start = bytearray(), 0
        passed = min(len(self._buffer), offset - self._start)
        del self._buffer[:passed]
        self._start += passed
        return self._start == offset or not self._unpack()

    @override
    def size(self, file_bytes: int) -> int:
        """At least so many: what is unpacked, and the rest of the file as if it were not packed."""
        rest = 0 if self.is_over else max(0, file_bytes - self._stream.offset)
        return self._start + len(self._buffer) + rest

    def _unpack(self) -> bool:
        """Add bytes to the buffer; False when there are none now."""
        if self.problem:
            return False
        end = self._start + len(self._buffer)
        try:
            data = self._stream.take()
        except _DamagedError as error:
            data = self._recover(end)
            self.problem = str(error)
        if end == len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - end]
        self._buffer += data
        return bool(data)

    def _recover(self, end: int) -> bytes:
        """What stands between `end` and the damage, which a step that fails keeps to itself."""
        self._stream = _Stream(self.descriptor, max(0, self._stream.offset - PACKED_BYTES))
        found = bytearray()
        try:
            while data := self._stream.take():
                passed = min(end, len(data))
                end -= passed
                found += data[passed:]
        except _DamagedError:
            pass
        return bytes(found)


class _Stream:
    """Unpacks from the start of a file to its end.

    Args:
        careful_from: offset in the file from which on it is read one byte at a time.
    """

    __slots__ = ("_between", "_descriptor", "_inflate", "_is_full", "_packed", "before",
                 "careful_from", "is_ended", "offset")  # fmt: skip

    def __init__(self, descriptor: int, careful_from: int | None = None) -> None:
        self._descriptor = descriptor
        self.careful_from = careful_from
        self._inflate = _new_inflate()
        self._packed, self._is_full, self._between = b"", False, False
        self.offset = 0
        self.before = b""
        """The bytes of the file just before `offset`."""
        self.is_ended = False
        """Whether the file ends where a member does."""

    def take(self) -> bytes:
        """The next bytes, none at the end of the file as it is now.

        Raises:
            _DamagedError: it is damaged; what this step unpacked before the damage is lost.
        """
        while self._is_full or self._packed or self._fetch():
            if self._between:
                # Zeros may fill up what is behind a member (RFC 1952 knows none, tapes did).
                self._packed = self._packed.lstrip(b"\0")
                if not self._packed:
                    continue
                if not self._packed.startswith(_MAGIC[: len(self._packed)]):
                    raise _DamagedError("behind its end stands something that is no archive")
                self._between = False
                self._inflate = _new_inflate()
            data = self._inflate.decompress(self._packed, STEP_BYTES)
            self._is_full = len(data) == STEP_BYTES
            self._packed = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self._packed, self._is_full = self._inflate.unused_data, False
                self._between = True
            if data:
                return data
        return b""

    def _fetch(self) -> bool:
        is_careful = self.careful_from is not None and self.offset >= self.careful_from
        length = 1 if is_careful else PACKED_BYTES
        self._packed = os.pread(self._descriptor, length, self.offset)
        self.offset += len(self._packed)
        self.before = (self.before + self._packed)[-ANCHOR_BYTES:]
        self.is_ended = self._between and not self._packed
        return bool(self._packed)
