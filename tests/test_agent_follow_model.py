"""The tailer against a model that knows every line, whatever is done to the files."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from tests.agent_world import bench, event_id, event_line

NAMES = st.sampled_from(["a.log", "b.log"])
PADS = st.sampled_from([0, 0, 0, 300, 2000])


class FollowedFiles(RuleBasedStateMachine):
    """Each complete line is settled in the end, no piece of one ever is.

    `fragile`: something can be had from memory or an open descriptor alone, because its file was
    deleted or truncated without a copy. No checkpoint brings that back after a crash, so a crash
    has to wait for it here; the `seq` of its source would tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="follow-model-"))
        self.agent = bench(
            self.directory,
            "*.log*",
            read_bytes=1500,
            batch_events=7,
            max_line_bytes=4096,
            rotated_grace_seconds=10_000,
        )
        self.number = 0
        self.rotations = 0
        self.complete: set[int] = set()
        self.torn: set[int] = set()
        self.halves: dict[int, tuple[int, bytes, int]] = {}
        """By inode: which event, its missing rest, and where it begins."""
        self.seen: set[int] = set()
        """Inodes whose present content the agent has looked at."""
        self.over_long = 0
        self.fragile = False
        self.may_repeat = False

    @override
    def teardown(self) -> None:
        agent = self.agent
        agent.drain()
        agent.look(later=20_000)
        agent.look(later=20_000)
        agent.settle_all()
        agent.save()
        try:
            self.check_end()
        finally:
            agent.follower.close()
            shutil.rmtree(self.directory)

    def check_end(self) -> None:
        agent = self.agent
        expected = {event_id(number) for number in self.complete}
        assert expected - agent.settled_ids == set(), "lost"
        assert agent.settled_ids - expected == set(), "never written as a whole"
        assert sum(refusal.sha256 is not None for refusal in agent.refusals) >= self.over_long
        gaps = agent.sources.take_gaps(float("inf"))
        missing = {seq for gap in gaps for seq in range(gap.first, gap.last + 1)}
        highest = max(self.complete, default=-1)
        assert missing == {number for number in self.unfinished() if number < highest}

    def unfinished(self) -> set[int]:
        return self.torn | {number for number, _, _ in self.halves.values()}

    # What applications and rotation do.

    def append(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    def end_half(self, path: Path) -> None:
        """Nothing else can follow half a line but its rest."""
        if path.exists() and (half := self.halves.pop(path.stat().st_ino, None)):
            number, rest, _ = half
            self.append(path, rest)
            self.complete.add(number)

    def next_line(self, pad: int) -> tuple[int, bytes]:
        number = self.number
        self.number += 1
        return number, event_line(number, pad=pad) + b"\n"

    @rule(name=NAMES, pad=PADS, count=st.integers(1, 12))
    def write(self, name: str, pad: int, count: int) -> None:
        path = self.directory / name
        self.end_half(path)
        for _ in range(count):
            number, line = self.next_line(pad)
            self.append(path, line)
            self.complete.add(number)

    @rule(name=NAMES, pad=PADS, cut=st.integers(1, 250))
    def write_half(self, name: str, pad: int, cut: int) -> None:
        path = self.directory / name
        self.end_half(path)
        number, line = self.next_line(pad)
        start = path.stat().st_size if path.exists() else 0
        self.append(path, line[:cut])
        self.halves[path.stat().st_ino] = (number, line[cut:], start)

    @rule(name=NAMES)
    def complete_half(self, name: str) -> None:
        self.end_half(self.directory / name)

    @rule(name=NAMES, count=st.integers(0, 2))
    def take_half_back(self, name: str, count: int) -> None:
        """As a writer does whose disk is full."""
        path = self.directory / name
        if path.exists() and (half := self.halves.pop(path.stat().st_ino, None)):
            number, _, start = half
            os.truncate(path, start)
            self.torn.add(number)
            self.seen.discard(path.stat().st_ino)
            self.write(name, 0, count)

    @rule(name=NAMES, length=st.sampled_from([4097, 5000, 20_000]))
    def write_over_long(self, name: str, length: int) -> None:
        path = self.directory / name
        self.end_half(path)
        # Each begins differently: of two files with the same bytes, one may pass for a copy.
        self.over_long += 1
        self.append(path, b"%6d" % self.over_long + b"x" * length + b"\n")

    @rule(name=NAMES)
    def write_empty_line(self, name: str) -> None:
        path = self.directory / name
        self.end_half(path)
        self.append(path, b"\n")

    @rule(name=NAMES, inside=st.booleans())
    def rotate_by_rename(self, name: str, *, inside: bool) -> None:
        path = self.directory / name
        if not path.exists():
            return
        if not inside and path.stat().st_ino not in self.seen:
            # Content that comes and goes between two looks was never there; its `seq` would tell.
            self.agent.drain()
        self.rotations += 1
        infix = "log" if inside else "old"
        path.rename(self.directory / f"{name[0]}.{infix}.{self.rotations}")
        if not inside:
            # Beside its old name it is found again, but only if a checkpoint speaks of it.
            self.agent.save()

    @rule(name=NAMES)
    def copy_and_truncate(self, name: str) -> None:
        path = self.directory / name
        if not path.exists():
            return
        self.rotations += 1
        shutil.copyfile(path, self.directory / f"{name}.{self.rotations}")
        self.cut_half(path)
        os.truncate(path, 0)
        self.may_repeat = True

    @rule(name=NAMES)
    def truncate_when_read(self, name: str) -> None:
        path = self.directory / name
        if path.exists():
            self.agent.look()
            self.cut_half(path)
            os.truncate(path, 0)
            self.fragile = True

    @rule(name=NAMES, recreate=st.booleans())
    def delete(self, name: str, *, recreate: bool) -> None:
        path = self.directory / name
        if not path.exists():
            return
        self.agent.look()
        self.cut_half(path)
        path.unlink()
        self.fragile = True
        if recreate:
            self.write(name, 0, 3)

    def cut_half(self, path: Path) -> None:
        """Before its content goes."""
        self.seen.discard(path.stat().st_ino)
        if half := self.halves.pop(path.stat().st_ino, None):
            self.torn.add(half[0])

    # What the agent does.

    @rule()
    def look(self) -> None:
        self.agent.look()
        self.seen |= {path.stat().st_ino for path in self.directory.glob("*.log")}

    @rule(which=st.integers(0, 5))
    def settle_one(self, which: int) -> None:
        if self.agent.in_flight:
            self.agent.settle(self.agent.in_flight[which % len(self.agent.in_flight)])

    @rule()
    def settle_all(self) -> None:
        self.agent.settle_all()

    @rule()
    def save(self) -> None:
        self.agent.save()

    @rule()
    def crash(self) -> None:
        if self.fragile:
            self.agent.drain()
            self.fragile = False
        self.agent.crash()
        self.seen.clear()
        self.may_repeat = True

    @invariant()
    def read_once(self) -> None:
        """Without a crash or a copy, nothing is read twice, not even to be found a duplicate."""
        if not self.may_repeat:
            repeated = [one for one, count in self.agent.read_ids.items() if count > 1]
            assert repeated == []


TestFollowedFiles = FollowedFiles.TestCase
TestFollowedFiles.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
