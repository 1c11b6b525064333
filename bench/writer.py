"""An application that logs at a steady rate, in a thread, by `audit_events` as it is."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from audit_events import open_log


class SteadyWriter:
    """Logs until it is stopped.

    Args:
        path: the file.
        rate: events a second.
        written: called after each log call, with its number, the id of its event, and the monotonic
            instant just before the call.
    """

    def __init__(
        self, path: Path, rate: float, written: Callable[[int, str, float], object]
    ) -> None:
        self._log = open_log(path, service="steady")
        self._rate = rate
        self._written = written
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, with the call under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start, number = time.monotonic(), 0
        while not self._stop.wait(max(0.0, start + number / self._rate - time.monotonic())):
            before = time.monotonic()
            event_id = self._log.info(
                "member.role_changed",
                organization_id=f"org_{number % 50}",
                actor={"type": "user", "id": f"usr_{number % 900}", "email": "ana@company.com"},
                target_user={"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10"},
                ip_address="203.0.113.7",
                correlation_id=f"mark-{number}",
                context={"previous": {"role": "member"}, "new": {"role": "admin"}},
            )
            self._written(number, event_id, before)
            number += 1
