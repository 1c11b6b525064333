"""The agent's loop: look, read, send, settle, remember.

One thread owns all state; the senders and watchdog only put something into a queue or a set and
wake it. It never blocks on the cluster: when all senders are busy and the next shipment is full,
it stops reading and goes on with everything else. So memory is bounded by the shipments in flight
and one more, whatever the backlog.

The whole guarantee is one order of writes: the checkpoint moves only over the longest prefix of a
file's lines that are stored or durable in the dead letter.

Other settings take over while it runs (`renew`): nothing new is sent, requests under way end, what
only waits for its next attempt comes back and is sent again under the new settings. Files stay
open, so nothing is read twice, and nothing of a deleted file is lost.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from agent import checkpoint
from agent.board import Board
from agent.chain import Links
from agent.checkpoint import Checkpoint
from agent.errors import LockedError, SenderError
from agent.follow import Follower
from agent.integrity import Integrity
from agent.keeper import Keeper, pace
from agent.renewal import Renewal, Reread
from agent.report import Reporter
from agent.send import Senders, Writer
from agent.settings import AgentSettings
from agent.shipment import Loader, Shipment
from agent.status import State, StatusFile, Totals
from agent.tail import READ_BYTES
from agent.watch import Watch
from indexer.beat import Asked
from indexer.bulk import Settlement
from indexer.dead_letter import DeadLetter
from indexer.figures import Figures
from indexer.settings import IndexSettings

READS_A_ROUND: Final = 4
"""Reads between two looks at everything else."""
STATUS_SECONDS: Final = 1.0
RESCAN_SECONDS: Final = 0.1
"""Least time between two looks at all globs, however often files appear."""
IDLE_SECONDS: Final = 0.25
"""Longest wait, so that `stop` is seen."""

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
        figures: what the writer counts.
        board: what other threads see of it, and where they ask for other settings.
        keep_lock: called now and then, and before something is remembered.
        reread: called in the loop when they did; what it returns takes over.
    """

    def __init__(
        self,
        settings: AgentSettings,
        index: IndexSettings,
        writer: Writer,
        dead_letter: DeadLetter,
        *,
        stop: Asked,
        abandon: threading.Event,
        figures: Figures | None = None,
        board: Board | None = None,
        reread: Reread | None = None,
        keep_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings: AgentSettings = settings
        self._dead_letter = dead_letter
        self._stop = stop
        self._abandon = abandon
        self._figures = figures or Figures()
        self._board = board or Board()
        self._reread = reread
        self._keep_lock = keep_lock
        self._is_ours = True
        self._wake = threading.Event()
        directory, now = Path(settings.state_directory), time.monotonic()
        loaded = checkpoint.load(directory)
        self.keeper = Keeper(directory, loaded.generation, now)
        self.follower = Follower(settings, loaded.files, min(READ_BYTES, settings.batch_bytes))
        self.totals = Totals()
        self.integrity = Integrity(loaded, directory, self.follower, self.totals, now, index=index)
        self.loader = self._make_loader(settings, index)
        self._senders = self._make_senders(settings, writer, abandon)
        self._watch = Watch(settings.paths, self._wake.set)
        self._reporter = Reporter(self.totals, self._figures)
        self._status_file = StatusFile(directory)
        self._next_look = self._next_status = now
        self._once = False
        self._renewal: Renewal | None = None
        self._came_back: list[Shipment] = []

    def run(self, *, once: bool = False) -> None:
        """Ship until `stop` is set, or with `once` until everything that is there is settled.

        Raises:
            SenderError: a sender ended by something that is no answer of the cluster.
            LockedError: another agent works on the state directory now.
        """
        self._once = once
        if not once:
            self._watch.start()
        try:
            while not self._stop.is_set():
                now = time.monotonic()
                self._board.turn(now)
                self._renew(now)
                self._look(now)
                self._read(now)
                self._send(now)
                self._collect()
                self._remember(now)
                if once and self._is_done() and not self._tell_all():
                    break
                self._wait(now)
        except LockedError:
            # What stands there is the other agent's.
            self._is_ours = False
            raise
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
        self.keeper.unsaved = self.keeper.unsaved or known != len(self.follower.tails)
        took = time.monotonic() - now
        self._next_look = now + max(self._settings.poll_interval_seconds, pace(took))

    def _read(self, now: float) -> None:
        for _ in range(READS_A_ROUND):
            if not self._may_read():
                return
            chunk = self.follower.read(now)
            if chunk is None:
                return
            self.loader.load(chunk, now)
            # Before a checkpoint can be past these lines.
            self.integrity.take(self.loader.breaks)

    def _may_read(self) -> bool:
        # Without a checkpoint that can be saved, more would be shipped than a restart knows of.
        is_ready = not self.loader.ready and self._renewal is None
        return is_ready and not self.keeper.problem and self.follower.has_more

    def _send(self, now: float) -> None:
        if self._renewal is not None:
            return
        opened = self.loader.opened
        is_due = opened is not None and now - opened >= self._settings.flush_interval_seconds
        if is_due or (self._once and not self.follower.has_more):
            self.loader.close()
        while self.loader.ready and self._senders.is_free:
            self._senders.submit(self.loader.ready.popleft())

    def _collect(self) -> None:
        for back in self._senders.collect():
            if back.error is not None:
                raise SenderError(back.error) from back.error
            if back.settlement is not None:
                self._settle(back.shipment, back.settlement)
            else:
                self._came_back.append(back.shipment)
            del back

    def _settle(self, shipment: Shipment, settlement: Settlement) -> None:
        refusals = shipment.refusals
        self.totals.batches += 1
        self.totals.created += settlement.created
        self.totals.duplicates += settlement.duplicates
        self.totals.dead_letters += settlement.dead + refusals.lines
        self.totals.retries += settlement.retries
        for one in refusals.records:
            self._figures.note_dead(["over_long" if one.line is None else "malformed"] * one.lines)
        self.integrity.witness.note(shipment.batch, settlement)
        for part in shipment.parts:
            part.settled = True
        self.integrity.settle({part.tail for part in shipment.parts})
        self.keeper.unsaved = True

    def _remember(self, now: float) -> None:
        if self.keeper.unsaved and now >= self.keeper.next_save:
            self._save()
        if now >= self._next_status:
            self._keep_lock()
            self.integrity.look(now, self._settings.poll_interval_seconds)
            self.integrity.listen(now, self._settings.paths)
            self.integrity.measure(now, tells=not self._once)
            self.integrity.recall(now, self._senders.missing)
            self._record()
            self._report("running")
            self._next_status = now + STATUS_SECONDS

    def _wait(self, now: float) -> None:
        may_send = self.loader.ready and self._senders.is_free and self._renewal is None
        if self._may_read() or may_send:
            return
        due = min(self._next_look, self._next_status, now + IDLE_SECONDS)
        if self.keeper.unsaved:
            due = min(due, self.keeper.next_save)
        if self.loader.opened is not None and self._renewal is None:
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
            and self._renewal is None
            # An event of the trail that was just recorded is found by the next look.
            and self._next_look > 0.0
        )

    def _tell_all(self) -> bool:
        """Whether there is something to tell, and so to ship, before the end."""
        self.integrity.look_at_all()
        self.integrity.measure(time.monotonic(), tells=False)
        return self._record()

    def _end(self) -> None:
        """Settle what is in flight, in the time that is given; the rest stays at its offset."""
        self._watch.stop()
        deadline = time.monotonic() + self._settings.shutdown_seconds
        self._report("stopping")
        if self._stop.is_set() and self._senders.in_flight:
            _log.info(
                "agent_stopping",
                batches_in_flight=self._senders.in_flight,
                waits_seconds=self._settings.shutdown_seconds,
                hint="a second signal ends it at once; nothing is lost, it is only sent again",
            )
        self._senders.close()
        while self._senders.in_flight and time.monotonic() < deadline:
            self._collect()
            self._wake.wait(0.05)
            self._wake.clear()
        self._abandon.set()
        self._collect()
        self._save()
        self._report("stopped")
        self.follower.close()
        _log.info("agent_stopped", unsettled_batches=self._senders.in_flight)

    # Other settings.

    def _renew(self, now: float) -> None:
        if self._renewal is None and self._reread is not None and self._board.reload.is_set():
            self._board.begin_reload()
            self._renewal, self._reporter.config_problems = self._reread()
            if self._renewal is None:
                self._board.end_reload()
                return
            # Who waits for another attempt need not make it with the old settings.
            self._abandon.set()
            self._senders.close()
        if self._renewal is not None and self._senders.in_flight == 0:
            self._take_over(self._renewal, now)
            self._board.end_reload()

    def _take_over(self, renewal: Renewal, now: float) -> None:
        settings = renewal.settings
        self.loader.close()
        loader = self._make_loader(settings, renewal.index)
        loader.counters = self.loader.counters
        loader.ready.extend((*self._came_back, *self.loader.ready))
        self._came_back = []
        self.loader, self._abandon = loader, renewal.abandon
        self._senders = self._make_senders(settings, renewal.writer, renewal.abandon)
        if settings.paths != self._settings.paths:
            self._watch.stop()
            overflows = self._watch.overflows
            self._watch = Watch(settings.paths, self._wake.set)
            self._watch.overflows = overflows
            if not self._once:
                self._watch.start()
        self.follower.renew(settings, min(READ_BYTES, settings.batch_bytes))
        self._settings, self._renewal = settings, None
        self._next_look = now
        self.totals.reloads += 1
        renewal.settled()

    def _make_loader(self, settings: AgentSettings, index: IndexSettings) -> Loader:
        return Loader(
            settings, index, Links(self.integrity.sources) if settings.check_chain else None
        )

    def _make_senders(
        self, settings: AgentSettings, writer: Writer, abandon: threading.Event
    ) -> Senders:
        return Senders(
            writer,
            self._dead_letter,
            count=settings.requests_in_flight,
            abandon=abandon,
            wake=self._wake.set,
        )

    # What outlives the process, and what people see.

    def _save(self) -> None:
        if not self._is_ours:
            return
        self._keep_lock()
        integrity = self.integrity
        self.keeper.save(
            Checkpoint(
                files=tuple(self.follower.places()),
                sources=integrity.sources.states(),
                forgotten=integrity.sources.forgotten,
                findings=tuple(integrity.findings),
                pulses=integrity.silences.states(),
                witnessed=integrity.witness.states(),
                backlog=integrity.backlog.state,
            )
        )
        integrity.unsaved = integrity.unsaved and bool(self.keeper.problem)

    def _record(self) -> bool:
        """Make events of what was found; True when there are new ones to ship."""
        if self.integrity.unsaved and not self.keeper.problem:
            self._save()
        if not self.integrity.record():
            return False
        self.keeper.unsaved = True
        self._next_look = 0.0
        return True

    def _report(self, state: State) -> None:
        self._reporter.trail_problem = self.integrity.trail.problem
        self._reporter.dead_letter_problem = self._dead_letter.problem
        self._reporter.sources = self.integrity.silences.summarise()
        report = self._reporter.report(
            state,
            follower=self.follower,
            counters=self.loader.counters,
            in_flight=self._senders.in_flight,
            watch=self._watch,
            keeper=self.keeper,
        )
        self._board.show(report)
        if not self._is_ours:
            return
        try:
            self._status_file.keep(report, time.monotonic())
        except OSError as error:
            # Nobody loses anything by it. The checkpoint tells of the same disk, once it is tried:
            # who waits for a line, or for the dead letter, has none to save otherwise.
            self.keeper.unsaved = True
            _log.debug("status_not_written", reason=str(error))
