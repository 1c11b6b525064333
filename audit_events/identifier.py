"""UUIDv7 (RFC 9562, section 5.7): identities that sort by time."""

import os
from typing import Final

_NANOSECONDS_A_TICK: Final = 245
"""12 bits of a millisecond are 4096 ticks (RFC 9562, section 6.2, method 3): the first whole number
of which they reach to its end."""


def format_uuid7(unix_ns: int, random: int) -> str:
    """Spell the UUIDv7 of a moment.

    Args:
        unix_ns: nanoseconds since the epoch; the part below a millisecond goes into `rand_a`.
        random: 62 random bits.
    """
    milliseconds, rest = divmod(unix_ns, 1_000_000)
    ticks = rest // _NANOSECONDS_A_TICK
    value = milliseconds << 80 | 0x7 << 76 | ticks << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_uuid7(unix_ns: int) -> str:
    """Return a fresh UUIDv7 of that moment."""
    milliseconds, rest = divmod(unix_ns, 1_000_000)
    try:
        tail = _tails.pop()
    except IndexError:
        _tails.extend(_draw_tails())
        tail = _tails.pop()
    time = f"{milliseconds:012x}"
    return f"{time[:8]}-{time[8:]}-{_TICKS[rest // _NANOSECONDS_A_TICK]}-{tail}"


_TICKS: Final = tuple(f"7{tick:03x}" for tick in range(4096))
"""Version and `rand_a`, spelled: 0.2 µs less an identity."""


_TAILS_AT_ONCE: Final = 128
_TO_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))
_tails: Final[list[str]] = []
"""What is random of identities to come, spelled: drawn one by one, each cost 0.6 µs more."""


def _draw_tails() -> list[str]:
    drawn = bytearray(os.urandom(8 * _TAILS_AT_ONCE))
    drawn[::8] = drawn[::8].translate(_TO_VARIANT)
    digits = drawn.hex()
    return [f"{digits[at : at + 4]}-{digits[at + 4 : at + 16]}" for at in range(0, len(digits), 16)]


# A forked child must not draw what its parent draws.
os.register_at_fork(after_in_child=_tails.clear)
