"""Whether an event comes to so many search terms that it would fill the cluster's memory.

`audit_events` refuses such an event at the call; this is for lines that others wrote.
"""

from typing import Final

import msgspec
from msgspec import Struct

from audit_events.terms import MAX_TERM_BYTES, SMALL_LINE_BYTES, count_term_bytes


class _Context(Struct, frozen=True):
    context: object = None


_decode: Final = msgspec.json.Decoder(_Context).decode


def is_too_wide(line: bytes) -> bool:
    """Whether the context of an event comes to more than `MAX_TERM_BYTES`; decodes long lines."""
    if len(line) <= SMALL_LINE_BYTES:
        return False
    return count_term_bytes(_decode(line).context) > MAX_TERM_BYTES
