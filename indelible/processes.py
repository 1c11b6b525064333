"""The processes that `indelible up` runs: each has a log, an end in time and a policy of restarts.

A child runs in a session of its own, so that Ctrl-C in the terminal reaches `up` alone and the
children end in the order that `up` chooses. It gets its secrets by its environment or from files
of mode 0600, never by its arguments, which every user of the machine can list.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 0.05
KILL_SECONDS: Final = 5.0
RESTART_DELAYS_SECONDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
RESTART_WINDOW_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: arguments of the Python interpreter, and how long its end may take."""

    name: str
    arguments: tuple[str, ...]
    stop_seconds: float


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told from a later one with the same number by when it started."""

    pid: int
    started: str

    def lives(self) -> bool:
        """Tell whether this very process still runs."""
        return bool(self.started) and started(self.pid) == self.started

    def kill(self) -> None:
        """End the process at once."""
        if self.lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def started(pid: int) -> str:
    """Return when a process started, in the system's own words; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    except OSError:
        return ""
    # The name, second of the columns, may hold blanks and brackets; state is 3rd, start time 22nd.
    columns = stat.rpartition(")")[2].split()
    return "" if columns[0] in "ZX" else columns[19]


def _started_by_ps(pid: int) -> str:
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    shown = done.stdout.strip()
    state, _, when = shown.partition(" ")
    return "" if state.startswith("Z") else when.strip()


def restart_delay_seconds(ends: Sequence[float], now: float) -> float | None:
    """Return how long to wait before a child is started again; None when it is not worth it.

    Args:
        ends: when it ended, in seconds of a monotonic clock, the last end included.
        now: the same clock.
    """
    recent = sum(1 for end in ends if now - end < RESTART_WINDOW_SECONDS)
    return None if recent > len(RESTART_DELAYS_SECONDS) else RESTART_DELAYS_SECONDS[recent - 1]


class Child:
    """A program that runs, ended, or waits to be started again."""

    def __init__(self, program: Program, log: Path, environ: Mapping[str, str]) -> None:
        self.program = program
        self.log = log
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: deque[float] = deque(maxlen=len(RESTART_DELAYS_SECONDS) + 1)
        self._start_again_at: float | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process, once started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process; its log goes on where it was."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own programs
                # -P: a directory that happens to be called `agent` must not shadow our package.
                [sys.executable, "-P", *self.program.arguments],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=dict(self._environ),
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._start_again_at = None

    def lives(self) -> bool:
        """Tell whether the process runs now."""
        return self._process is not None and self._process.poll() is None

    def note_end(self, now: float) -> tuple[int, float | None] | None:
        """Return the exit code and the seconds until a restart, once for each end; else None.

        None instead of seconds: it ended too often, and is not started again.
        """
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self._process = None
        self._ends.append(now)
        delay = restart_delay_seconds(self._ends, now)
        self._start_again_at = None if delay is None else now + delay
        return code, delay

    def due(self, now: float) -> bool:
        """Tell whether it is time to start again."""
        return self._start_again_at is not None and now >= self._start_again_at

    def stop(self) -> bool:
        """End the process: SIGTERM, wait, SIGKILL; return whether it ended by itself in time."""
        self._start_again_at = None
        if self._process is None:
            return True
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(self.program.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End the process and what it started, at once."""
        self._start_again_at = None
        if self._process is not None:
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait(KILL_SECONDS)

    def log_tail(self, lines: int) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal every process of a child's session; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end(identity: Identity, *, stop_seconds: float) -> bool:
    """End a process that is not our child, and its group; return whether it lived."""
    if not identity.lives():
        return False
    for number, seconds in ((signal.SIGTERM, stop_seconds), (signal.SIGKILL, KILL_SECONDS)):
        if number is signal.SIGKILL:
            signal_group(identity.pid, number)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, number)
        deadline = time.monotonic() + seconds
        while identity.lives() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not identity.lives():
            break
    return True
