"""The agent's loop in a thread, on real files, with a sink of the test's own for a cluster."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from typing_extensions import override

from agent import checkpoint
from agent.backlog import Backlog
from agent.board import Board
from agent.findings import Finding
from agent.pipeline import Pipeline
from agent.renewal import Reread
from agent.settings import AgentSettings
from agent.trail import directory_of
from indexer.batch import Batch
from indexer.bulk import Settlement, StoredEvent
from indexer.dead_letter import DeadLetter
from indexer.errors import Interrupted
from indexer.settings import IndexSettings
from tests.agent_world import event_id, event_line
from tests.waiting import wait_until

LINE_BYTES = len(event_line(0)) + 1


class Sink:
    """Takes batches; while `gate` is closed none of them comes back."""

    def __init__(self, abandon: threading.Event) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.abandon = abandon
        self.lock = threading.Lock()
        self.ids: list[str] = []
        self.deleted: set[str] = set()
        self.waiting: list[Batch] = []
        self.error: Exception | None = None

    def write(self, batch: Batch, carry: Callable[[int], None]) -> Settlement:
        del carry
        with self.lock:
            self.waiting.append(batch)
        while not self.gate.wait(0.005):
            if self.abandon.is_set():
                raise Interrupted
        if self.error:
            raise self.error
        with self.lock:
            self.waiting.remove(batch)
            self.ids += batch.ids
        return Settlement(created=len(batch), duplicates=0, dead=0, retries=0)

    def missing(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        with self.lock:
            return [one for one in events if one.id in self.deleted]


class Untold(Backlog):
    """Of a slow machine: it would be an event among those that a test counts."""

    @override
    def look(self, now: float, unix_seconds: int, *, tells: bool = True) -> Finding | None:
        return super().look(now, unix_seconds, tells=False)


class Agent:
    """A pipeline in a thread; of its backlogs it tells nothing (tests/test_agent_backlog.py)."""

    def __init__(
        self,
        directory: Path,
        *,
        once: bool = False,
        reread: Reread | None = None,
        **changes: object,
    ) -> None:
        state = directory / "state"
        state.mkdir(exist_ok=True)
        self.state = state
        settings = AgentSettings(
            paths=(f"{directory}/*.log*",),
            state_directory=str(state),
            poll_interval_seconds=0.05,
            flush_interval_seconds=0.01,
        )
        self.settings = msgspec.structs.replace(settings, **changes)
        self.board = Board()
        self.stop = threading.Event()
        abandon = threading.Event()
        self.sink = Sink(abandon)
        self.dead_letter = DeadLetter(state)
        self.pipeline = Pipeline(
            self.settings,
            IndexSettings(),
            self.sink,
            self.dead_letter,
            stop=self.stop,
            abandon=abandon,
            board=self.board,
            reread=reread,
        )
        integrity = self.pipeline.integrity
        integrity.backlog = Untold(integrity.backlog.state, self.pipeline.follower)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(once,))

    def _run(self, once: bool) -> None:  # noqa: FBT001  # a thread's target
        try:
            self.pipeline.run(once=once)
        except BaseException as error:  # noqa: BLE001  # looked at by the test
            self.error = error

    @contextmanager
    def running(self) -> Generator["Agent"]:
        self.thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            self.sink.gate.set()
            self.thread.join(60)
            assert not self.thread.is_alive()

    def offset(self) -> int:
        """Where it is in all that it follows, but for what it tells of the log itself."""
        own = directory_of(str(self.state))
        places = checkpoint.load(self.state).files
        return sum(place.offset for place in places if not place.path.startswith(own))


def wait_for(agent: Agent, number: int) -> None:
    wait_until(lambda: event_id(number) in agent.sink.ids, f"event {number} arrives")


def write(path: Path, *numbers: int) -> None:
    with path.open("ab") as file:
        file.write(b"".join(event_line(number) + b"\n" for number in numbers))


def ids(*numbers: int) -> list[str]:
    return [event_id(number) for number in numbers]
