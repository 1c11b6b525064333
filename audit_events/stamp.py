"""Identity and time of an event, from one reading of the clock.

What changes with the millisecond is spelled once for all events of it, and the rest is looked up:
0.45 µs for both where `new_uuid7` and `format_unix_ns`, which spell the same, take 1.2.
"""

from typing import Final

from audit_events.identifier import TICK_NANOSECONDS, TICKS, draw_tails
from audit_events.instant import format_unix_ns

_MILLISECOND_NS: Final = 1_000_000
_DIGITS: Final = "0123456789"
_MICROSECONDS: Final = tuple([a + b + c + "Z" for a in _DIGITS for b in _DIGITS for c in _DIGITS])


class Stamps:
    """Stamps of one log in one process; its caller holds a lock."""

    __slots__ = ("_begin_ns", "_id_begin", "_instant_begin", "_tails")

    def __init__(self) -> None:
        self._tails: list[str] = []
        self._begin_ns = -_MILLISECOND_NS
        self._id_begin = ""
        self._instant_begin = ""

    def draw(self, unix_ns: int) -> tuple[str, str]:
        """Return a fresh UUIDv7 and the canonical instant of that moment."""
        rest = unix_ns - self._begin_ns
        if not 0 <= rest < _MILLISECOND_NS:
            millisecond, rest = divmod(unix_ns, _MILLISECOND_NS)
            digits = f"{millisecond:012x}"
            self._id_begin = f"{digits[:8]}-{digits[8:]}-"
            self._instant_begin = format_unix_ns(unix_ns)[: -len("123Z")]
            self._begin_ns = millisecond * _MILLISECOND_NS
        if not self._tails:
            self._tails = draw_tails()
        event_id = f"{self._id_begin}{TICKS[rest // TICK_NANOSECONDS]}-{self._tails.pop()}"
        return event_id, self._instant_begin + _MICROSECONDS[rest // 1000]
