"""Whatever is lost, late, full or crashes: what never came is told of, and nothing else is."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.checkpoint import Checkpoint, load, save
from agent.chunk import Sign, Span
from agent.errors import AgentError
from agent.integrity import Integrity
from agent.status import Totals
from agent.tail import Tail
from audit_events.errors import SinkError
from audit_events.event_file import EventFile
from indexer.settings import IndexSettings

if TYPE_CHECKING:
    from agent.follow import Follower

SOURCE = "0190aaaa-0000-7000-8000-00000000000a"
PATH = "/var/log/a.log"


class SettledPart:
    """Events of one source, settled together."""

    def __init__(self, first: int, end: int) -> None:
        self.end = end
        self.spans = [Span(SOURCE, first, f"hash-{first}")]
        self.signs: dict[str, Sign] = {}


class File:
    """A tail of which parts are settled already; each event is one byte long."""

    path = PATH

    def __init__(self, seqs: list[int], settled: int) -> None:
        self._seqs = seqs
        self.settled = settled
        self._parts: deque[SettledPart] = deque()

    def settle(self, count: int) -> None:
        for position in range(self.settled, min(self.settled + count, len(self._seqs))):
            self._parts.append(SettledPart(self._seqs[position], position + 1))

    def advance(self) -> list[SettledPart]:
        parts, self._parts = list(self._parts), deque()
        self.settled = parts[-1].end if parts else self.settled
        return parts


class NoFollower:
    """Everything that could be read is settled."""

    def contents(self) -> list[Tail]:
        return []

    def is_settled(self, _status: object) -> bool:
        return True


class Agent:
    """Integrity and checkpoint as the loop drives them; a crash loses all that is in memory."""

    def __init__(self, directory: Path, seqs: list[int]) -> None:
        self.directory = directory
        self._seqs = seqs
        self.start()

    def start(self) -> None:
        self.known = load(self.directory)
        settled = int(self.known.forgotten or "0")
        self.file = File(self._seqs, settled)
        self.integrity = Integrity(
            msgspec.structs.replace(self.known, forgotten=""),
            self.directory,
            cast("Follower", NoFollower()),
            Totals(),
            0.0,
            index=IndexSettings(),
        )

    def settle(self, count: int) -> None:
        self.file.settle(count)
        self.integrity.settle([cast("Tail", self.file)])

    def save(self) -> None:
        self.known = Checkpoint(
            generation=self.known.generation + 1,
            sources=self.integrity.sources.states(),
            # No source is forgotten here, so this field has room for the offset.
            forgotten=str(self.file.settled),
            findings=tuple(self.integrity.findings),
        )
        save(self.directory, self.known)
        self.integrity.unsaved = False

    def tell(self) -> None:
        self.integrity.look_at_all()
        self.save()
        self.integrity.record()

    def find_and_record(self) -> None:
        self.integrity.look_at_all()
        self.integrity.record()

    def told(self, action: str) -> set[int]:
        """Each `seq` that the trail speaks of."""
        trail = self.integrity.trail.path
        lines = trail.read_bytes().splitlines() if trail.exists() else []
        events: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
        return {
            number
            for event in events
            if event["action"] == f"audit_log.{action}"
            for ends in event["context"]["ranges"]
            for number in _numbers(ends)
        }


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def refuse(_file: EventFile, _line: bytes) -> None:
    raise SinkError(Path("/full"), "append to", OSError(28, "No space left on device"), "free some")


STEPS: dict[str, Callable[[Agent], object]] = {
    "settle": lambda agent: agent.settle(3),
    "settle more": lambda agent: agent.settle(7),
    "find": lambda agent: agent.integrity.look_at_all(),
    "record": lambda agent: agent.integrity.record(),
    "find and record": lambda agent: agent.find_and_record(),
    "tell": lambda agent: agent.tell(),
    "save": lambda agent: agent.save(),
    "crash": lambda agent: agent.start(),
}


@settings(max_examples=150)
@given(
    order=st.permutations(range(24)),
    lost=st.sets(st.integers(0, 23), max_size=10),
    steps=st.lists(st.sampled_from([*STEPS, "full disk", "room"]), max_size=40),
)
@example(
    order=[0, 1, 3, 2, *range(4, 24)], lost=set(), steps=["settle", "find and record", "crash"]
)
@pytest.mark.slow
def test_every_lost_event_is_told_of_whatever_happens(
    order: list[int], lost: set[int], steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In whatever order they are read, told, saved, crashed upon, and with a disk that is full."""
    seqs = [number for number in order if number not in lost]
    agent = Agent(tmp_path_factory.mktemp("state"), seqs)
    with pytest.MonkeyPatch.context() as patched:
        for step in steps:
            if step == "full disk":
                patched.setattr(EventFile, "append", refuse)
            elif step == "room":
                patched.undo()
            else:
                STEPS[step](agent)
    agent.settle(len(seqs))
    agent.tell()
    agent.save()
    # What is lost behind the last event that came cannot be known.
    certain = {number for number in lost if seqs and number < max(seqs)}
    gaps, closed = agent.told("gap_detected"), agent.told("gap_closed")
    assert certain <= gaps
    assert gaps - certain == closed, "what was told too early is said to have come"
    assert agent.known.findings == ()


def test_the_errors_of_the_agent_are_no_errors_of_the_trail() -> None:
    """The loop would end by them."""
    assert not issubclass(SinkError, AgentError)
