"""Scenario 24: however many generations are rotated away, what is remembered stays bounded."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent import checkpoint
from agent.checkpoint import SLOTS, Checkpoint, load
from agent.keeper import BYTES_A_SECOND, LONGEST_REST_SECONDS, SAVE_SECONDS, SHARE, Keeper, pace
from audit_events import open_log
from tests.agent_world import Bench, bench, event_line, read_twice

GENERATIONS = 5000
KEPT = 5
GRACE_SECONDS = 3.0


def size_of(agent: Bench) -> int:
    return max((Path(agent.settings.state_directory) / name).stat().st_size for name in SLOTS)


@pytest.mark.slow
def test_5000_rotated_generations_leave_as_much_as_those_that_are_there(tmp_path: Path) -> None:
    """Each is written by a process of its own, rotated twice, and deleted after a while."""
    agent = bench(tmp_path, "*.log*", rotated_grace_seconds=GRACE_SECONDS)
    path = tmp_path / "a.log"
    for number in range(GENERATIONS):
        source = f"{number:08x}-0000-7000-8000-0000000000cc"
        path.write_bytes(event_line(number, seq=0, source=source) + b"\n")
        agent.look()
        agent.settle_all()
        path.rename(tmp_path / f"a.log.{number}")
        (tmp_path / f"a.log.{number - KEPT}").unlink(missing_ok=True)
    for _ in range(int(GRACE_SECONDS) + 2):
        agent.drain()
    known = load(Path(agent.settings.state_directory))
    assert sorted(Path(place.path).name for place in known.files) == sorted(
        one.name for one in tmp_path.glob("a.log.*")
    )
    assert len(known.files) == KEPT
    assert len(agent.settled_ids) == GENERATIONS
    assert read_twice(agent) == []
    # The sources stay, as their processes may live; a bound by count holds for them.
    assert len(known.sources) == 4096
    assert size_of(agent) < 700_000
    assert agent.sources.take_gaps(1e9) == []


def test_a_generation_that_is_gone_but_not_settled_is_remembered(tmp_path: Path) -> None:
    """An entry goes when the file is gone *and* all of it is settled *and* the grace is over."""
    agent = bench(tmp_path, "*.log", rotated_grace_seconds=GRACE_SECONDS)
    path = tmp_path / "a.log"
    log = open_log(path, service="s")
    log.info("member.invited", organization_id="o", actor={"type": "system"})
    (shipment,) = agent.look()
    path.unlink()
    for _ in range(3 * int(GRACE_SECONDS)):
        agent.look()
    agent.save()
    directory = Path(agent.settings.state_directory)
    assert [place.offset for place in load(directory).files] == [0]
    agent.settle(shipment)
    agent.drain()
    assert load(directory).files == ()


@pytest.mark.parametrize(
    ("took", "seconds"),
    [
        pytest.param(0.002, 0.04, id="as ever"),
        pytest.param(1.0, 20.0, id="a slow one"),
        pytest.param(60.0, 90.0, id="one that stood still"),
    ],
)
def test_what_takes_long_is_done_more_rarely_but_not_for_ever(took: float, seconds: float) -> None:
    assert pace(took) == pytest.approx(seconds)


def test_a_disk_that_stood_still_is_tried_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0, time=time.time)
    clock.monotonic = lambda: clock.now

    def stall(*_arguments: object) -> int:
        clock.now += 60
        return 1000

    monkeypatch.setattr(checkpoint, "save", stall)
    monkeypatch.setattr("agent.keeper.time", clock)
    keeper = Keeper(tmp_path, 0, clock.now)
    keeper.save(Checkpoint())
    assert clock.now < keeper.next_save <= clock.now + LONGEST_REST_SECONDS


@pytest.mark.parametrize(
    ("size", "least", "most"),
    [
        pytest.param(1000, SAVE_SECONDS, 2 * SAVE_SECONDS, id="small"),
        pytest.param(3 * BYTES_A_SECOND, 3.0, 3.5, id="large"),
    ],
)
def test_a_large_checkpoint_is_saved_more_rarely(
    size: int, least: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a megabyte ten times a second would be 430 GB a day."""
    monkeypatch.setattr(checkpoint, "save", lambda *_arguments: size)
    before = time.monotonic()
    keeper = Keeper(tmp_path, 0, before)
    keeper.save(Checkpoint())
    # A save that takes long is made rarer as well.
    held_up = SHARE * (time.monotonic() - before)
    assert before + least <= keeper.next_save <= before + most + held_up
