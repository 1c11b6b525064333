"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], str],
    seconds: float = 60,
    *,
    pause_seconds: float = 0.01,
) -> None:
    """Return as soon as the condition holds; `what` is said where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(pause_seconds)
