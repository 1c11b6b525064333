"""How much a context comes to in the index: `flat_object` makes a term of each value and its path.

The path is written out again for every value, so a line of 64 KiB with one long key over thousands
of values comes to hundreds of megabytes of terms. One such event ended an OpenSearch 3.4.0 node
with a heap of 1 GB (measured: 6,400 values under a key of 32,000 characters, 200 MB), and would end
it again after each restart, as a shipper sends it again.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

MAX_TERM_BYTES: Final = 1 << 20
"""Of one event; a batch of events that all come to so much stays far below a small heap."""
MAX_LEAF_BYTES: Final = 32_766
"""Lucene's longest term; a `flat_object` indexes each value of the context as `path=value`."""
SMALL_LINE_BYTES: Final = 2_800
"""No line of so many bytes comes to more: `n` values take `2n` of them, which leaves `L - 2n` for
the path, and `n (L - 2n)` is at most `L² / 8`."""


def count_term_bytes(value: object, path_bytes: int = len("context")) -> int:
    """How many bytes of terms a value comes to, its path included; a pass over it."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value).items()
        return sum(count_term_bytes(one, path_bytes + 1 + _size(key)) for key, one in members)
    if isinstance(value, list | tuple):
        return sum(count_term_bytes(one, path_bytes) for one in cast("Sequence[object]", value))
    return path_bytes + 1 + _size(str(value))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
