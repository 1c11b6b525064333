"""What a killed process leaves of a line, and how it is made to vanish."""

import os
from typing import Final

import msgspec

from audit_events.descriptor import is_of_system
from audit_events.event import MAX_LINE_BYTES

_EVENT_START: Final = b'{"action":"'


def find_torn(before: bytes) -> bytes:
    """Return the torn piece of an event at the end of `before`; empty if it is something else.

    What is whole JSON was appended by somebody who forgot its newline, and what begins otherwise
    than our lines was not written by us; both are kept.
    """
    piece = before.rpartition(b"\n")[2]
    if len(piece) >= MAX_LINE_BYTES or not _EVENT_START.startswith(piece[: len(_EVENT_START)]):
        return b""
    try:
        msgspec.json.decode(piece)
    except ValueError:
        return piece
    return b""


def read_torn(descriptor: int, stop: int) -> bytes:
    """Return the torn piece of an event that ends at `stop`; empty if it is something else."""
    start = max(0, stop - MAX_LINE_BYTES)
    return find_torn(os.pread(descriptor, stop - start, start))


def blank(descriptor: int, start: int, content: bytes) -> None:
    """Overwrite `content`, if it stands at `start`, with newlines.

    By a descriptor of its own: the one given only appends. Where that is refused (a file that may
    only be appended to, by its attribute), the content remains.
    """
    try:
        writable = os.open(f"/dev/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.pread(writable, len(content), start) == content:
                os.pwrite(writable, b"\n" * len(content), start)
        finally:
            os.close(writable)
    except OSError as error:
        if not is_of_system(error):
            raise
