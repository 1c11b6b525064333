"""A part that starts is waited for; one that stays without a copy is told at once."""

from collections.abc import Callable

import pytest

from webapi.errors import NoCopyError, UnavailableError
from webapi.patience import QUIET_SECONDS, START_SECONDS, STEP_SECONDS, Patience


class Clock:
    """Passes as somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def failing_until(clock: Clock, instant: float) -> Callable[[], str]:
    def asking() -> str:
        if clock.seconds < instant:
            raise NoCopyError
        return "whole"

    return asking


def outcome(clock: Clock, patience: Patience, asking: Callable[[], str]) -> tuple[bool, object]:
    """Return whether it was answered, and after how many seconds, to a step."""
    begun = clock.seconds
    try:
        patience.answer(asking)
    except NoCopyError:
        answered = False
    else:
        answered = True
    return answered, pytest.approx(clock.seconds - begun, abs=1.01 * STEP_SECONDS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    return Patience(clock, clock.sleep)


def test_who_asks_while_a_part_starts_is_answered_when_it_has(
    clock: Clock, patience: Patience
) -> None:
    assert outcome(clock, patience, failing_until(clock, clock.seconds + 0.4)) == (True, 0.4)


def test_trouble_that_lasts_is_waited_for_once(clock: Clock, patience: Patience) -> None:
    never = failing_until(clock, float("inf"))
    assert outcome(clock, patience, never) == (False, START_SECONDS)
    for _ in range(100):
        assert outcome(clock, patience, never) == (False, 0)
        clock.sleep(QUIET_SECONDS / 2)


@pytest.mark.parametrize("between", [0.0, QUIET_SECONDS / 2, QUIET_SECONDS * 2])
def test_each_of_several_that_are_made_one_after_the_other_is_waited_for(
    clock: Clock, patience: Patience, between: float
) -> None:
    for _ in range(20):
        asking = failing_until(clock, clock.seconds + 0.8)
        assert outcome(clock, patience, asking) == (True, 0.8)
        clock.sleep(between)


def test_after_a_while_without_trouble_one_waits_again(clock: Clock, patience: Patience) -> None:
    outcome(clock, patience, failing_until(clock, float("inf")))
    clock.sleep(QUIET_SECONDS + 1)
    assert outcome(clock, patience, failing_until(clock, clock.seconds + 0.4)) == (True, 0.4)


def test_what_else_is_wrong_is_not_waited_for(clock: Clock, patience: Patience) -> None:
    def asking() -> str:
        raise UnavailableError("storage_unavailable", "overloaded")

    begun = clock.seconds
    with pytest.raises(UnavailableError, match="overloaded"):
        patience.answer(asking)
    assert clock.seconds == begun
