"""How long to wait before the next attempt: exponential with full jitter, or what is asked for."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

LONGEST_RETRY_AFTER_SECONDS: Final = 300.0


class Backoff(Struct, frozen=True, kw_only=True):
    """The pace of attempts that go wrong one after the other."""

    first_seconds: float = 0.1
    longest_seconds: float = 30.0
    halted_seconds: float = 10.0
    """Least between attempts where an operator has to act (credentials, a missing index)."""


def delay_seconds(
    attempt: int,
    backoff: Backoff,
    *,
    retry_after_seconds: float | None = None,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """How long to wait after `attempt` (1 for the first) went wrong.

    Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): many agents that
    failed together do not come back together. `Retry-After` is a lower bound and not a jittered
    one, up to five minutes: an absurd value must not stop the shipping for a day.
    """
    # 2**32 periods are beyond any cap; the bound keeps the float from overflowing.
    ceiling = min(backoff.longest_seconds, backoff.first_seconds * 2.0 ** min(attempt - 1, 32))
    delay = uniform(0.0, ceiling)
    if retry_after_seconds is None:
        return delay
    return max(delay, min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS))


def halted_delay_seconds(
    attempt: int,
    backoff: Backoff,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """How long to wait where only an operator can help: slow, as trying hard locks accounts."""
    ceiling = min(backoff.longest_seconds, backoff.halted_seconds * 2.0 ** min(attempt - 1, 32))
    return uniform(min(backoff.halted_seconds, ceiling), ceiling)


def retry_after_seconds(header: str | None, *, now: datetime | None = None) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or an HTTP date; None for anything else."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        return None
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
