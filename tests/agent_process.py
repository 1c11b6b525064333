"""Real agent processes on real files, and the account of what became of each line.

The account is by id: every line that was written is in the index once, with its bytes, or in the
dead letter, and never in both.
"""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from agent import checkpoint, status
from audit_events import open_log
from audit_events.envelope import decode_envelope
from audit_events.errors import LineError
from indexer.dead_letter import FILE_NAME
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.stored_events import read_stored
from tests.waiting import wait_until

AGENT: Final = (sys.executable, "-m", "indelible", "agent")
MEGABYTE: Final = 1 << 20


class AgentHome:
    """A directory of logs and of the state of the agents that ship them, one after the other."""

    def __init__(self, directory: Path, cluster: Cluster, index: IndexSettings) -> None:
        self.directory = directory
        self.cluster = cluster
        self.index = index
        self.state = directory / "state"
        self.own_log = directory / "agent.log"
        self.url = cluster.url
        self.ca_file = cluster.ca_file
        self.written: dict[str, bytes] = {}
        """Every event that was emitted here, by id."""
        self._processes: list[subprocess.Popen[str]] = []

    # The lines.

    def emit(self, count: int, name: str = "app.events", *, pad: int = 0) -> list[str]:
        """Log events as an application does; returns their ids."""
        path = self.directory / name
        before = path.stat().st_size if path.exists() else 0
        log = open_log(path, service="s")
        for number in range(count):
            log.info(
                "member.role_changed",
                organization_id="o1",
                actor={"type": "user", "id": f"u{number % 50}"},
                context={"previous": {"role": "member"}, "n": number, "pad": "x" * pad},
            )
        with path.open("rb") as file:
            file.seek(before)
            return self.note(file.read())

    def note(self, content: bytes) -> list[str]:
        """Count these lines, which somebody wrote, as written; returns their ids."""
        lines = {decode_envelope(line).id: line for line in content.splitlines()}
        self.written.update(lines)
        return list(lines)

    # The processes.

    def environment(self, **changes: str) -> dict[str, str]:
        settings = {
            "INDELIBLE_HOME": str(self.directory / "home"),
            "INDELIBLE_OPENSEARCH_URL": self.url,
            "INDELIBLE_OPENSEARCH_CA_FILE": str(self.ca_file),
            "INDELIBLE_OPENSEARCH_WRITER_USERNAME": "audit_writer",
            "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": self.cluster.credentials.users["audit_writer"],
            "INDELIBLE_INDEX_PREFIX": self.index.prefix,
            "INDELIBLE_AGENT_PATHS": f"{self.directory}/*.events*",
            "INDELIBLE_AGENT_STATE_DIRECTORY": str(self.state),
            "INDELIBLE_AGENT_BATCH_EVENTS": "200",
            **changes,
        }
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("INDELIBLE_")
        }
        return kept | settings

    def start(
        self, *arguments: str, command: Sequence[str] = AGENT, **changes: str
    ) -> subprocess.Popen[str]:
        """Start an agent; what it says is added to `own_log`."""
        with self.own_log.open("a") as log:
            process = subprocess.Popen(
                [*command, *arguments],
                env=self.environment(**changes),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._processes.append(process)
        return process

    def once(self, timeout_seconds: float = 120, **changes: str) -> str:
        """Run an agent until all that is there is settled; returns what it printed."""
        process = self.start("--once", **changes)
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still at it:\n{self.said()}") from None
        assert process.returncode == 0, self.said()
        return output

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL, wherever it is."""
        if process in self._processes:
            self._processes.remove(process)
            process.kill()
            process.communicate()

    def close(self) -> None:
        for process in list(self._processes):
            if process.stdout is not None and process.stdout.closed:
                self._processes.remove(process)
            self.kill(process)

    # What can be seen of it.

    def said(self) -> str:
        """The end of what the agents said."""
        return self.own_log.read_text(errors="replace")[-4000:]

    def has_said(self, event: str) -> bool:
        return self.own_log.exists() and f'"event": "{event}"' in self.own_log.read_text()

    def status(self) -> status.Status | None:
        return status.read(self.state)

    def places(self) -> Mapping[str, int]:
        """Offset up to which each file is settled, by its name."""
        try:
            found = checkpoint.load(self.state).files
        except OSError:
            return {}
        return {Path(place.path).name: place.offset for place in found}

    def is_settled(self) -> bool:
        """Whether the checkpoint covers all that lies there."""
        places = self.places()
        return all(
            places.get(path.name, 0) == path.stat().st_size
            for path in self.directory.glob("*.events*")
        )

    def await_settled(self, timeout_seconds: float = 90) -> None:
        wait_until(self.is_settled, lambda: f"all is settled\n{self.said()}", timeout_seconds)

    # The account.

    def stored(self) -> Counter[str]:
        """How often each id is stored; the bytes of each are those that were written."""
        with self.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=f"{self.index.prefix}-*")
        found: Counter[str] = Counter()
        with self.cluster.client("reader") as reader:
            for hit in read_stored(reader, self.index.prefix):
                found[hit.id] += 1
                assert self.written.get(hit.id, hit.line) == hit.line, "stored as another"
        return found

    def buried(self) -> list[dict[str, Any]]:
        """The records of the dead letter; each of its lines is whole."""
        path = self.state / FILE_NAME
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [msgspec.json.decode(line) for line in lines]

    def buried_ids(self) -> list[str]:
        """The ids of the events in the dead letter, where its lines have one."""
        found: list[str] = []
        for record in self.buried():
            with suppress(LineError):
                found.append(decode_envelope(record.get("line", "").encode()).id)
        return found

    def check(self, *, buried: Collection[str] = ()) -> None:
        """Lost 0, twice 0: each id is stored once, those of `buried` in the dead letter instead."""
        stored, dead = self.stored(), set(self.buried_ids())
        twice = [one for one, count in stored.items() if count > 1]
        lost = self.written.keys() - stored.keys() - dead
        assert (len(lost), len(twice)) == (0, 0), (sorted(lost)[:5], twice[:5], self.said())
        assert dead == set(buried)
        assert not stored.keys() & dead, "in the index and in the dead letter"


@contextmanager
def memory_of(process: subprocess.Popen[str]) -> Generator[list[int]]:
    """Sample the resident bytes of a process all the time; the list grows with each sample."""
    samples: list[int] = []
    done = threading.Event()
    watched = psutil.Process(process.pid)

    def watch() -> None:
        while not done.wait(0.02):
            try:
                samples.append(watched.memory_info().rss)
            except psutil.Error:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
