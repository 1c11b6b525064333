"""What `indelible up` shows on stderr while it works: a bar on a terminal, else plain lines."""

import contextlib
import time
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

STAGES: Final = {
    "download": "Downloading OpenSearch",
    "assemble": "Putting OpenSearch together",
    "start": "Starting OpenSearch",
}
PLAIN_STEP: Final = 0.1
PLAIN_SECONDS: Final = 20
MEGABYTE: Final = 1_000_000


class NodeProgress(Protocol):
    """How far a stage of the node is (`node.Progress`; that package may not be installed)."""

    @property
    def stage(self) -> str:
        """One of `STAGES`."""
        ...

    @property
    def done(self) -> int:
        """Bytes while it downloads, else steps or seconds."""
        ...

    @property
    def total(self) -> int:
        """The most that `done` becomes."""
        ...


def describe_stage(progress: NodeProgress) -> str:
    """Say what the node is doing, in one line."""
    text = STAGES.get(progress.stage, progress.stage)
    if progress.stage == "download":
        done, total = progress.done / MEGABYTE, progress.total / MEGABYTE
        return f"{text}: {done:.0f} of {total:.0f} MB"
    return text


class QuietConsole(Console):
    """A console that falls silent when nobody reads it; rich would end the process."""

    @override
    def on_broken_pipe(self) -> None:
        self.quiet = True


class Display:
    """Shows stages and notes; a terminal that went away (SIGHUP) is no reason to fail."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or QuietConsole(stderr=True, highlight=False)
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._shown: tuple[str, float] | None = None

    @property
    def seconds(self) -> float:
        """How long `up` has been running."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Show one line, or several, as they are."""
        with contextlib.suppress(OSError):
            self._console.print(text, markup=False, soft_wrap=True)

    def show_node(self, progress: NodeProgress) -> None:
        """Show how far the node is."""
        if self._console.is_terminal:
            self._show_bar(progress)
        else:
            self._show_line(progress)

    def end_bar(self) -> None:
        """Take the bar away; lines follow."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.stop()
        self._bar, self._task = None, None

    def _show_bar(self, progress: NodeProgress) -> None:
        if self._bar is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
            self._bar = Progress(
                *columns, TimeElapsedColumn(), console=self._console, transient=True
            )
            self._bar.start()
        # The seconds of a start say nothing about when it ends: a bar without an end is honest.
        total = None if progress.stage == "start" else progress.total
        if self._task is None:
            self._task = self._bar.add_task("", total=total)
        self._bar.update(
            self._task, description=describe_stage(progress), completed=progress.done, total=total
        )

    def _show_line(self, progress: NodeProgress) -> None:
        is_start = progress.stage == "start"
        done = progress.done if is_start else progress.done / max(1, progress.total)
        step = PLAIN_SECONDS if is_start else PLAIN_STEP
        stage, shown = self._shown or ("", 0.0)
        if stage == progress.stage and done < shown + step:
            return
        self._shown = (progress.stage, done)
        by_now = f", {done:.0f} s by now" if is_start and done >= step else ""
        self.say(f"{describe_stage(progress)}{by_now}")
