"""How deep a line is nested, as too deep a one would end the cluster and not only the request.

Measured on OpenSearch 3.4.0 with the stack that Java gives a thread by default (1 MiB): a `context`
of 400 levels is stored, one of 600 overflows the stack in the parser of `flat_object`, which is
fatal to the whole JVM; sent again, the line would end the next node as well. `audit_events` refuses
a context beyond 20 levels at the call; this is for lines that others wrote.
"""

import re
import sys
from typing import Final

MAX_LEVELS: Final = 256
STORED_LEVELS: Final = 1000
"""More than that no cluster reads (`StreamReadConstraints` of its JSON parser)."""

_SHORTEST_EVENT: Final = (
    b'{"action":"a.b","hash":"","id":"","organizationId":"o","source":{"id":"","seq":0},'
    b'"timestamp":""}' + b"=" * (43 + 36 + 36 + 27)
)
SHALLOW_LINE_BYTES: Final = len(_SHORTEST_EVENT) + 2 * (MAX_LEVELS - 1)
"""An event of so many bytes has no room for more levels, as each takes two bytes. Counting them all
the same would cost as much as half of the decoding (measured: 0.7 µs a line of 740 bytes)."""

SHALLOW_OBJECTS_BYTES: Final = len(_SHORTEST_EVENT) + 5 * (MAX_LEVELS - 1)
"""The same where no array is: a level of objects has a key, and so takes five bytes, `{"":}`."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEP: Final = {**dict.fromkeys(b"{[", 1), **dict.fromkeys(b"}]", -1)}


def is_too_deep(line: bytes) -> bool:
    """Whether an event is nested deeper than `MAX_LEVELS`."""
    if len(line) <= SHALLOW_LINE_BYTES:
        return False
    has_arrays = b"[" in line
    if len(line) <= SHALLOW_OBJECTS_BYTES and not has_arrays:
        return False
    # Objects and arrays that begin, and braces in strings: hardly a line has so many.
    begun = line.count(b"{") + (line.count(b"[") if has_arrays else 0)
    return begun > MAX_LEVELS and nesting_levels(line) > MAX_LEVELS


def nesting_levels(line: bytes) -> int:
    """The deepest level of objects and arrays in one JSON text; `{}` has one."""
    deepest = level = 0
    for byte in _STRING.sub(b"", line):
        level += _STEP.get(byte, 0)
        deepest = max(deepest, level)
    return deepest


def make_room() -> None:
    """Let decoders read whatever a cluster can have stored, of which forgers decide the depth.

    Python's own limit is 1,000 calls and levels together.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * STORED_LEVELS))
