"""Watchdog tells which files changed; it only wakes the agent, the rescan alone finds things.

What the kernel says is gathered for `GATHER_SECONDS` and said once: an application that writes
50,000 lines a second would otherwise cost a core in events alone. Where watching is not possible
(limit of watches reached, a file system without events, a directory that is not there yet) the
rescan is enough, and `failures` and `overflows` say so.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from typing_extensions import override
from watchdog.events import (
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from agent.discover import base_directory

GATHER_SECONDS: Final = 0.05
BUFFER_BYTES: Final = 1 << 20
"""Room for all that the kernel queues by default (16,384 events) in one read."""
RETRY_SECONDS: Final = 10.0
OVERFLOW_SECONDS: Final = 60.0
"""Least time between two entries about lost events; the count tells of all."""

_log = structlog.get_logger("agent")


class _Gatherer(InotifyFD):
    """Reads the kernel's events a few times a second and drops those that say the same."""

    def __init__(self, note_overflow: Callable[[], None]) -> None:
        super().__init__()
        self._note_overflow = note_overflow

    @override
    def read_events(self, *, event_buffer_size: int = BUFFER_BYTES) -> list[InotifyEvent]:
        events = super().read_events(event_buffer_size=BUFFER_BYTES)
        if any(event.is_queue_overflow for event in events):
            self._note_overflow()
        time.sleep(GATHER_SECONDS)
        seen = {(one.wd, one.mask, one.cookie, one.name): one for one in events}
        return list(seen.values())


class _Observer(BaseObserver):
    def __init__(self, gatherer: _Gatherer) -> None:
        self._gatherer = gatherer
        gatherer.start()
        super().__init__(InotifyEmitter, timeout=1, inotify_fd=gatherer)

    @override
    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self._gatherer.stop()
        self._gatherer.join()


class Watch(FileSystemEventHandler):
    """Watches the directories of globs and remembers which paths were touched.

    Args:
        patterns: absolute globs.
        wake: called, in a thread of watchdog, when there is something to `take`.
    """

    def __init__(self, patterns: Sequence[str], wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake
        self._lock = threading.Lock()
        self._touched: set[str] = set()
        self._bases: dict[str, bool] = {}
        for pattern in patterns:
            directory, recursive = base_directory(pattern)
            self._bases[directory] = recursive or self._bases.get(directory, False)
        self._watched: dict[str, tuple[ObservedWatch, int]] = {}
        self._next_try = 0.0
        self._observer: BaseObserver | None = None
        self.overflows = 0
        self._next_told = 0.0
        self.failures: dict[str, str] = {}
        """Directories that cannot be watched, with the reason."""

    def start(self) -> None:
        """Begin to watch what can be watched."""
        try:
            self._observer = _Observer(_Gatherer(self._overflow))
            self._observer.start()
        except OSError as error:
            # No inotify instance is left: all directories are polled.
            self._observer = None
            for directory in self._bases:
                self._fail(directory, error)

    def renew(self, now: float) -> None:
        """Watch directories that appeared, were made anew, or could not be watched before."""
        if self._observer is None or now < self._next_try:
            return
        self._next_try = now + RETRY_SECONDS
        for directory, recursive in self._bases.items():
            self._renew(self._observer, directory, recursive=recursive)

    def take(self) -> set[str]:
        """The paths that were touched since the last call."""
        with self._lock:
            touched, self._touched = self._touched, set()
        return touched

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)

    @override
    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = {os.fsdecode(path) for path in (event.src_path, event.dest_path) if path}
        with self._lock:
            self._touched |= paths
        self._wake()

    def _overflow(self) -> None:
        self.overflows += 1
        now = time.monotonic()
        if now >= self._next_told:
            # Under a storm of events there are many a second.
            self._next_told = now + OVERFLOW_SECONDS
            hint = "events were lost; the next look at all files makes up"
            _log.warning("watch_overflow", count=self.overflows, hint=hint)

    def _renew(self, observer: BaseObserver, directory: str, *, recursive: bool) -> None:
        try:
            inode = os.stat(directory).st_ino  # noqa: PTH116  # the style of this module's paths
            watched = self._watched.get(directory)
            if watched is not None:
                if watched[1] == inode:
                    return
                del self._watched[directory]
                observer.unschedule(watched[0])
            watch = observer.schedule(
                self,
                # It may be a link itself, which the last slash follows. Below it none is followed:
                # two of them to where they stand are 2^40 directories.
                directory.rstrip("/") + "/",
                recursive=recursive,
                event_filter=[FileCreatedEvent, FileModifiedEvent, FileMovedEvent],
                follow_symlink=False,
            )
        except OSError as error:
            self._fail(directory, error)
        else:
            self._watched[directory] = (watch, inode)
            self.failures.pop(directory, None)

    def _fail(self, directory: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self.failures.get(directory) != reason:
            self.failures[directory] = reason
            _log.warning(
                "directory_not_watched",
                path=directory,
                reason=reason,
                hint="it is looked at every poll_interval_seconds instead",
            )
