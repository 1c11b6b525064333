"""Many processes and threads write one file, which is rotated under them, and are killed hard.

What must hold whatever happens: each line is an event, each source's chain runs from 0 to its end,
and no event whose id came back to its caller is missing. Each thread notes the ids that came back
in a file of its own, one `write` each, so the notes survive the kill as well.

INDELIBLE_TEST_EMITTERS_SEED says which processes are killed when.
"""

import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from audit_events.chain import verify_chain
from audit_events.event import decode_event

SEED: Final = int(os.environ.get("INDELIBLE_TEST_EMITTERS_SEED") or time.time() % 100_000)
PROCESSES, THREADS, KILLS = 8, 4, 5
ROTATION_SECONDS: Final = 1.0
_NOTE_BYTES: Final = len("019a0000-0000-7000-8000-000000000000\n")

_WORKER = """
import os, sys, threading
import audit_events

path, notes, threads, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = audit_events.open_log(path, service="members")

def emit(name):
    note = os.open(f"{notes}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(events // threads):
        event_id = log.info(
            "member.role_changed",
            organization_id="org_acme",
            actor={"type": "user", "id": "u_1", "email": "admin@company.com", "name": "Ana Admin"},
            target_user={"id": "u_2", "email": "team@company.com"},
            user_agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0",
            context={"previous": {"role": "member"}, "new": {"role": "admin"},
                     "padding": "x" * (9_000 if number % 50 == 0 else 0)},
        )
        os.write(note, event_id.encode() + b"\\n")

workers = [threading.Thread(target=emit, args=(name,)) for name in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
"""


@dataclass
class Emitters:
    """The processes, what they write to, and what their threads noted."""

    directory: Path
    random: random.Random
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0
    rotations: int = 0

    @property
    def path(self) -> Path:
        return self.directory / "audit.jsonl"

    def start(self, events: int) -> None:
        notes = self.directory / f"notes-{self.started}"
        names = [str(self.path), str(notes)]
        command = [sys.executable, "-c", _WORKER, *names, str(THREADS), str(events)]
        self.running.append(subprocess.Popen(command))
        self.started += 1

    def noted(self) -> int:
        return sum(one.stat().st_size // _NOTE_BYTES for one in self.directory.glob("notes-*"))

    def kill_one(self) -> bool:
        """Whether one was killed at its work: all may have ended it, or the one just did."""
        at_work = [one for one in self.running if one.poll() is None]
        if not at_work:
            return False
        victim = self.random.choice(at_work)
        victim.kill()
        killed = victim.wait() == -signal.SIGKILL
        if killed:
            self.running.remove(victim)
        return killed

    def rotate_by_rename(self) -> None:
        if self.path.exists():
            self.rotations += 1
            self.path.rename(self.directory / f"audit.jsonl.{self.rotations}")

    def rotate_by_copying(self) -> None:
        self.rotations += 1
        shutil.copyfile(self.path, self.directory / f"audit.jsonl.{self.rotations}")
        os.truncate(self.path, 0)

    def contents(self) -> list[bytes]:
        names = [f"audit.jsonl.{number}" for number in range(1, self.rotations + 1)]
        return [(self.directory / name).read_bytes() for name in names] + (
            [self.path.read_bytes()] if self.path.exists() else []
        )

    def ids_that_came_back(self) -> list[str]:
        """Without what a kill left half written of the last note."""
        texts = (one.read_text() for one in self.directory.glob("notes-*"))
        return [note for text in texts for note in text.split("\n")[:-1]]

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def emitters(tmp_path: Path) -> Iterator[Emitters]:
    rig = Emitters(tmp_path, random.Random(SEED))  # noqa: S311  # it is to be repeatable
    yield rig
    rig.stop()


@pytest.mark.slow
def test_no_event_that_came_back_is_missing_whoever_is_killed(emitters: Emitters) -> None:
    """200,000 events that came back, in a file that is renamed each second; five kills."""
    print(f"INDELIBLE_TEST_EMITTERS_SEED={SEED}")  # noqa: T201  # shown when it fails
    events = 200_000
    began = time.monotonic()
    _emit_under_fire(emitters, events)
    seconds = time.monotonic() - began
    contents = emitters.contents()
    lines = [line for content in contents for line in content.split(b"\n")[:-1]]
    written = [line for line in lines if line]
    halves = sum(not content.endswith(b"\n") for content in contents)
    ids = collections.Counter(decode_event(line).id for line in written)
    came_back = emitters.ids_that_came_back()
    print(  # noqa: T201  # what it counted
        f"{len(written)} events of {emitters.started} processes in {len(contents)} files, "
        f"{len(came_back)} came back, {KILLS} killed, {len(lines) - len(written)} bytes blanked, "
        f"{halves} files end in half a line, {seconds:.1f} s"
    )
    assert len(came_back) >= events
    assert emitters.rotations >= 2
    assert verify_chain(written) == []
    assert [one for one, count in ids.items() if count > 1] == []
    assert [one for one in came_back if one not in ids] == []


def _emit_under_fire(emitters: Emitters, events: int) -> None:
    """Let them emit until so many came back; whoever is killed is replaced in the end."""
    for _ in range(PROCESSES):
        emitters.start(events // PROCESSES)
    kills = sorted(emitters.random.uniform(0.05, 0.7) * events for _ in range(KILLS))
    rotated = time.monotonic()
    while True:
        time.sleep(0.02)
        noted = emitters.noted()
        if kills and noted >= kills[0] and emitters.kill_one():
            kills.pop(0)
        elif all(one.poll() == 0 for one in emitters.running):
            if noted >= events and not kills:
                return
            emitters.start(max(events - noted, 0) + events // PROCESSES)
        if time.monotonic() - rotated >= ROTATION_SECONDS:
            rotated = time.monotonic()
            emitters.rotate_by_rename()


@pytest.mark.slow
def test_what_copytruncate_loses_shows_as_a_gap(emitters: Emitters) -> None:
    """It truncates what came after its copy: lost, but told, and nothing else is."""
    each = 2_000
    for _ in range(PROCESSES):
        emitters.start(each)
    rotated = time.monotonic()
    while any(one.poll() is None for one in emitters.running):
        time.sleep(0.02)
        if time.monotonic() - rotated >= ROTATION_SECONDS / 4 and emitters.noted():
            rotated = time.monotonic()
            emitters.rotate_by_copying()
    assert all(one.returncode == 0 for one in emitters.running)
    lines: list[bytes] = []
    for content in emitters.contents():
        # A copy may end in half of the line that was being written.
        lines += [line for line in content.split(b"\n")[:-1] if line]
    events = [decode_event(line) for line in lines]
    breaks = verify_chain(lines)
    last: dict[str, int] = {}
    for event in events:
        last[event.source.id] = event.source.seq
    gaps = sum(one.seq - one.expected_seq for one in breaks)
    came_back = emitters.ids_that_came_back()
    lost = len(set(came_back) - {event.id for event in events})
    print(  # noqa: T201  # what it counted
        f"{len(came_back)} came back, {emitters.rotations} truncations lost {lost}"
    )
    assert {one.kind for one in breaks} <= {"gap"}
    assert emitters.rotations >= 2
    at_the_end = sum(each - 1 - seq for seq in last.values())
    assert lost == gaps + at_the_end, "each loss is a gap, or behind the last that is there"
