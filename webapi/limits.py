"""How many requests of each kind an organisation may make a minute, counted over all workers.

A bucket of the size of the limit that fills evenly, as GCRA: one number for each organisation and
kind, the moment at which its bucket is full again (TAT). So after a pause the whole limit may be
used at once, and one more each `60 / limit` seconds.

The numbers stand in memory that gunicorn's processes share (`webapi.shared`): it costs some
microseconds and starts empty. Another server, or another host, counts on its own.
"""

import mmap
import struct
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import ceil, floor
from typing import Final, NamedTuple

import msgspec

from webapi.errors import RETRY_AFTER
from webapi.kinds import Kind
from webapi.settings import WebSettings
from webapi.shared_memory import SharedMemory

WINDOW_SECONDS: Final = 60.0
BUCKETS: Final = 4096
SLOTS: Final = 8
"""Keys that share a bucket; if all of them are in use, the one that is free soonest gives way."""
_SLOT: Final = struct.Struct("<16sd")
_KEY_BYTES: Final = 16
_ROUNDING: Final = 1e-6


class Allowance(NamedTuple):
    """What is left, as the headers tell it.

    Args:
        limit: requests a minute.
        remaining: how many more may come at once.
        reset_seconds: until all of the limit is there again.
        retry_seconds: until one may come; 0 when this one might.
    """

    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int

    @property
    def is_admitted(self) -> bool:
        """Whether this request was within the limit."""
        return self.retry_seconds == 0


def decide(now: float, full_at: float, limit: int) -> tuple[float, Allowance]:
    """Let one request in, or not, and return when the bucket is full again. Pure.

    Args:
        now: seconds.
        full_at: when the bucket would be full; in the past if it is.
        limit: requests a minute.
    """
    step = WINDOW_SECONDS / limit
    debt = max(0.0, full_at - now)
    wait = debt + step - WINDOW_SECONDS
    if wait > _ROUNDING:
        return full_at, Allowance(limit, 0, ceil(debt), max(1, ceil(wait)))
    debt += step
    remaining = floor((WINDOW_SECONDS - debt) / step + _ROUNDING)
    return now + debt, Allowance(limit, remaining, ceil(debt - _ROUNDING), 0)


class Counters:
    """The numbers of all organisations. Safe between threads, and processes forked after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory = SharedMemory(BUCKETS * SLOTS * _SLOT.size)

    def take(self, organization_id: str, name: str, limit: int) -> Allowance:
        """Count one request."""
        key = blake2b(f"{name}\0{organization_id}".encode(), digest_size=_KEY_BYTES).digest()
        first = int.from_bytes(key[:4], "little") % BUCKETS * SLOTS
        with self._memory.locked() as memory:
            # By the clock that all processes of this host share.
            now = self._clock()
            place, full_at = _find(memory, key, first)
            full_at, allowance = decide(now, full_at, limit)
            _SLOT.pack_into(memory, place, key, full_at)
        return allowance


def _find(memory: mmap.mmap, key: bytes, first: int) -> tuple[int, float]:
    """Return the place of a key, its own or that of the one whose bucket is full soonest."""
    soonest, best = float("inf"), first * _SLOT.size
    for slot in range(first, first + SLOTS):
        place = slot * _SLOT.size
        found, full_at = _SLOT.unpack_from(memory, place)
        if found == key:
            return place, full_at
        if full_at < soonest:
            soonest, best = full_at, place
    return best, 0.0


def limits_of(settings: WebSettings) -> Mapping[Kind, tuple[str, int]]:
    """Return for each kind under which name it is counted, and how many there may be; 0: any."""
    listed = ("list", settings.list_per_minute)
    return {
        "list": listed,
        "tokens": listed,
        "search": ("search", settings.search_per_minute),
        "incident": ("incident", settings.incident_per_minute),
        "export": ("export", settings.export_per_minute),
        "stream": ("stream", settings.stream_per_minute),
    }


def without_limits(settings: WebSettings) -> WebSettings:
    """Return settings under which everybody may ask as often as they like: for tests, and loads."""
    none = {f"{name}_per_minute": 0 for name, _ in limits_of(settings).values()}
    return msgspec.structs.replace(settings, **none)


def describe(name: str, allowance: Allowance) -> dict[str, str]:
    """Return the headers that tell of a limit (draft-ietf-httpapi-ratelimit-headers-10)."""
    headers = {
        "RateLimit-Policy": f'"{name}";q={allowance.limit};w={WINDOW_SECONDS:.0f}',
        "RateLimit": f'"{name}";r={allowance.remaining};t={allowance.reset_seconds}',
    }
    if not allowance.is_admitted:
        headers[RETRY_AFTER] = str(allowance.retry_seconds)
    return headers
