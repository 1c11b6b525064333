"""Sums by name that all workers add to: what the metrics are made of."""

import struct
from collections.abc import Mapping
from mmap import mmap
from typing import Final

from webapi.shared_memory import SharedMemory

SERIES: Final = 4096
"""More are not counted: names are made of our own routes and codes, of which are hundreds."""
_COUNT: Final = struct.Struct("<q")
_SLOT: Final = struct.Struct("<184sd")


class Tallies:
    """Sums by name. Safe between threads, and processes forked after it was made."""

    def __init__(self) -> None:
        self._memory = SharedMemory(_COUNT.size + SERIES * _SLOT.size)
        self._places: dict[bytes, int] = {}

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add to some sums, which begin at 0."""
        with self._memory.locked() as view:
            for name, amount in amounts.items():
                place = self._place(view, name.encode()[:184])
                if place is not None:
                    key, value = _SLOT.unpack_from(view, place)
                    _SLOT.pack_into(view, place, key, value + amount)

    def read(self) -> dict[str, float]:
        """Return all sums as they are now."""
        with self._memory.locked() as view:
            (count,) = _COUNT.unpack_from(view)
            content = view[_COUNT.size : _COUNT.size + count * _SLOT.size]
        return {key.rstrip(b"\0").decode(): value for key, value in _SLOT.iter_unpack(content)}

    def _place(self, view: mmap, key: bytes) -> int | None:
        known = self._places.get(key)
        if known is not None:
            return known
        (count,) = _COUNT.unpack_from(view)
        for number in range(len(self._places), count):
            place = _COUNT.size + number * _SLOT.size
            found, _ = _SLOT.unpack_from(view, place)
            self._places[found.rstrip(b"\0")] = place
        if key not in self._places:
            if count == SERIES:
                return None
            self._places[key] = place = _COUNT.size + count * _SLOT.size
            _SLOT.pack_into(view, place, key, 0.0)
            _COUNT.pack_into(view, 0, count + 1)
        return self._places[key]
