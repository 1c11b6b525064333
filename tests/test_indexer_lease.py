"""The lease: one holder at a time, whatever is lost, late or slow; whoever died is followed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from indexer.control import Control, Version
from indexer.errors import LeaseLostError, NoAnswerError
from indexer.lease import BELIEVED, Lease

LEASE_SECONDS = 60.0
HOLDERS = ("a", "b", "c")
LOSSES = ("read", "before", "after", "late")


@dataclass
class Memory:
    """A document as the cluster keeps it; a fault is asked for before and after each write."""

    content: tuple[Control, Version] | None = None
    writes: int = 0
    under_way: list[tuple[Control, Version | None]] = field(default_factory=list)
    lose: Callable[[str], bool] = field(default=lambda _moment: False)

    def read(self) -> tuple[Control, Version] | None:
        if self.lose("read"):
            raise NoAnswerError("url", "lost")
        return self.content

    def write(self, control: Control, expected: Version | None) -> Version | None:
        if self.lose("before"):
            raise NoAnswerError("url", "lost")
        if self.lose("late"):
            self.under_way.append((control, expected))
            raise NoAnswerError("url", "late")
        present = self.content[1] if self.content else None
        if present != expected:
            return None
        self.writes += 1
        version = Version(self.writes, 1)
        self.content = (control, version)
        if self.lose("after"):
            raise NoAnswerError("url", "lost")
        return version


class Clock:
    """A host's monotonic clock: its own zero, and the pace of the others."""

    def __init__(self, zero: float) -> None:
        self.now = zero

    def __call__(self) -> float:
        return self.now


def lease_of(document: Memory, holder: str, clock: Clock) -> Lease:
    return Lease(document, holder=holder, lease_seconds=LEASE_SECONDS, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_the_second_waits_until_the_first_gives_it_back(clock: Clock) -> None:
    document = Memory()
    first, second = lease_of(document, "a", clock), lease_of(document, "b", clock)
    assert first.take()
    assert not second.take()
    assert second.control.holder == "a"
    first.release()
    assert second.take()
    with pytest.raises(LeaseLostError):
        first.renew()


def test_whoever_died_is_followed_after_one_lease_and_not_before(clock: Clock) -> None:
    document = Memory()
    assert lease_of(document, "a", clock).take()
    second = lease_of(document, "b", clock)
    assert not second.take()
    clock.now += LEASE_SECONDS - 1
    assert not second.take()
    clock.now += 1
    assert second.take()


def test_a_renewal_that_is_seen_begins_the_wait_again(clock: Clock) -> None:
    document = Memory()
    first, second = lease_of(document, "a", clock), lease_of(document, "b", clock)
    assert first.take()
    for _ in range(10):
        assert not second.take()
        clock.now += LEASE_SECONDS / 2
        first.renew()
    assert not second.take()


def test_the_holder_gives_up_before_anybody_may_follow(clock: Clock) -> None:
    document = Memory()
    first = lease_of(document, "a", clock)
    assert first.take()
    clock.now += LEASE_SECONDS * BELIEVED
    assert not first.is_held()
    with pytest.raises(LeaseLostError):
        first.check()
    with pytest.raises(LeaseLostError):
        first.renew()


def test_an_answer_that_was_lost_is_no_lost_lease(clock: Clock) -> None:
    document = Memory()
    first = lease_of(document, "a", clock)
    assert first.take()
    document.lose = lambda moment: moment == "after"
    with pytest.raises(NoAnswerError):
        first.renew(deleting="audit-events-2024.01")
    document.lose = lambda _moment: False
    # What was not answered is not decided: the next write says so.
    first.renew()
    assert document.content is not None
    assert document.content[0] == first.control
    assert first.control.deleting is None


def test_what_is_being_deleted_is_told_until_it_is_known_what_became_of_it(clock: Clock) -> None:
    document = Memory()
    first, second = lease_of(document, "a", clock), lease_of(document, "b", clock)
    assert first.take()
    first.renew(deleting="audit-events-2024.01")
    first.renew()
    assert not second.take()
    clock.now += LEASE_SECONDS
    assert second.take()
    assert second.control.deleting == "audit-events-2024.01"
    second.renew(deleting=None)
    assert second.control.deleting is None


class Leases(RuleBasedStateMachine):
    """Several processes, each at any moment anywhere; answers are lost before and after writes."""

    def __init__(self) -> None:
        super().__init__()
        self.document = Memory(lose=self.lose)
        self.losses: list[str] = []
        self.clocks = {name: Clock(7000.0 * number) for number, name in enumerate(HOLDERS)}
        self.leases = {name: self.start(name, 0) for name in HOLDERS}
        self.starts = 0
        self.taken = 0

    def start(self, name: str, run: int) -> Lease:
        return lease_of(self.document, f"{name}/{run}", self.clocks[name])

    def lose(self, moment: str) -> bool:
        if moment in self.losses:
            self.losses.remove(moment)
            return True
        return False

    @rule(
        name=st.sampled_from(HOLDERS),
        losses=st.lists(st.sampled_from(LOSSES), max_size=2),
    )
    def take(self, name: str, losses: list[str]) -> None:
        self.losses = losses
        with suppress(NoAnswerError):
            self.taken += self.leases[name].take()
        self.losses = []

    @rule(order=st.permutations(HOLDERS))
    def everybody_tries(self, order: list[str]) -> None:
        for name in order:
            self.taken += self.leases[name].take()

    @rule(
        name=st.sampled_from(HOLDERS),
        losses=st.lists(st.sampled_from(LOSSES), max_size=2),
    )
    def renew(self, name: str, losses: list[str]) -> None:
        self.losses = losses
        with suppress(NoAnswerError, LeaseLostError):
            self.leases[name].renew()
        self.losses = []

    @precondition(lambda self: self.document.under_way)
    @rule()
    def arrive(self) -> None:
        """What was sent long ago arrives now."""
        self.document.write(*self.document.under_way.pop(0))

    @precondition(lambda self: any(one.is_held() for one in self.leases.values()))
    @rule()
    def release(self) -> None:
        for lease in self.leases.values():
            lease.release()

    @rule(name=st.sampled_from(HOLDERS))
    def crash(self, name: str) -> None:
        self.starts += 1
        self.leases[name] = self.start(name, self.starts)

    @rule(seconds=st.sampled_from([1.0, 20.0, LEASE_SECONDS - 1, LEASE_SECONDS]))
    def wait(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.now += seconds

    @invariant()
    def one_at_most(self) -> None:
        assert sum(lease.is_held() for lease in self.leases.values()) <= 1

    @override
    def teardown(self) -> None:
        """Whatever happened, after two leases somebody can take it."""
        lease = self.start("a", self.starts + 1)
        lease.take()
        self.clocks["a"].now += LEASE_SECONDS
        assert lease.take()


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=150, stateful_step_count=40)
