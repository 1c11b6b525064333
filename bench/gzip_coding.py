"""gzip by isal, at its fastest level."""

# isal's stubs leave its buffers untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable
from typing import Final

from isal import igzip, isal_zlib

GZIP_WINDOW: Final = 31
"""`wbits` of zlib for a stream in a gzip wrapper."""


def compress(data: bytes) -> bytes:
    """A gzip body."""
    return igzip.compress(data, compresslevel=0)


def decompressor() -> Callable[[memoryview], bytes]:
    """What a gzip body is given to, block by block."""
    return isal_zlib.decompressobj(GZIP_WINDOW).decompress
