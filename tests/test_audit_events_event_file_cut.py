"""Power cuts, kills, full and failing disks under several processes that share a log.

A model (`tests/append_cut.py`) says what a power cut may leave. What a call confirmed to be on the
disk is there whatever comes; what else is there is a chain with holes, each of which shows.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from audit_events import chained_logger, event_file
from audit_events.chain import ChainBreak, verify_chain
from audit_events.chained_logger import ChainedLogger
from audit_events.descriptor import close_all
from audit_events.errors import LineError, SinkError
from audit_events.event import decode_event
from audit_events.event_file import EventFile
from audit_events.parameters import Durability
from tests.append_cut import BLOCK, CutDisk, KilledError, PowerCutError

EXAMPLES = int(os.environ.get("INDELIBLE_TEST_MODEL_EXAMPLES", "120"))
MOST_WRITERS = 3
PADS = st.sampled_from([0, 700, None, None])
FAULTS = ["none"] * 6 + ["kill", "full", "short", "sync", "sync", "cut"]


class Writer:
    """A process, with a log of its own in the file that all share."""

    def __init__(self, number: int, path: Path, durability: Durability) -> None:
        self.number = number
        self.file = EventFile(path)
        self.file.open()
        if durability == "disk":
            self.file.sync()
        self.log = ChainedLogger(self.file, service="s", host="h", durability=durability)
        self.is_synced = durability == "disk"

    def record(self, action: str, pad: int) -> str:
        context = {"pad": "x" * pad}
        who = {"organization_id": "o", "actor": {"type": "system"}, "context": context}
        return self.log.record(action, dict(who))


def whole_lines(lines: list[bytes]) -> list[bytes]:
    """The lines that are events."""
    whole: list[bytes] = []
    for line in lines:
        try:
            decode_event(line)
        except (LineError, msgspec.MsgspecError):
            continue
        whole.append(line)
    return whole


def holes(lines: list[bytes]) -> list[ChainBreak]:
    """The gaps that a reader has to tell of these events, and nothing else."""
    expected: list[ChainBreak] = []
    heads: dict[str, int] = {}
    for source in (decode_event(line).source for line in lines):
        head = heads.get(source.id, 0)
        if source.seq != head:
            expected.append(ChainBreak(source.id, source.seq, "gap", head))
        heads[source.id] = source.seq + 1
    return expected


class SharedLog(RuleBasedStateMachine):
    """Processes come and go, and the power too."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.path = self.home / "logs" / "audit"
        self.path.parent.mkdir()
        self.disk = CutDisk(self.path.parent, lambda _number: 0)
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(os, "write", self.disk.write)
        self.patched.setattr(os, "fsync", self.disk.fsync)
        self.clock = 100.0
        self.patched.setattr("audit_events.event_file.monotonic", lambda: self.clock)
        self.started = self.rotated = 0
        self.writers: list[Writer] = []
        self.durable: dict[str, bytes] = {}
        """What was confirmed to be on the disk, by id."""
        self.confirmed: dict[str, bytes] = {}
        """What was confirmed and has to be in the file, once."""
        self.may_miss = False
        """Whether something that was not synced may have gone."""

    @override
    def teardown(self) -> None:
        self.end_all()
        self.patched.undo()
        shutil.rmtree(self.home)

    def end_all(self) -> None:
        for writer in self.writers:
            writer.file.abandon()
        self.writers.clear()

    def lose_power(self) -> None:
        self.end_all()
        self.disk.cut()
        self.forget_what_is_gone()
        self.may_miss = True

    def forget_what_is_gone(self) -> None:
        there = set(self.disk.lines())
        assert self.durable.items() <= {**self.durable, **self.confirmed}.items()
        lost = [line for line in self.durable.values() if line not in there]
        assert lost == [], "confirmed to be on the disk, and lost"
        self.confirmed = {one: line for one, line in self.confirmed.items() if line in there}

    @rule(durability=st.sampled_from(["process", "disk"]))
    @precondition(lambda self: len(self.writers) < MOST_WRITERS)
    def start(self, durability: Durability) -> None:
        self.started += 1
        self.disk.writer = self.started
        with suppress(SinkError):  # the disk failed before: whoever starts now is told
            self.writers.append(Writer(self.started, self.path, durability))

    @rule(data=st.data(), count=st.integers(1, 4))
    @precondition(lambda self: self.writers)
    def record(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            if self.writers:
                self.record_one(data, data.draw(PADS), is_critical=data.draw(st.booleans()))

    def record_one(self, data: st.DataObject, pad: int | None, *, is_critical: bool) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        self.clock += data.draw(st.sampled_from([0.0, 0.0, 0.002]))
        self.prepare(data, writer)
        action = "organization.deleted" if is_critical else "app.created"
        try:
            event_id = writer.record(action, self.pad(action) if pad is None else pad)
        except SinkError:
            pass
        except KilledError:
            self.end(writer)
        except PowerCutError:
            self.lose_power()
        else:
            line = self.disk.line_with(event_id)
            self.confirmed[event_id] = line
            if is_critical or writer.is_synced:
                self.durable[event_id] = line
        self.disk.room, self.disk.end, self.disk.calls_left = None, None, -1
        self.disk.fails = False

    def pad(self, action: str) -> int:
        """So much that the line ends where a block does: the next one shares none with it."""
        lines = [line for line in self.disk.lines() if action.encode() in line]
        size = self.path.stat().st_size if self.path.exists() else 0
        if not lines:
            return 0
        pad = lines[-1].partition(b'"pad":"')[2].partition(b'"')[0]
        return (pad.count(b"x") - len(lines[-1]) - 1 - size) % BLOCK

    def prepare(self, data: st.DataObject, writer: Writer) -> None:
        """Let something go wrong, perhaps."""
        disk = self.disk
        disk.writer = writer.number
        disk.choose = lambda number: data.draw(st.integers(0, number - 1))
        fault = data.draw(st.sampled_from(FAULTS))
        if fault in ("kill", "full", "short"):
            disk.room = data.draw(st.sampled_from([0, 1, 11, 40, 300]))
        if fault == "kill":
            disk.end = KilledError()
        if fault == "full":
            disk.end = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fault == "short":
            disk.room = disk.room or 1
        if fault == "cut":
            disk.calls_left = data.draw(st.integers(0, 4))
        disk.fails = fault == "sync"

    def end(self, writer: Writer) -> None:
        writer.file.abandon()
        self.writers.remove(writer)

    @rule(data=st.data(), what=st.sampled_from(["kill", "reopen", "fork", "rotate", "fail"]))
    @precondition(lambda self: self.writers)
    def happen(self, data: st.DataObject, what: str) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        if what == "kill":
            self.end(writer)
        if what == "reopen":
            writer.log.close()  # it goes on in its chain
        if what == "fork":
            # Each process is its own child from now on, and the parents are gone.
            chained_logger._start_sources_of_child()
        if what == "rotate" and self.path.exists():
            self.rotate(is_noticed=data.draw(st.booleans()))
        if what == "fail" and self.path.exists():
            self.disk.choose = lambda number: data.draw(st.integers(0, number - 1))
            self.disk.fail(self.path)

    def rotate(self, *, is_noticed: bool) -> None:
        self.rotated += 1
        self.path.rename(f"{self.path}.{self.rotated:04}")
        self.disk.note()
        self.clock += 0.002 if is_noticed else 0.0

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        self.disk.choose = lambda number: data.draw(st.integers(0, number - 1))
        self.lose_power()

    @rule(data=st.data(), fails=st.booleans())
    @precondition(lambda self: self.path.exists())
    def be_silent(self, data: st.DataObject, fails: bool) -> None:  # noqa: FBT001  # drawn
        """So long that the kernel writes all, or drops what it could not write."""
        self.disk.choose = lambda number: data.draw(st.integers(0, number - 1))
        if fails:
            self.disk.fail(self.path)
        self.clock += 2.0
        self.disk.forget()
        self.forget_what_is_gone()
        self.may_miss = True

    @invariant()
    def each_confirmed_line_stands_alone_once(self) -> None:
        lines = self.disk.lines()
        assert [one for one in self.confirmed.values() if lines.count(one) != 1] == []

    @invariant()
    def what_is_there_is_a_chain_whose_holes_show(self) -> None:
        whole = whole_lines(self.disk.lines())
        assert set(whole) <= self.disk.written
        breaks = verify_chain(whole)
        assert breaks == holes(whole)
        assert {one.kind for one in breaks} <= {"gap"}
        assert self.may_miss or breaks == []


SharedLog.TestCase.settings = hypothesis.settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None
)
TestSharedLog = SharedLog.TestCase


def _sync_nothing(descriptors: list[int]) -> None:
    close_all(descriptors)


def _trust(one: EventFile, error: OSError) -> SinkError:
    return SinkError(one.path, "sync", error, "")


CARELESS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "without its syncs": lambda patched: patched.setattr(
        chained_logger, "sync_and_close", _sync_nothing
    ),
    "trusting after a failed sync": lambda patched: patched.setattr(EventFile, "distrust", _trust),
    "trusting after a silence": lambda patched: patched.setattr(event_file, "_KEPT_SECONDS", 1e9),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", CARELESS)
def test_the_model_finds_what_a_careless_log_loses(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can fail: this is what it is for."""
    CARELESS[how](monkeypatch)
    quick = hypothesis.settings(
        SharedLog.TestCase.settings,
        # What is done in time differs from run to run; it ends with the first that is found.
        max_examples=8000,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(SharedLog, settings=quick)
