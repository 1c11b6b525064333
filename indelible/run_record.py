"""What `indelible up` runs, written down: one `up` a home, and nothing outlives a hard kill.

`run/` in the home is locked (flock, which ends with the process that holds it, so no lock can be
stale), and `run/up.json` has every process that was started. When `up` is killed with SIGKILL, its
guard reads that record and ends them; if the guard is killed too, the next `up` does.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from indelible.errors import HomeInUseError
from indelible.processes import POLL_SECONDS, Identity, end, started

TAKEOVER_SECONDS: Final = 90.0


class RunningChild(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process of `up`."""

    name: str
    pid: int
    started: str
    stop_seconds: float


class RunRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """One run of `up`: itself, its children in the order in which they end, and where they answer.

    `owns_node` says that the embedded node was started by this `up` and ends with it.
    """

    pid: int
    started: str
    owns_node: bool = False
    children: tuple[RunningChild, ...] = ()
    web_url: str | None = None
    example_url: str | None = None

    def lives(self) -> bool:
        """Tell whether this `up` still runs."""
        return Identity(self.pid, self.started).lives()


def run_directory(home: Path) -> Path:
    """Return the directory that is locked while `up` runs."""
    return home / "run"


def record_path(home: Path) -> Path:
    """Return the file of the record."""
    return run_directory(home) / "up.json"


def read_record(home: Path) -> RunRecord | None:
    """Return the record of the `up` that runs in a home, or that was killed there."""
    try:
        return msgspec.json.decode(record_path(home).read_bytes(), type=RunRecord)
    except (FileNotFoundError, PermissionError, msgspec.DecodeError):
        return None


def running_web(home: Path) -> str | None:
    """Return where the web answers of the `up` that runs in a home."""
    record = read_record(home)
    return record.web_url if record is not None and record.lives() else None


def write_record(home: Path, record: RunRecord) -> None:
    """Replace the record; a crash leaves the old one or the new one."""
    path = record_path(home)
    scratch = path.with_suffix(".new")
    scratch.write_bytes(msgspec.json.encode(record))
    scratch.chmod(0o600)
    scratch.replace(path)


def remove_record(home: Path) -> None:
    """Forget the run: all of it has ended."""
    record_path(home).unlink(missing_ok=True)


@contextmanager
def lock(home: Path) -> Generator[None]:
    """Hold a home for one `up`.

    Raises:
        HomeInUseError: another `up` runs in it.
    """
    directory = run_directory(home)
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not try_lock(descriptor):
            record = read_record(home)
            # Without a living `up`, the holder is a guard that cleans up: it will be done soon.
            if (record is not None and record.lives()) or time.monotonic() > deadline:
                number = f" (process {record.pid})" if record else ""
                raise HomeInUseError(
                    f"another `indelible up` runs in {home}{number}",
                    hint="use that one, stop it, or choose another home: INDELIBLE_HOME",
                )
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open directory, and say whether that was possible."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def own_identity() -> Identity:
    """Return this very process."""
    return Identity(os.getpid(), started(os.getpid()))


def end_children(record: RunRecord) -> list[str]:
    """End what a killed `up` left behind, but for the node; return the names of what lived."""
    return [
        child.name
        for child in record.children
        if end(Identity(child.pid, child.started), stop_seconds=child.stop_seconds)
    ]
