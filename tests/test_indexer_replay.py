"""Replay on a real node: what can be stored is, once; what cannot stays, and says why."""

import threading
import uuid
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from indexer import replay
from indexer.backoff import Backoff
from indexer.bulk import BulkWriter
from indexer.client import ask
from indexer.dead_letter import DeadLetter, Grave, Refusal, render
from indexer.dead_marks import Tally, letter_key, read_marks
from indexer.dead_records import Record, read_records
from indexer.errors import DeadLetterError, ReplayError
from indexer.replay import BATCH_RECORDS, Replay, Result, cut, hold
from indexer.settings import IndexSettings
from tests import faults
from tests.cluster import Cluster
from tests.faults import Faults, connect_through, in_turn
from tests.lines import event_line, instant
from tests.stored_events import read_stored

HURRIED = Backoff(first_seconds=0.001, longest_seconds=0.01, halted_seconds=0.005)
WHEN = "2026-11-23T18:00:00.000000Z"


class World:
    """A dead letter, a cluster, and replays of all that is open."""

    def __init__(self, cluster: Cluster, index: IndexSettings, directory: Path) -> None:
        self.cluster = cluster
        self.index = index
        self.directory = directory
        self.letter = DeadLetter(directory)

    def bury(self, *lines: bytes, reason: str = "too large", status: int | None = 413) -> None:
        self.letter.append(
            [
                Refusal(path="/a", offset=at, reason=reason, status=status, time=WHEN, line=line)
                for at, line in enumerate(lines)
            ]
        )

    def open(self) -> list[Record]:
        marks = read_marks(self.directory)
        lines = self.letter.path.read_bytes().splitlines()
        return [one for one in read_records(lines) if one.key not in marks]

    def replay(self, script: Faults | None = None, *, wait_seconds: float = 30) -> Result:
        done: list[int] = []
        with connect_through(self.cluster.connection(), script or in_turn()) as client:

            def connect(grave: Grave, stop: threading.Event) -> BulkWriter:
                return BulkWriter(client, self.index, grave, stop=stop, backoff=HURRIED)

            work = Replay(
                self.directory,
                letter_key(self.letter.path),
                self.index,
                connect,
                wait_seconds=wait_seconds,
            )
            work.send(self.open(), done.append)
        result = work.result
        assert sum(done) == sum(
            (result.stored, result.replaced, result.unchanged, result.no_events)
        )
        return result

    def stored(self) -> list[bytes]:
        with self.cluster.client("lifecycle") as client:
            ask(client, "POST", f"/{self.index.prefix}-*/_refresh")
        with self.cluster.client("reader") as client:
            return sorted(hit.line for hit in read_stored(client, self.index.prefix))


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> World:
    return World(opensearch, index, tmp_path)


@pytest.mark.opensearch
def test_what_can_be_stored_now_is_and_twice_sends_nothing_twice(world: World) -> None:
    lines = [event_line() for _ in range(3)]
    world.bury(*lines, lines[0])
    before = world.letter.path.read_bytes()
    assert world.replay() == Result(stored=4)
    assert world.stored() == sorted(lines)
    script = in_turn()
    assert world.replay(script) == Result()
    assert script.requests == {}
    assert world.letter.path.read_bytes() == before
    assert Tally(world.directory).count().open == 0


@pytest.mark.opensearch
def test_what_is_stored_already_is_found(world: World) -> None:
    """As after a crash between the write and its mark."""
    line = event_line()
    world.bury(line)
    world.replay()
    (world.directory / "dead-letter-marks.jsonl").unlink()
    assert world.replay() == Result(stored=1)
    assert world.stored() == [line]


@pytest.mark.opensearch
def test_what_is_refused_again_stays_with_the_new_reason(world: World) -> None:
    good, poison = event_line(), event_line({"ipAddress": "999.1.1.1"})
    world.bury(good, poison)
    with capture_logs():
        assert world.replay() == Result(stored=1, replaced=1)
    (left,) = world.open()
    assert (left.number, left.fields.status, left.line) == (3, 400, poison)
    assert "failed to parse field [ipAddress]" in left.fields.reason
    # A hopeless replay does not make the dead letter grow.
    with capture_logs():
        assert world.replay() == Result(unchanged=1)
        assert world.replay() == Result(unchanged=1)
    assert [one.number for one in world.open()] == [3]


@pytest.mark.opensearch
def test_what_is_no_event_is_not_sent(world: World) -> None:
    world.bury(b"{}", b"\xff", b"", event_line() + b" ", reason="not an event: x", status=None)
    script = in_turn()
    assert world.replay(script) == Result(no_events=4)
    assert script.requests == {}
    assert len(world.open()) == 4


@pytest.mark.opensearch
def test_what_must_not_reach_the_cluster_stays(world: World) -> None:
    line = event_line(timestamp=instant(days=500))
    world.bury(line, reason="older than retention (400 days)", status=None)
    assert world.replay() == Result(unchanged=1)
    patient = IndexSettings(prefix=world.index.prefix, replicas=0, retention_days=600)
    world.index = patient
    assert world.replay() == Result(stored=1)


@pytest.mark.opensearch
def test_another_event_under_a_stored_id_stays_apart(world: World) -> None:
    event_id = str(uuid.uuid4())
    lines = [event_line({"result": result}, event_id=event_id) for result in ("success", "denied")]
    world.bury(*lines)
    with capture_logs():
        assert world.replay() == Result(stored=1, replaced=1)
    assert world.stored() == [lines[0]]
    assert [one.line for one in world.open()] == [lines[1]]


@pytest.mark.opensearch
@pytest.mark.parametrize("fault", [faults.lost, faults.cut, faults.status(429), faults.refused])
def test_faults_on_the_way_store_nothing_twice(world: World, fault: faults.Fault) -> None:
    lines = [event_line() for _ in range(5)]
    world.bury(*lines)
    with capture_logs():
        assert world.replay(in_turn(fault, fault)) == Result(stored=5)
    assert world.stored() == sorted(lines)


@pytest.mark.opensearch
def test_many_records_go_in_batches_and_those_done_are_marked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [event_line() for _ in range(5)]
    world.bury(*lines)
    monkeypatch.setattr(replay, "BATCH_RECORDS", 2)
    script = in_turn(None, *[faults.status(503)] * 100_000)
    with capture_logs(), pytest.raises(ReplayError, match="within 0 s") as raised:
        world.replay(script, wait_seconds=0.3)
    assert "still open" in raised.value.hint
    assert len(world.open()) == 3
    assert world.replay() == Result(stored=3)
    assert world.stored() == sorted(lines)


@pytest.mark.opensearch
def test_marks_that_cannot_be_written_leave_records_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bury(event_line())

    def fail(directory: Path, _marks: object) -> None:
        raise DeadLetterError(directory, OSError(28, "No space left on device"))

    with monkeypatch.context() as patched:
        patched.setattr(replay, "append_marks", fail)
        with pytest.raises(DeadLetterError, match="No space left"):
            world.replay()
    assert world.replay() == Result(stored=1)
    assert len(world.stored()) == 1


@pytest.mark.opensearch
def test_a_dead_letter_may_grow_meanwhile(world: World) -> None:
    """The agent goes on while somebody replays."""
    world.bury(*[event_line() for _ in range(20)])
    stop = threading.Event()
    buried = 0

    def go_on() -> None:
        nonlocal buried
        while not stop.is_set():
            world.bury(b"{}", reason="not an event: x", status=None)
            buried += 1

    agent = threading.Thread(target=go_on)
    agent.start()
    try:
        result = world.replay()
    finally:
        stop.set()
        agent.join()
    assert result.stored == 20
    assert len(world.open()) == buried


def test_two_replays_do_not_work_on_one_dead_letter(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(ReplayError, match="another replay"), hold(tmp_path):
        raise AssertionError
    with hold(tmp_path):
        pass


def test_batches_are_bounded_by_records_and_bytes() -> None:
    def record(number: int, size: int) -> Record:
        refusal = Refusal(path="/a", offset=number, reason="", time=WHEN, line=b"x" * size)
        return next(read_records([render(refusal)]))

    small = [record(number, 10) for number in range(BATCH_RECORDS + 1)]
    assert list(map(len, cut(small))) == [BATCH_RECORDS, 1]
    large = [record(number, 3 << 20) for number in range(3)]
    assert list(map(len, cut(large))) == [1, 1, 1]
    assert list(cut([])) == []
