"""When the checkpoint is saved, and what happens while it cannot be."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent import checkpoint
from agent.checkpoint import SLOTS, Checkpoint
from agent.errors import LOOK_AT_STATE

SAVE_SECONDS: Final = 0.1
"""Least time between two checkpoints; what was settled since the last is sent again by a crash."""
BYTES_A_SECOND: Final = 1_000_000
"""What checkpoints may write on average, so that a large one does not wear out a disk."""
RETRY_SECONDS: Final = 1.0
SHARE: Final = 20
"""Looks and saves that take long are made rarer: at most one part in so many of the time."""
LONGEST_REST_SECONDS: Final = 30.0
"""But not for longer than this: a disk, or a whole machine, that stood still for a minute would be
followed by twenty without a checkpoint."""

_log = structlog.get_logger("agent")


def pace(took_seconds: float) -> float:
    """Return how many seconds after its begin what took so long is done again, at the earliest."""
    return min(took_seconds * SHARE, took_seconds + LONGEST_REST_SECONDS)


class Keeper:
    """Saves generation after generation, at its own pace.

    Args:
        directory: of the state.
        generation: the one that is saved.
        now: monotonic seconds.
    """

    def __init__(self, directory: Path, generation: int, now: float) -> None:
        self._directory = directory
        self._generation = generation
        self.unsaved = False
        """Whether something changed since the last save."""
        self.next_save = now
        """When (monotonic) it is due, if something is unsaved."""
        self.problem = ""
        """Why it cannot be saved; empty while it can."""
        self.saved_at = _last_saved(directory)
        """Unix seconds of the last save, 0 without one."""

    def save(self, content: Checkpoint) -> None:
        """Save it as the next generation; a failure is noted, and tried again soon."""
        start = time.monotonic()
        try:
            size = checkpoint.save(
                self._directory,
                msgspec.structs.replace(content, generation=self._generation + 1),
            )
        except OSError as error:
            self._note(error)
            self.next_save = start + RETRY_SECONDS
            return
        if self.problem:
            _log.info("checkpoint_saved_again", after=self.problem)
        self._generation += 1
        self.unsaved = False
        self.problem = ""
        self.saved_at = time.time()
        took = time.monotonic() - start
        self.next_save = start + max(SAVE_SECONDS, pace(took), size / BYTES_A_SECOND)

    def refuse(self, error: OSError) -> None:
        """It could not be saved before the loop began: that comes first."""
        self._note(error)
        self.unsaved = True

    def _note(self, error: OSError) -> None:
        problem = error.strerror or str(error)
        if problem != self.problem:
            _log.error(
                "checkpoint_not_saved",
                directory=str(self._directory),
                reason=problem,
                hint=f"nothing more is read until it can be; {LOOK_AT_STATE}",
            )
        self.problem = problem


def _last_saved(directory: Path) -> float:
    times: list[float] = []
    for name in SLOTS:
        with suppress(OSError):
            times.append((directory / name).stat().st_mtime)
    return max(times, default=0.0)
