"""A home for `indelible up` in tests: started, asked, ended, and looked through afterwards."""

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.node_home import artifact_cache, free_ports


@dataclass
class Place:
    """A home with ports of its own, and the environment that says so."""

    home: Path
    program: tuple[str, ...] = (sys.executable, "-P", "-m", "indelible")
    ports: list[int] = field(default_factory=lambda: free_ports(4))

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "INDELIBLE_HOME": str(self.home),
            "INDELIBLE_CACHE": str(artifact_cache()),
            "INDELIBLE_NODE_HTTP_PORT": str(self.ports[0]),
            "INDELIBLE_NODE_TRANSPORT_PORT": str(self.ports[1]),
            "INDELIBLE_NODE_HEAP_MEGABYTES": "512",
        }

    def command(self, *arguments: str) -> list[str]:
        return [*self.program, *arguments]

    def up(self, *options: str) -> list[str]:
        ports = ("--port", str(self.ports[2]), "--example-port", str(self.ports[3]))
        return self.command("up", *ports, *options)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environ, capture_output=True, text=True, check=False
        )

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, by its arguments or its environment."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            said = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        return any(str(self.home) in text for text in said)

    def wait_until_nothing_runs(self, seconds: float) -> None:
        wait_for(lambda: not self.processes(), seconds, lambda: str(self.processes()))


def wait_for(condition: Callable[[], bool], seconds: float, told: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


@dataclass
class Running:
    """An `up` that was started; `ready` is what it printed."""

    process: "subprocess.Popen[str]"
    errors: Path

    def ready(self) -> dict[str, Any]:
        """Wait for the line that says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        ready: dict[str, Any] = json.loads(line)
        return ready

    def end(self, number: signal.Signals) -> int:
        """Signal it, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


_numbers = itertools.count()


@contextmanager
def start(place: Place, *options: str) -> Generator[Running]:
    """Start `up --json`; at the end, however it came, nothing of it may be left."""
    errors = place.home.with_suffix(f".{next(_numbers)}.stderr")
    with errors.open("w") as file:
        process = subprocess.Popen(
            place.up("--json", *options),
            env=place.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        yield Running(process, errors)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        place.wait_until_nothing_runs(60)
        errors.unlink()


def ask(curl: str) -> list[dict[str, Any]]:
    """Paste a printed line into a shell."""
    done = subprocess.run(["/bin/sh", "-c", curl], capture_output=True, text=True, check=True)
    events: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return events


class Terminal:
    """A program whose standard descriptors are a terminal, its controlling one if `leads`."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], *, leads: bool = True
    ) -> None:
        self._master, slave = os.openpty()
        adopt = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", adopt, *command] if leads else command,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.said = b""

    def read_until(self, text: bytes, seconds: float = 120) -> None:
        """Read until the program says `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            left = deadline - time.monotonic()
            assert left > 0, self.said.decode()
            waiting = select.poll()
            waiting.register(self._master, select.POLLIN)
            if waiting.poll(left * 1000):
                self.said += os.read(self._master, 65536)

    def write(self, typed: bytes) -> None:
        """Type something."""
        os.write(self._master, typed)

    def hang_up(self) -> None:
        """Close the terminal."""
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.hang_up()
