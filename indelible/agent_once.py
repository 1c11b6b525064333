"""`indelible agent --once`: how far it is, and what it came to.

On a terminal a bar on stderr, which is gone at the end; elsewhere nothing but the agent's log. What
it came to is on stdout.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import click
import msgspec
import structlog
from msgspec import Struct
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from agent.board import Board
from agent.start import Outcome
from agent.status import Status, Totals
from indelible.display import QuietConsole
from indelible.quantity import counted
from indelible.terminal import plain, write_json
from indexer.beat import Asked

EXIT_UNFINISHED: Final = 1
EXIT_INTERRUPTED: Final = 130
REFRESH_SECONDS: Final = 0.2
RATE_SECONDS: Final = 5.0
"""The last so many seconds say how many events it ships a second."""
WAITING: Final = {
    "retry": "the cluster does not take them, trying again",
    "blocked": "an index is blocked, waiting",
    "halted": "credentials or roles, waiting",
}


class Report(Struct, frozen=True, rename="camel"):
    """What a run came to; `complete` is False when it was stopped before the end, then so is `ok`.

    `ok` says the same as exit code 0.
    """

    ok: bool
    complete: bool
    lag_bytes: int
    totals: Totals
    unreadable: dict[str, str]
    unmatched: tuple[str, ...]
    """Globs that matched no file when it began; that is no failure."""
    checkpoint_problem: str
    trail_problem: str

    @property
    def exit_code(self) -> int:
        """Of the process."""
        if not self.complete:
            return EXIT_INTERRUPTED
        return 0 if self.ok else EXIT_UNFINISHED


def ship(
    run: Callable[[], Outcome],
    board: Board,
    stop: Asked,
    *,
    shutdown_seconds: float,
    as_json: bool = False,
) -> int:
    """Run an agent that ends by itself, show how far it is, say what it came to.

    Args:
        run: the agent, which shows itself on `board`.
        board: looked at while it runs.
        stop: whether it was told to end earlier.
        shutdown_seconds: how long it may take to end then.
        as_json: say it as one line of JSON.

    Returns:
        The exit code.
    """
    console = QuietConsole(stderr=True, highlight=False)
    with show(board, stop, console, shutdown_seconds=shutdown_seconds):
        outcome = run()
    report = judge(outcome, board.status, is_stopped=stop.is_set())
    if as_json:
        write_json(msgspec.json.encode(report))
    else:
        click.echo(describe(report))
    return report.exit_code


def judge(outcome: Outcome, last: Status | None, *, is_stopped: bool) -> Report:
    """What it came to; `last` is what the agent said of itself at its end."""
    lag_bytes = last.lag_bytes if last else 0
    checkpoint_problem = last.checkpoint_problem if last else ""
    trail_problem = last.trail_problem if last else ""
    is_complete = not (is_stopped and lag_bytes)
    return Report(
        ok=is_complete and not (outcome.unreadable or checkpoint_problem or trail_problem),
        complete=is_complete,
        lag_bytes=lag_bytes,
        totals=outcome.totals,
        unreadable=outcome.unreadable,
        unmatched=outcome.unmatched,
        checkpoint_problem=checkpoint_problem,
        trail_problem=trail_problem,
    )


def describe(report: Report) -> str:
    """The same for people."""
    totals = report.totals
    stored = f"{counted(totals.created, 'event')} stored, {totals.duplicates:,} stored before"
    lines = [f"{stored}, {totals.dead_letters:,} in the dead letter"]
    if totals.missing_events:
        missing = counted(totals.missing_events, "event")
        lines.append(f"missing: {missing} in {counted(totals.gaps, 'gap')}, recorded")
    if totals.chain_breaks:
        lines.append(f"altered: {counted(totals.chain_breaks, 'event')}, stored and recorded")
    lines += [f"no file matches {plain(pattern)}" for pattern in report.unmatched]
    lines += [f"not read: {plain(path)}: {reason}" for path, reason in report.unreadable.items()]
    if report.checkpoint_problem:
        lines.append(f"checkpoint not saved: {report.checkpoint_problem}; they will be sent again")
    if report.trail_problem:
        lines.append(f"not recorded yet: {report.trail_problem}; the next start records it")
    if not report.complete:
        waits = decimal(report.lag_bytes)
        lines.append(f"stopped before the end: {waits} wait for the next start, nothing is lost")
    return "\n".join(lines)


@contextmanager
def show(
    board: Board, stop: Asked, console: Console, *, shutdown_seconds: float
) -> Generator[None]:
    """Show a bar while the block runs, if anybody looks; the log then holds warnings alone."""
    if not console.is_terminal:
        yield
        return
    ended = threading.Event()
    bar = Bar(console, shutdown_seconds)
    thread = threading.Thread(target=_refresh, args=(bar, board, stop, ended), daemon=True)
    with _warnings_alone(), bar.shown():
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Bar:
    """Bytes settled of bytes there, events a second, and what holds it up."""

    def __init__(self, console: Console, shutdown_seconds: float) -> None:
        self._console = console
        self._shutdown_seconds = shutdown_seconds
        self._is_stop_said = False
        self._progress = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("looking for files", total=None)
        self._counts: deque[tuple[float, int]] = deque()

    @contextmanager
    def shown(self) -> Generator[None]:
        """Show it until the block ends; a terminal that went away is no reason to fail."""
        with suppress(OSError):
            self._progress.start()
            # It is not there to be moved about; and who ends us at once should find it again.
            self._console.show_cursor(show=True)
        try:
            yield
        finally:
            with suppress(OSError):
                self._progress.stop()

    def update(self, status: Status, now: float, *, is_stopped: bool) -> None:
        """Show how it is now; `now` monotonic."""
        if is_stopped and not self._is_stop_said:
            # A line of its own: beside the bar a narrow terminal has no room for it.
            self._is_stop_said = True
            self._console.print(describe_stop(status, self._shutdown_seconds), markup=False)
        settled = status.totals.settled_bytes
        self._progress.update(
            self._task,
            completed=settled,
            total=settled + status.lag_bytes,
            description=describe_progress(status, self._rate(status, now), is_stopped=is_stopped),
        )

    def _rate(self, status: Status, now: float) -> float:
        """Events settled a second."""
        totals = status.totals
        events = totals.created + totals.duplicates + totals.dead_letters
        if not self._counts or self._counts[-1][1] != events:
            self._counts.append((now, events))
        while len(self._counts) > 1 and self._counts[1][0] < now - RATE_SECONDS:
            self._counts.popleft()
        begin, before = self._counts[0]
        return (events - before) / (now - begin) if now > begin else 0.0


def describe_progress(status: Status, rate: float, *, is_stopped: bool) -> str:
    """What stands beside the bar."""
    settled = status.totals.settled_bytes
    there = decimal(settled + status.lag_bytes)
    parts = ["stopping"] if is_stopped else []
    parts += [f"{decimal(settled)} of {there}", f"{rate:,.0f} events/s"]
    if status.waiting is not None:
        waiting = status.waiting
        why = WAITING.get(waiting.outcome, waiting.outcome)
        parts.append(f"{why} ({waiting.error_type}, since {waiting.since[11:19]}Z)")
    if status.checkpoint_problem:
        parts.append(f"the checkpoint cannot be saved: {status.checkpoint_problem}")
    if status.trail_problem:
        parts.append(f"findings cannot be recorded: {status.trail_problem}")
    if status.dead_letter_problem:
        parts.append(status.dead_letter_problem)
    return ", ".join(parts)


def describe_stop(status: Status, shutdown_seconds: float) -> str:
    """What it waits for once it was told to end."""
    batches = "1 batch" if status.in_flight == 1 else f"{status.in_flight} batches"
    return (
        f"Stopping: up to {shutdown_seconds:g} s for what was sent and is not answered"
        f" ({batches}). Ctrl-C again ends it at once; nothing is lost by that,"
        " the next start sends it again."
    )


def _refresh(bar: Bar, board: Board, stop: Asked, ended: threading.Event) -> None:
    while not ended.wait(REFRESH_SECONDS):
        if board.status is not None:
            with suppress(OSError):
                bar.update(board.status, time.monotonic(), is_stopped=stop.is_set())


@contextmanager
def _warnings_alone() -> Generator[None]:
    """Each file that is followed is a line of the log, and would push the bar off the screen."""
    usual = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=usual)
