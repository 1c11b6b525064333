"""The children of one `indelible up`: started, looked after, stopped in order, and written down."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from indelible.display import Display
from indelible.errors import ChildFailedError
from indelible.processes import Child, Program, started
from indelible.run_record import (
    RunningChild,
    RunRecord,
    own_identity,
    remove_record,
    write_record,
)

LOG_LINES: Final = 15


class Children:
    """What runs, in the order in which it ends.

    Args:
        home: where logs and the record lie; locked by the caller.
        environ: the environment of every child.
        stop_order: names of programs, the first one to end first.
        display: where ends and restarts are told.
    """

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        *,
        stop_order: Sequence[str],
        display: Display,
    ) -> None:
        self._home = home
        self._environ = dict(environ)
        self._stop_order = tuple(stop_order)
        self._display = display
        self._children: dict[str, Child] = {}
        identity = own_identity()
        self._record = RunRecord(pid=identity.pid, started=identity.started)
        self._guard: subprocess.Popen[bytes] | None = None

    def start_guard(self) -> None:
        """Start the process that cleans up when this one is killed hard."""
        self._save()
        self._guard = subprocess.Popen(
            [sys.executable, "-P", "-m", "indelible.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environ,
            start_new_session=True,
        )

    def start(self, program: Program) -> None:
        """Start a program, with a log that begins anew; the one before is kept as `.log.1`."""
        log = self._home / "logs" / f"{program.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        child = Child(program, log, self._environ)
        self._children[program.name] = child
        child.start()
        self._save()

    def note(
        self,
        *,
        owns_node: bool | None = None,
        web_url: str | None = None,
        example_url: str | None = None,
    ) -> None:
        """Write down what else there is to know about this run."""
        record = self._record
        self._record = msgspec.structs.replace(
            record,
            owns_node=record.owns_node if owns_node is None else owns_node,
            web_url=web_url or record.web_url,
            example_url=example_url or record.example_url,
        )
        self._save()

    def tend(self) -> None:
        """Tell of children that ended, and start those again whose time has come.

        Raises:
            ChildFailedError: a child ends again and again.
        """
        now = time.monotonic()
        for child in self._children.values():
            end = child.note_end(now)
            if end is not None:
                self._tell(child, *end)
            if child.due(now):
                child.start()
                self._save()

    def _tell(self, child: Child, code: int, delay_seconds: float | None) -> None:
        name = child.program.name
        what = f"{name} ended with {describe_exit(code)}; the end of {child.log}:\n" + indent(
            child.log_tail(LOG_LINES)
        )
        if delay_seconds is None:
            raise ChildFailedError(
                f"{what}\n{name} does not stay up", hint=f"mend what {child.log} says, start again"
            )
        self._display.say(f"{what}\n{name} starts again in {delay_seconds:g} s")

    def log_tail(self, name: str) -> str:
        """Return the end of a child's log."""
        return indent(self._children[name].log_tail(LOG_LINES))

    def stop(self) -> None:
        """End all children, one after the other, each within its time."""
        for name in self._stop_order:
            child = self._children.get(name)
            if child is None:
                continue
            if not child.stop():
                self._display.say(f"{name} did not end in {child.program.stop_seconds:g} s: killed")

    def kill(self) -> None:
        """End all children at once."""
        for child in self._children.values():
            child.kill()

    def forget(self) -> None:
        """Remove the record, now that all has ended, and let the guard go."""
        remove_record(self._home)
        if self._guard is not None:
            # Without a record it has nothing left to do, and it listens to no other signal.
            self._guard.kill()
            self._guard.communicate()

    def _save(self) -> None:
        running = [
            RunningChild(
                name=name,
                pid=child.pid,
                started=started(child.pid),
                stop_seconds=child.program.stop_seconds,
            )
            for name in self._stop_order
            if (child := self._children.get(name)) is not None and child.pid is not None
        ]
        self._record = msgspec.structs.replace(self._record, children=tuple(running))
        write_record(self._home, self._record)


def describe_exit(code: int) -> str:
    """Say how a process ended."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def indent(text: str) -> str:
    """Set a log apart from what we say ourselves."""
    return "\n".join(f"  | {line}" for line in text.splitlines()) or "  | (nothing)"


def child_environ(environ: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment: the operator's, with what `up` decides."""
    return {**environ, **own, "PYTHONUNBUFFERED": "1"}
