"""What signals ask for: nothing that a handler does may wait for what it interrupted."""

import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from agent.board import Board
from agent.flag import Flag


@pytest.fixture
def asked_by_signal() -> Iterator[Flag]:
    flag = Board().reload
    former = signal.signal(signal.SIGUSR1, lambda _number, _frame: flag.set())
    yield flag
    signal.signal(signal.SIGUSR1, former)


@pytest.mark.timeout(20)
def test_a_signal_at_any_step_of_asking_does_not_wait_for_itself(asked_by_signal: Flag) -> None:
    """With a lock inside, the handler waits for the very thread that it interrupted."""
    steps = 0

    def interrupt(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal steps
        steps += 1
        signal.raise_signal(signal.SIGUSR1)

    sys.setprofile(interrupt)
    try:
        asked_by_signal.set()
        asked_by_signal.clear()
    finally:
        sys.setprofile(None)
    assert steps >= 4
    assert asked_by_signal.is_set(), "asked again while it was being cleared"
