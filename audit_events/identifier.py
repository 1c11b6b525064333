"""UUIDv7 (RFC 9562, section 5.7): identities that sort by time."""

import os
from typing import Final

_NANOSECONDS_A_TICK: Final = 244
"""12 bits of a millisecond are 4096 ticks (RFC 9562, section 6.2, method 3)."""


def format_uuid7(unix_ns: int, random: int) -> str:
    """Spell the UUIDv7 of a moment.

    Args:
        unix_ns: nanoseconds since the epoch; the part below a millisecond goes into `rand_a`.
        random: 62 random bits.
    """
    milliseconds, rest = divmod(unix_ns, 1_000_000)
    ticks = rest // _NANOSECONDS_A_TICK & 0xFFF
    value = milliseconds << 80 | 0x7 << 76 | ticks << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def random_bits() -> int:
    """Return 62 bits from the system's generator."""
    return int.from_bytes(os.urandom(8)) >> 2


def new_uuid7(unix_ns: int) -> str:
    """Return a fresh UUIDv7 of that moment."""
    return format_uuid7(unix_ns, random_bits())
