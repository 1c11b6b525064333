"""The tailer against a model that knows every line, whatever is done to the files and the agent.

More examples, which take more than the five minutes that a test has otherwise:
`INDELIBLE_TEST_MODEL_EXAMPLES=5000 pytest --timeout=0 tests/test_agent_follow_model.py`.
"""

import gzip
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from tests.agent_world import bench, event_id, event_line

EXAMPLES = int(os.environ.get("INDELIBLE_TEST_MODEL_EXAMPLES", "120"))
NAMES = st.sampled_from(["a.log", "b.log"])
PADS = st.sampled_from([0, 0, 0, 300, 2000])
LIMIT = 4096
GRACE = 30


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Thousands of files come and go, and each is told."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class Content:
    """What one file holds, as its writer sees it."""

    def __init__(self) -> None:
        self.whole: list[str] = []
        """Ids of events, and digests of lines that are too long."""
        self.half: tuple[int, bytes, int] | None = None
        """Which event, its missing rest, and where it begins."""
        self.looked = False
        """Whether the agent looked at the file since it started, and so has it open."""
        self.seen = False
        """Whether it looked at it when this was in it."""
        self.saved = False
        """Whether a checkpoint speaks of it."""

    def copy(self) -> "Content":
        other = Content()
        other.whole = list(self.whole)
        return other


class FollowedFiles(RuleBasedStateMachine):
    """Each complete line that could be read is settled in the end, no piece of one ever is.

    What could not be read: lines that were nowhere any more when the agent looked, or that only an
    open descriptor or the agent's memory still had when it crashed. Their `seq` tells of them. Read
    twice is only what no checkpoint had past it, and what was copied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="follow-model-"))
        self.agent = bench(
            self.directory,
            "*.log*",
            read_bytes=1500,
            batch_events=7,
            max_line_bytes=LIMIT,
            rotated_grace_seconds=GRACE,
        )
        self.is_running = True
        self.number = 0
        self.rotations = 0
        self.files: dict[Path, Content] = {}
        self.gone: list[Content] = []
        """Deleted, and open."""
        self.complete: set[str] = set()
        self.may_lose: set[str] = set()
        self.durable: set[str] = set()
        """Events that a checkpoint has gone past."""
        self.repeatable: set[str] = set()
        self.saved: set[str] = set()
        self.forgotten: set[str] = set()
        """Settled, and no checkpoint says so."""
        self.inodes: set[int] = set()

    @override
    def teardown(self) -> None:
        if not self.is_running:
            self.agent.open()
        agent = self.agent
        try:
            for _ in range(4):
                agent.look(later=2 * GRACE)
                agent.settle_all()
            agent.save()
            self.check_end()
        finally:
            agent.follower.close()
            shutil.rmtree(self.directory)

    def settled(self) -> set[str]:
        found = {one.sha256 for one in self.agent.refusals if one.sha256}
        return self.agent.settled_ids | found

    def check_end(self) -> None:
        agent = self.agent
        assert self.complete - self.may_lose - self.settled() == set(), "lost"
        assert agent.settled_ids - self.complete == set(), "never written as a whole"
        gaps = agent.sources.take_gaps(float("inf"))
        told = {event_id(seq) for gap in gaps for seq in range(gap.first, gap.last + 1)}
        events = [event_id(number) for number in range(self.number)]
        known = agent.settled_ids - self.forgotten
        # Of what nobody remembers nothing follows; the next event of its source will tell.
        newest = max((one for one in events if one in known), default="")
        missing = {one for one in events if one < newest} - agent.settled_ids
        assert missing - told == set(), "silence"
        assert told & known == set(), "told and not missing"
        for path, content in self.files.items():
            if content.half is None and ".log" in path.name:
                assert not agent.follower.unreadable
        assert not agent.follower.has_more

    # What can be had of a line.

    def on_disk(self) -> Iterator[Content]:
        for path, content in self.files.items():
            known = content.saved or (content.looked and self.is_running)
            if ".log" in path.name or known:
                yield content

    def forget_what_is_nowhere(self, lines: list[str]) -> None:
        """These were in a file that is no more, or the memory of the agent is."""
        had = self.settled().union(*(content.whole for content in self.on_disk()))
        if self.is_running:
            had.update(*(content.whole for content in self.gone))
            for shipment in self.agent.in_flight:
                had.update(shipment.batch.ids)
                had.update(one.sha256 for one in shipment.refusals.records if one.sha256)
        self.may_lose |= set(lines) - had

    # What applications and rotation do.

    def open_file(self, name: str) -> Path:
        path = self.directory / name
        if path not in self.files:
            path.touch()
            inode = path.stat().st_ino
            if inode in self.inodes:
                event("an inode is used again")
            self.inodes.add(inode)
            self.files[path] = Content()
        return path

    def append(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    def end_half(self, path: Path) -> None:
        """Nothing else can follow half a line but its rest."""
        content = self.files.get(path)
        if content and content.half:
            number, rest, _ = content.half
            self.append(path, rest)
            content.half = None
            self.add(content, event_id(number))

    def add(self, content: Content, line: str) -> None:
        content.whole.append(line)
        self.complete.add(line)

    def next_line(self, pad: int) -> tuple[int, bytes]:
        number = self.number
        self.number += 1
        return number, event_line(number, pad=pad) + b"\n"

    @rule(name=NAMES, pad=PADS, count=st.integers(1, 12))
    def write(self, name: str, pad: int, count: int) -> None:
        path = self.open_file(name)
        self.end_half(path)
        for _ in range(count):
            number, line = self.next_line(pad)
            self.append(path, line)
            self.add(self.files[path], event_id(number))

    @rule(name=NAMES, pad=PADS, cut=st.integers(1, 250))
    def write_half(self, name: str, pad: int, cut: int) -> None:
        path = self.open_file(name)
        self.end_half(path)
        number, line = self.next_line(pad)
        self.files[path].half = (number, line[cut:], path.stat().st_size)
        self.append(path, line[:cut])

    @rule(name=NAMES)
    def complete_half(self, name: str) -> None:
        self.end_half(self.directory / name)

    @rule(name=NAMES, count=st.integers(0, 12))
    def take_half_back(self, name: str, count: int) -> None:
        """As a writer does whose disk is full."""
        path = self.directory / name
        content = self.files.get(path)
        if content and content.half:
            os.truncate(path, content.half[2])
            content.half = None
            if count:
                self.write(name, 0, count)

    @rule(name=NAMES, length=st.sampled_from([LIMIT + 1, 5000, 20_000]))
    def write_over_long(self, name: str, length: int) -> None:
        path = self.open_file(name)
        self.end_half(path)
        # Each begins differently: of two files with the same bytes, one may pass for a copy.
        self.rotations += 1
        line = b"%6d" % self.rotations + b"x" * length
        self.append(path, line + b"\n")
        self.add(self.files[path], sha256(line).hexdigest())

    @rule(name=NAMES)
    def write_empty_line(self, name: str) -> None:
        path = self.open_file(name)
        self.end_half(path)
        self.append(path, b"\n")

    @rule(name=NAMES, inside=st.booleans())
    def rotate_by_rename(self, name: str, *, inside: bool) -> None:
        path = self.directory / name
        if path in self.files:
            self.rotations += 1
            infix = "log" if inside else "old"
            target = self.directory / f"{name[0]}.{infix}.{self.rotations}"
            path.rename(target)
            content = self.files[target] = self.files.pop(path)
            self.forget_what_is_nowhere(content.whole)

    @rule(name=NAMES, inside=st.booleans(), count=st.integers(0, 12), pad=PADS)
    def copy_and_truncate(self, name: str, *, inside: bool, count: int, pad: int) -> None:
        path = self.directory / name
        if path in self.files:
            self.rotations += 1
            target = self.directory / f"{name}.{self.rotations}"
            content = self.files[path]
            if inside:
                shutil.copyfile(path, target)
                self.files[target] = content.copy()
                self.repeatable |= set(content.whole)
            self.truncate(path)
            if count:
                self.write(name, pad, count)

    def truncate(self, path: Path) -> None:
        os.truncate(path, 0)
        content = self.files[path]
        self.files[path] = Content()
        self.files[path].looked = content.looked
        self.forget_what_is_nowhere(content.whole)

    @rule(name=NAMES, pad=PADS, count=st.integers(1, 30))
    def truncate_and_grow_beyond(self, name: str, pad: int, count: int) -> None:
        """Further than it was, before anybody looks."""
        path = self.directory / name
        if path in self.files:
            size = path.stat().st_size
            self.truncate(path)
            self.write(name, pad, count)
            while path.stat().st_size < size:
                self.write(name, pad, 1)

    @rule(name=NAMES, count=st.integers(0, 12), pad=PADS)
    def delete(self, name: str, count: int, pad: int) -> None:
        self.remove(self.directory / name)
        if count:
            self.write(name, pad, count)

    def remove(self, path: Path) -> None:
        if path in self.files:
            path.unlink()
            content = self.files.pop(path)
            if content.looked and self.is_running:
                self.gone.append(content)
            self.forget_what_is_nowhere(content.whole)

    def rotated(self) -> list[Path]:
        return sorted(path for path in self.files if path.suffix not in {".log", ".gz"})

    @precondition(lambda self: self.rotated())
    @rule(which=st.integers(0, 100))
    def compress(self, which: int) -> None:
        """As logrotate does with what it rotated before."""
        path = self.rotated()[which % len(self.rotated())]
        target = path.with_name(path.name + ".gz")
        target.write_bytes(gzip.compress(path.read_bytes(), 1))
        self.files[target] = self.files[path].copy()
        self.repeatable |= set(self.files[path].whole)
        self.remove(path)

    @precondition(lambda self: self.rotated())
    @rule(which=st.integers(0, 100))
    def delete_rotated(self, which: int) -> None:
        self.remove(self.rotated()[which % len(self.rotated())])

    # What the agent does.

    @precondition(lambda self: self.is_running)
    @rule(later=st.sampled_from([1, 1, 1, 2 * GRACE]))
    def look(self, later: int) -> None:
        self.agent.look(later=later)
        for path, content in self.files.items():
            content.looked = content.looked or content.saved or ".log" in path.name
            content.seen = content.looked

    @precondition(lambda self: self.is_running)
    @rule(which=st.integers(0, 5))
    def settle_one(self, which: int) -> None:
        if self.agent.in_flight:
            self.agent.settle(self.agent.in_flight[which % len(self.agent.in_flight)])

    @precondition(lambda self: self.is_running)
    @rule()
    def settle_all(self) -> None:
        self.agent.settle_all()

    @precondition(lambda self: self.is_running)
    @rule()
    def save(self) -> None:
        self.agent.save()
        self.saved = set(self.agent.passed_ids)
        for path, content in self.files.items():
            status = path.stat()
            tail = self.agent.follower.tails.get((status.st_dev, status.st_ino))
            if content.seen and tail and path.suffix != ".gz":
                content.saved = True
                self.check_settled(path.read_bytes()[: tail.place().offset], content)

    def check_settled(self, data: bytes, content: Content) -> None:
        """No checkpoint goes past what is not settled."""
        ends = [line for line in data.split(b"\n") if line.startswith(b"{")]
        passed = [one for one in content.whole if any(one.encode() in line for line in ends)]
        assert set(passed) <= self.settled()
        self.durable |= set(passed)

    @precondition(lambda self: self.is_running)
    @rule()
    def stop(self) -> None:
        """Die: whatever is in memory only is gone."""
        self.agent.follower.close()
        self.is_running = False
        self.gone.clear()
        self.forgotten |= self.settled() - self.saved
        self.repeatable |= set(self.agent.read_ids) - self.durable
        for content in self.files.values():
            content.looked = False
        self.forget_what_is_nowhere(sorted(self.complete))

    @precondition(lambda self: not self.is_running)
    @rule()
    def start(self) -> None:
        self.agent.open()
        self.is_running = True

    @precondition(lambda self: self.is_running)
    @rule(later=st.sampled_from([1, 2 * GRACE]))
    def drain(self, later: int) -> None:
        """As most of the time: all is read, settled and remembered."""
        self.look(later)
        self.agent.settle_all()
        self.save()

    @precondition(lambda self: self.is_running)
    @rule(name=NAMES, pad=PADS, count=st.integers(0, 5), how=st.sampled_from(["in", "out", "cut"]))
    def restart(self, name: str, pad: int, count: int, how: str) -> None:
        """Files go on while it is stopped."""
        self.stop()
        if count:
            self.write(name, pad, count)
        if how == "cut":
            self.copy_and_truncate(name, inside=False, count=count, pad=pad)
        else:
            self.rotate_by_rename(name, inside=how == "in")
            self.write(name, pad, count + 1)
        self.start()

    @invariant()
    def read_once(self) -> None:
        """What a checkpoint has gone past and nobody copied is not even read again."""
        repeated = {one for one, count in self.agent.read_ids.items() if count > 1}
        assert repeated - self.repeatable == set()


TestFollowedFiles = FollowedFiles.TestCase
TestFollowedFiles.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_the_machine_reaches_inodes_that_are_used_again(tmp_path: Path) -> None:
    """Else a file system that never uses one again makes the model prove less than it says."""
    path = tmp_path / "a.log"
    seen: set[int] = set()
    for _ in range(64):
        path.touch()
        inode = path.stat().st_ino
        path.unlink()
        if inode in seen:
            return
        seen.add(inode)
    pytest.skip("this file system does not use inodes again")
