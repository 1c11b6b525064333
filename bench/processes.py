"""Processes that are measured: started, watched from outside, ended, and what they took.

CPU is user and system time of the whole process tree, in nanoseconds by the kernel's clock of each
process while it runs, and by `wait4` when it is over. Memory is the high-water mark of the tree's
resident sets (`VmHWM`), added up.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).resolve().parents[1]
QUIET_SECONDS: Final = 0.3
QUIET_SHARE: Final = 0.03
"""Of one core: who takes less than this for `QUIET_SECONDS` has started."""
START_SECONDS: Final = 30
END_SECONDS: Final = 60
CPU_CLOCK: Final = 2
"""`CPUCLOCK_SCHED` of Linux: a process's clock is its inverted id and this."""


class ProcessError(Exception):
    """A process that was to be measured ended, or did not end, when it should."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took."""

    cpu_seconds: float
    """From `mark` until it was quiet."""
    once_cpu_seconds: float
    """Before and after: interpreter, imports, configuration, exit."""
    peak_megabytes: float


def environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: this tree is what it imports, nothing else configures it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")}
    return {**kept, "PYTHONPATH": str(ROOT), **(added or {})}


def cpu_seconds(pid: int) -> float:
    """User and system time of one process that runs."""
    return time.clock_gettime((~pid << 3) | CPU_CLOCK)


class Measured:
    """A process under measurement; what it prints goes to a file, to be shown if it fails."""

    def __init__(self, command: Command, output: Path) -> None:
        self._output = output
        self._name = " ".join(command.arguments)
        with output.open("wb") as file:
            self._child = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment(command.environment),
                cwd=output.parent,
            )
        self.pid = self._child.pid
        self._marked = 0.0

    def await_quiet(self) -> None:
        """Wait until it has started, and has nothing to do."""
        deadline = time.monotonic() + START_SECONDS
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            now = self.cpu_seconds()
            if now and now - before < QUIET_SECONDS * QUIET_SHARE:
                return
            before = now
        raise self.error("was not quiet in time")

    def mark(self) -> None:
        """From here on CPU counts."""
        self._marked = self.cpu_seconds()

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far."""
        total = 0.0
        for process in self._tree():
            with suppress(OSError):
                total += cpu_seconds(process.pid)
        return total

    def peak_megabytes(self) -> float:
        """High-water marks of the tree, added up."""
        return sum(_status_megabytes(process.pid, "VmHWM") for process in self._tree())

    def resident_megabytes(self) -> float:
        """Resident sets of the tree now, added up."""
        return sum(_status_megabytes(process.pid, "VmRSS") for process in self._tree())

    def check(self) -> None:
        """Raise if it has ended.

        Raises:
            ProcessError: with the end of what it printed.
        """
        if self._child.poll() is not None:
            raise self.error(f"ended with {self._child.returncode}")

    def end(self) -> Usage:
        """Let it save its state, then end as an operator does it; returns what it took."""
        self.await_quiet()
        peak, worked = self.peak_megabytes(), self.cpu_seconds() - self._marked
        self._child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._child.returncode = os.waitstatus_to_exitcode(status)
                return Usage(worked, used.ru_utime + used.ru_stime - worked, peak)
            time.sleep(0.01)
        raise self.error("did not end in time")

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self._child.returncode is None:
            for process in self._tree():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._child.wait()

    def error(self, what: str) -> ProcessError:
        """An error that shows the end of what the process printed."""
        printed = self._output.read_bytes()[-2000:].decode(errors="replace")
        return ProcessError(f"{self._name} {what}\n{printed}")

    def _tree(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _status_megabytes(pid: int, name: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0
