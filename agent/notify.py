"""What the agent tells the service manager: the protocol of `sd_notify(3)`, without its library.

One datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names; `@` in front stands for
the abstract namespace. Nobody answers, and a manager that is not there is no reason to stop.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

PINGS: Final = 3
"""Pings in the time after which the manager takes the agent for hung."""
MICROSECONDS: Final = 1_000_000


class Notifier:
    """Tells a service manager how the agent is; without one, nothing.

    Args:
        environ: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` with `WATCHDOG_PID` where pings are wanted.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._ping_seconds = _watchdog_seconds(environ) / PINGS
        self._next_ping = 0.0

    def ready(self) -> None:
        """It works: after the start, and after a reload, whatever came of it."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends that."""
        # systemd compares it with its own clock, to know which signal is answered.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It was asked to end."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={text}")

    def turned(self, now: float) -> None:
        """The loop turned, at `now` (monotonic): tell so often enough."""
        if self._ping_seconds and now >= self._next_ping:
            self._next_ping = now + self._ping_seconds
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        address = self._address
        if not address:
            return
        target = f"\0{address[1:]}" if address.startswith("@") else address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A manager whose queue is full must not hold up the loop.
            sender.settimeout(0)
            sender.sendto("\n".join(lines).encode(), target)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """After how long without a ping the manager ends this process; 0 where it does not."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    microseconds = environ.get("WATCHDOG_USEC", "0")
    return int(microseconds) / MICROSECONDS if microseconds.isdecimal() else 0.0
