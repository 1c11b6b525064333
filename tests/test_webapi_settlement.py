"""Up to which number all can be found: what counts, and what is only likely."""

import pytest

from webapi.errors import UnavailableError
from webapi.settlement import Missed, Samples, Settled
from webapi.storage_answer import Checkpoint


class World:
    """What a process saw of one index, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.samples = Samples(10, lambda: self.now)

    def see(self, number: int, refreshes: int, copy: str = "a") -> Checkpoint:
        seen = Checkpoint("x-uuid", number, copy=copy, refreshes=refreshes)
        self.samples.keep({"x": seen})
        return seen

    def settled(self) -> dict[str, int]:
        return dict(self.samples.settled().numbers)


def test_a_checkpoint_counts_once_it_is_old_enough() -> None:
    world = World()
    for at, refreshes, settled in ((0, 0, {}), (6, 6, {}), (10, 10, {"x-uuid": 0})):
        world.now = at
        world.see(number=at, refreshes=refreshes)
        assert world.settled() == settled
    world.now = 15.9
    assert world.settled() == {"x-uuid": 0}
    world.now = 16
    assert world.settled() == {"x-uuid": 6}


def test_a_checkpoint_of_long_ago_counts_and_is_old_news() -> None:
    world = World()
    world.samples.prove([world.see(5, refreshes=1)])
    assert world.samples.settled().recent == frozenset()
    world.now = 20
    assert world.samples.settled().recent == {"x-uuid"}
    world.now = 20.1
    assert world.samples.settled() == Settled({"x-uuid": 5}, frozenset(), {"x-uuid": "a"})


def test_a_checkpoint_counts_only_when_a_refresh_that_began_after_it_has_ended() -> None:
    """On a node that is overloaded it takes longer than any time that one could wait for."""
    world = World()
    world.see(5, refreshes=3)
    assert not world.samples.unproven(), "too new to ask"
    for refreshes, settled in ((3, {}), (4, {}), (5, {"x-uuid": 6}), (6, {"x-uuid": 7})):
        world.now += 15
        world.see(5 + int(world.now) // 15, refreshes)
        assert world.settled() == settled
    world.now += 15
    last = world.see(10, refreshes=6)
    assert world.settled() == {"x-uuid": 7}
    assert world.samples.unproven() == {"x-uuid"}, "the one refresh since may have begun before"
    world.samples.prove([last])
    assert world.settled() == {"x-uuid": 9}
    world.now += 15
    world.see(10, refreshes=6)
    assert world.settled() == {"x-uuid": 10}
    assert not world.samples.unproven()


def test_what_one_copy_refreshed_says_nothing_of_another() -> None:
    world = World()
    proven = world.see(5, refreshes=3)
    world.samples.prove([proven])
    world.now = 15
    world.see(5, refreshes=3)
    assert world.settled() == {"x-uuid": 5}
    world.now = 30
    world.see(5, refreshes=70, copy="b")
    assert world.settled() == {}
    assert world.samples.unproven() == {"x-uuid"}


def test_another_primary_is_known_at_once() -> None:
    """Else what it holds would be looked for in the copy that was the primary."""
    world = World()
    world.see(5, refreshes=3)
    world.now = 10.1
    world.see(7, refreshes=5)
    assert world.samples.settled().copies == {"x-uuid": "a"}
    world.now = 10.2
    world.see(7, refreshes=5, copy="b")
    assert world.samples.settled() == Settled({}, frozenset(), {"x-uuid": "b"})


def test_an_index_that_does_not_tell_how_far_it_is_now_has_nothing_that_counts() -> None:
    world = World()
    world.see(5, refreshes=3)
    world.now = 15
    world.samples.keep({})
    assert world.settled() == {}


def test_an_index_without_a_primary_is_told_when_it_stays_so() -> None:
    now = [0.0]
    missed = Missed(10, lambda: now[0])
    missed.judge({"made now"})
    now[0] = 5
    missed.judge(())
    missed.judge({"lost"})
    now[0] = 15
    missed.judge({"lost", "made now"})
    now[0] = 15.1
    with pytest.raises(UnavailableError, match="1 parts"):
        missed.judge({"lost", "made now"})
