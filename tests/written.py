"""What a log has written, read back from its file, and what it has open."""

from contextlib import suppress
from pathlib import Path

from audit_events.event import Event, decode_event


def read_events(path: Path) -> list[Event]:
    """The event of each line; every one must be whole, and none may be empty."""
    return [decode_event(line) for line in path.read_bytes().splitlines()]


def read_lines(path: Path) -> list[bytes]:
    """Each line, without the empty ones that a log leaves where a write was broken off."""
    return [line for line in path.read_bytes().splitlines() if line]


def open_below(directory: Path) -> list[Path]:
    """What this process has open there, each as often; others come and go with the collector."""
    found: list[Path] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this look itself, or another thread's
            target = descriptor.readlink()
            if directory in (target, *target.parents):
                found.append(target)
    return found
