"""What the service manager hears, over a real datagram socket."""

import os
import socket
import time
from pathlib import Path

import pytest

from agent.notify import Notifier


class Manager:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(5)

    def hear(self) -> str:
        return self.socket.recv(4096).decode()

    def hears_nothing(self) -> bool:
        self.socket.settimeout(0)
        try:
            return not self.hear()
        except BlockingIOError:
            return True


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_speaks_as_sd_notify_does(kind: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@indelible-test-{os.getpid()}"
    manager = Manager(address)
    with manager.socket:
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.ready()
        assert manager.hear() == "READY=1"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notifier.reloading()
        first, second = manager.hear().split("\n")
        assert first == "RELOADING=1"
        name, _, instant = second.partition("=")
        assert name == "MONOTONIC_USEC"
        assert before <= int(instant) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notifier.status("3 files, nothing waits")
        assert manager.hear() == "STATUS=3 files, nothing waits"
        notifier.stopping()
        assert manager.hear() == "STOPPING=1"


def test_it_pings_three_times_in_the_time_of_the_watchdog(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    with manager.socket:
        notifier = Notifier(
            {
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "9000000",
                "WATCHDOG_PID": str(os.getpid()),
            }
        )
        for now in (100.0, 101.0, 102.9, 103.0, 103.1):
            notifier.turned(now)
        assert [manager.hear(), manager.hear()] == ["WATCHDOG=1"] * 2
        assert manager.hears_nothing()


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="no watchdog"),
        pytest.param({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}, id="another process's"),
        pytest.param({"WATCHDOG_USEC": "soon"}, id="no number"),
    ],
)
def test_it_does_not_ping_unless_asked(environ: dict[str, str], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    with manager.socket:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), **environ}).turned(100.0)
        assert manager.hears_nothing()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    notifier.ready()
    notifier.turned(1.0)
    notifier.stopping()
