"""The agent's loop: look, read, send, settle, remember.

One thread owns all state; the senders and watchdog only put something into a queue or a set and
wake it. It never blocks on the cluster: when all senders are busy and the next shipment is full,
it stops reading and goes on with everything else. So memory is bounded by the shipments in flight
and one more, whatever the backlog.

The whole guarantee is one order of writes: the checkpoint moves only over the longest prefix of a
file's lines that are stored or durable in the dead letter.
"""

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from agent import checkpoint, status
from agent.chain import Links
from agent.checkpoint import Checkpoint
from agent.errors import SenderError
from agent.follow import Follower
from agent.send import Senders, Settled, Writer
from agent.settings import AgentSettings
from agent.shipment import Loader
from agent.sources import Horizon, Sources, Spot
from agent.status import Totals
from agent.tail import READ_BYTES
from agent.watch import Watch
from audit_events.instant import format_instant
from indexer.dead_letter import DeadLetter
from indexer.settings import IndexSettings

READS_A_ROUND: Final = 4
"""Reads between two looks at everything else."""
STATUS_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 0.1
"""Least time between two checkpoints; what was settled since the last is sent again by a crash."""
RESCAN_SECONDS: Final = 0.1
"""Least time between two looks at all globs, however often files appear."""
IDLE_SECONDS: Final = 0.25
"""Longest wait, so that `stop` is seen."""
_SHARE: Final = 20
"""Looks and saves that take long are made rarer: at most one part in so many of the time."""

_log = structlog.get_logger("agent")


class Pipeline:
    """One agent on one state directory, which the caller has locked.

    Args:
        settings: `paths` and `state_directory` absolute.
        index: how events are laid into indices.
        writer: settles batches; several threads call it.
        dead_letter: takes the lines that are no events.
        stop: set to end; what is in flight is settled first.
        abandon: set by the pipeline when `shutdown_seconds` are over; ends the writer's waits.
    """

    def __init__(
        self,
        settings: AgentSettings,
        index: IndexSettings,
        writer: Writer,
        dead_letter: DeadLetter,
        *,
        stop: threading.Event,
        abandon: threading.Event,
    ) -> None:
        self._settings = settings
        self._directory = Path(settings.state_directory)
        self._stop = stop
        self._abandon = abandon
        self._wake = threading.Event()
        now = time.monotonic()
        loaded = checkpoint.load(self._directory)
        self._generation = loaded.generation
        self.sources = Sources(loaded.sources, now, loaded.forgotten)
        links = Links(self.sources) if settings.check_chain else None
        read_bytes = min(READ_BYTES, settings.batch_bytes)
        self.follower = Follower(settings, loaded.files, read_bytes)
        self.loader = Loader(settings, index, links)
        self._senders = Senders(
            writer,
            dead_letter,
            count=settings.requests_in_flight,
            abandon=abandon,
            wake=self._wake.set,
        )
        self._watch = Watch(settings.paths, self._wake.set)
        self.totals = Totals()
        self._horizon: Horizon | None = None
        self._next_look = self._next_save = self._next_status = now
        self._unsaved = False
        self.checkpoint_problem = ""
        self._started = format_instant(datetime.now(UTC))

    def run(self, *, once: bool = False) -> None:
        """Ship until `stop` is set, or with `once` until everything that is there is settled.

        Raises:
            SenderError: a sender ended by something that is no answer of the cluster.
        """
        if not once:
            self._watch.start()
        try:
            while not self._stop.is_set():
                now = time.monotonic()
                self._look(now)
                self._read(now)
                self._send(now, at_once=once)
                self._collect()
                self._remember(now)
                if once and self._is_done():
                    break
                self._wait(now)
        finally:
            self._end()

    # The steps of the loop.

    def _look(self, now: float) -> None:
        if self.follower.touch(self._watch.take()):
            self._next_look = min(self._next_look, now + RESCAN_SECONDS)
        if now < self._next_look:
            return
        self._watch.renew(now)
        known = len(self.follower.tails)
        self.follower.rescan(now)
        self._unsaved = self._unsaved or known != len(self.follower.tails)
        took = time.monotonic() - now
        self._next_look = now + max(self._settings.poll_interval_seconds, took * _SHARE)

    def _read(self, now: float) -> None:
        for _ in range(READS_A_ROUND):
            if not self._may_read():
                return
            chunk = self.follower.read(now)
            if chunk is None:
                return
            self.loader.load(chunk, now)

    def _may_read(self) -> bool:
        # Without a checkpoint that can be saved, more would be shipped than a restart knows of.
        return not self.loader.ready and not self.checkpoint_problem and self.follower.has_more

    def _send(self, now: float, *, at_once: bool) -> None:
        opened = self.loader.opened
        is_due = opened is not None and now - opened >= self._settings.flush_interval_seconds
        if is_due or (at_once and not self.follower.has_more):
            self.loader.close()
        while self.loader.ready and self._senders.is_free:
            self._senders.submit(self.loader.ready.popleft())

    def _collect(self) -> None:
        for back in self._senders.collect():
            if back.error is not None:
                raise SenderError(back.error) from back.error
            if back.settlement is not None:
                self._settle(back)

    def _settle(self, back: Settled) -> None:
        settlement, parts = back.settlement, back.shipment.parts
        if settlement is not None:
            self.totals.batches += 1
            self.totals.created += settlement.created
            self.totals.duplicates += settlement.duplicates
            self.totals.dead_letters += settlement.dead + len(back.shipment.refusals)
            self.totals.retries += settlement.retries
        for part in parts:
            part.settled = True
        now, unix_seconds = time.monotonic(), int(time.time())
        for tail in {part.tail for part in parts}:
            start = tail.settled
            for part in tail.advance():
                spot = Spot(tail.path, start)
                for span in part.spans:
                    self.sources.settle(span, now, unix_seconds, spot)
                start = part.end
        self._unsaved = True

    def _remember(self, now: float) -> None:
        if self._unsaved and now >= self._next_save:
            self._save()
        if now >= self._next_status:
            self._tell_gaps(now)
            self._write_status("running")
            self._next_status = now + STATUS_SECONDS

    def _wait(self, now: float) -> None:
        if self._may_read() or (self.loader.ready and self._senders.is_free):
            return
        due = min(self._next_look, self._next_status, now + IDLE_SECONDS)
        if self._unsaved:
            due = min(due, self._next_save)
        if self.loader.opened is not None:
            due = min(due, self.loader.opened + self._settings.flush_interval_seconds)
        if self._wake.wait(max(0.0, due - time.monotonic())):
            self._wake.clear()

    def _is_done(self) -> bool:
        return (
            not self.follower.has_more
            and not self.follower.is_copy_awaited
            and not self.loader.ready
            and self.loader.opened is None
            and self._senders.in_flight == 0
        )

    def _end(self) -> None:
        """Settle what is in flight, in the time that is given; the rest stays at its offset."""
        self._watch.stop()
        deadline = time.monotonic() + self._settings.shutdown_seconds
        self._write_status("stopping")
        self._senders.close()
        while self._senders.in_flight and time.monotonic() < deadline:
            self._collect()
            self._wake.wait(0.05)
            self._wake.clear()
        self._abandon.set()
        self._collect()
        self._save()
        self._write_status("stopped")
        self.follower.close()
        _log.info("agent_stopped", unsettled_batches=self._senders.in_flight)

    # What outlives the process, and what people see.

    def _save(self) -> None:
        start = time.monotonic()
        try:
            checkpoint.save(
                self._directory,
                Checkpoint(
                    generation=self._generation + 1,
                    files=tuple(self.follower.places()),
                    sources=self.sources.states(),
                    forgotten=self.sources.forgotten,
                ),
            )
        except OSError as error:
            self._note_checkpoint_problem(error)
            self._next_save = start + STATUS_SECONDS
            return
        self._generation += 1
        self._unsaved = False
        self.checkpoint_problem = ""
        took = time.monotonic() - start
        self._next_save = start + max(SAVE_SECONDS, took * _SHARE)

    def _note_checkpoint_problem(self, error: OSError) -> None:
        problem = error.strerror or str(error)
        if problem != self.checkpoint_problem:
            _log.error(
                "checkpoint_not_saved",
                directory=str(self._directory),
                reason=problem,
                hint="nothing more is read until it can be; free space there, or let it be written",
            )
        self.checkpoint_problem = problem

    def _tell_gaps(self, now: float) -> None:
        """Tell what is missing still when all that could be read when it was noticed is settled."""
        grace = max(2.0, 2 * self._settings.poll_interval_seconds)
        if self._horizon is None:
            noticed = self.sources.oldest_missing()
            if noticed is not None and now - noticed >= grace:
                self._horizon = Horizon(self.follower.contents(), now)
        if self._horizon is None or not self._horizon.is_passed():
            return
        for gap in self.sources.take_gaps(self._horizon.taken - grace):
            self.totals.gaps += 1
            self.totals.missing_events += gap.last - gap.first + 1
            _log.error(
                "gap_detected",
                source_id=gap.source_id,
                first_seq=gap.first,
                last_seq=gap.last,
                hint="they were written and never became readable here; see the dead letter",
            )
        self._horizon = None
        self._unsaved = True

    def _write_status(self, state: Literal["running", "stopping", "stopped"]) -> None:
        tails, counters, totals = self.follower.tails.values(), self.loader.counters, self.totals
        for name in counters.__struct_fields__:
            setattr(totals, name, getattr(counters, name))
        totals.truncations = self.follower.truncations
        totals.watch_overflows = self._watch.overflows
        report = status.Status(
            pid=os.getpid(),
            state=state,
            started_at=self._started,
            updated_at=format_instant(datetime.now(UTC)),
            file_count=len(tails),
            lag_bytes=self.follower.lag_bytes(),
            oldest_unshipped=status.oldest_unshipped(tails),
            in_flight=self._senders.in_flight,
            totals=msgspec.structs.replace(totals),
            files=status.list_files(tails),
            unreadable=dict(self.follower.unreadable),
            unwatched=dict(self._watch.failures),
            checkpoint_problem=self.checkpoint_problem,
        )
        try:
            status.write(self._directory, report)
        except OSError as error:
            # Nobody loses anything by it, and the checkpoint tells of the same disk.
            _log.debug("status_not_written", reason=str(error))
