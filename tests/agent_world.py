"""What the agent's tests share: lines that are events, and an agent without threads or a cluster.

`Bench` drives the agent's own parts by hand; its sink is the test: a shipment settles when the test
says so.
"""

import os
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from agent import checkpoint
from agent.checkpoint import Checkpoint
from agent.follow import Follower
from agent.places import COPYING_SECONDS
from agent.settings import AgentSettings
from agent.shipment import Loader, Shipment
from agent.sources import Sources
from indexer.settings import IndexSettings

if TYPE_CHECKING:
    from indexer.dead_letter import Refusal

SOURCE = "00000000-0000-7000-8000-00000000aaaa"
INSTANT = "2026-11-23T12:00:00.000000Z"


def event_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def event_line(number: int, *, seq: int | None = None, source: str = SOURCE, pad: int = 0) -> bytes:
    """One event; its id stands behind the padding, so that long ones begin alike."""
    return (
        f'{{"action":"member.role_changed","actor":{{"type":"system"}},'
        f'"context":{{"pad":"{"x" * pad}"}},"hash":"{"A" * 43}","id":"{event_id(number)}",'
        f'"organizationId":"o1","schemaVersion":1,"source":{{"host":"h","id":"{source}",'
        f'"seq":{number if seq is None else seq},"service":"s"}},"timestamp":"{INSTANT}"}}'
    ).encode()


class Bench:
    """An agent that is stepped by hand, on a real directory."""

    def __init__(self, settings: AgentSettings, read_bytes: int = 1 << 20) -> None:
        self.settings = settings
        self.read_bytes = read_bytes
        self.index = IndexSettings()
        self.now = 1000.0
        self.in_flight: list[Shipment] = []
        self.read_ids: Counter[str] = Counter()
        self.settled_ids: set[str] = set()
        self.passed_ids: set[str] = set()
        """Settled, and all before them in their file."""
        self.refusals: list[Refusal] = []
        self.generation = 0
        self.open()

    def open(self) -> None:
        """Begin anew from the checkpoint, as a process does."""
        directory = Path(self.settings.state_directory)
        directory.mkdir(exist_ok=True)
        loaded = checkpoint.load(directory)
        self.generation = loaded.generation
        self.follower = Follower(self.settings, loaded.files, self.read_bytes)
        self.sources = Sources(loaded.sources, self.now, loaded.forgotten)
        self.loader = Loader(self.settings, self.index, instant=lambda: INSTANT)
        self.in_flight = []

    def crash(self) -> None:
        """Lose all that is in memory."""
        self.follower.close()
        self.open()

    def look(self, *, later: float = 1.0) -> list[Shipment]:
        """Rescan, read everything that can be read, and put it in flight."""
        self.now += later
        self.follower.rescan(self.now)
        return self.read()

    def read(self) -> list[Shipment]:
        """Read everything that can be read, and put it in flight."""
        while self.follower.has_more:
            chunk = self.follower.read(self.now)
            if chunk is not None:
                self.loader.load(chunk, self.now)
        self.loader.close()
        new = list(self.loader.ready)
        self.loader.ready.clear()
        for shipment in new:
            self.read_ids.update(shipment.batch.ids)
        self.in_flight += new
        return new

    def settle(self, shipment: Shipment) -> None:
        """The cluster has it: move what can be moved."""
        self.in_flight.remove(shipment)
        self.settled_ids.update(shipment.batch.ids)
        self.refusals += shipment.refusals.records
        for part in shipment.parts:
            part.settled = True
        for tail in {part.tail for part in shipment.parts}:
            for part in tail.advance():
                for span in part.spans:
                    self.passed_ids.update(map(event_id, range(span.first, span.last + 1)))
                    self.sources.settle(span, self.now, 0)

    def settle_all(self) -> None:
        for shipment in list(self.in_flight):
            self.settle(shipment)

    def save(self) -> None:
        self.generation += 1
        checkpoint.save(
            Path(self.settings.state_directory),
            Checkpoint(
                self.generation,
                tuple(self.follower.places()),
                self.sources.states(),
                self.sources.forgotten,
            ),
        )

    def drain(self) -> None:
        """Look, settle and save, as a quiet agent does."""
        self.look()
        self.settle_all()
        self.save()


def bench(directory: Path, *patterns: str, read_bytes: int = 1 << 20, **changes: float) -> Bench:
    """An agent on `directory`, following `patterns` in it."""
    settings = AgentSettings(
        paths=tuple(str(directory / pattern) for pattern in patterns or ("*.log",)),
        state_directory=str(directory / "state"),
        batch_events=int(changes.get("batch_events", 5000)),
        max_line_bytes=int(changes.get("max_line_bytes", 65_536)),
        rotated_grace_seconds=changes.get("rotated_grace_seconds", 120.0),
    )
    return Bench(settings, read_bytes)


def write(path: Path, *numbers: int, pad: int = 0) -> None:
    with path.open("ab") as file:
        for number in numbers:
            file.write(event_line(number, pad=pad) + b"\n")


def ids(*numbers: int) -> set[str]:
    return {event_id(number) for number in numbers}


def read_twice(agent: Bench) -> list[str]:
    return [one for one, count in agent.read_ids.items() if count > 1]


def compress(path: Path) -> Path:
    """As logrotate does: the archive has the time of the file, and the file goes."""
    subprocess.run(["gzip", path], check=True)  # noqa: S607  # wherever it is installed
    return path.with_name(path.name + ".gz")


def rest(agent: Bench) -> None:
    """Look until it is sure that nothing changes any more."""
    for _ in range(3):
        agent.drain()


def age(path: Path, seconds: float = 2 * COPYING_SECONDS) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))
