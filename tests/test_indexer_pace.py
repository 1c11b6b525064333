"""One pace for all writers: few attempts while nobody answers, one probe, and AIMD."""

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from typing_extensions import override

from indexer.answer import Outcome
from indexer.backoff import Backoff
from indexer.errors import Interrupted
from indexer.pace import Pace

NO_WAIT = Backoff(first_seconds=0, longest_seconds=0, halted_seconds=0)


class Time(threading.Event):
    """A clock that moves when somebody waits for it; also the `stop` that is never set."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    @override
    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        # Never twice the same, as with the real one.
        self.now += 1e-6
        return self.now


def paced(at_once: int = 2, backoff: Backoff | None = None) -> tuple[Pace, Time]:
    clock = Time()
    return Pace(backoff or Backoff(), at_once, clock, clock.clock), clock


@pytest.mark.parametrize("at_once", [1, 2, 64])
def test_ten_minutes_without_an_answer_take_few_attempts(at_once: int) -> None:
    pace, clock = paced(at_once)
    random.seed(at_once)
    began, attempts = clock.now, 0
    while clock.now < began + 600:
        # As many at once as it lets through.
        with ExitStack() as stack:
            turns = [stack.enter_context(pace.turn())]
            while len(turns) < (int(pace.window) if attempts == 0 else 1):
                turns.append(stack.enter_context(pace.turn()))
            for turn in turns:
                turn.fail(Outcome.RETRY, None)
            attempts += len(turns)
    assert 15 < attempts < 150 + at_once


def test_the_longest_wait_is_thirty_seconds() -> None:
    pace, clock = paced()
    waits: list[float] = []
    for _ in range(60):
        before = clock.now
        with pace.turn() as turn:
            turn.fail(Outcome.RETRY, None)
        waits.append(clock.now - before)
    assert max(waits) < 30.1
    assert sum(waits[-20:]) / 20 > 5


def test_requests_that_fail_together_are_one_failure() -> None:
    pace, _ = paced(8)
    with ExitStack() as stack:
        for turn in [stack.enter_context(pace.turn()) for _ in range(8)]:
            turn.fail(Outcome.RETRY, None)
    assert pace.window == 4


def test_the_number_at_a_time_is_halved_and_grows_by_one() -> None:
    pace, _ = paced(8)
    for expected in (4.0, 2.0, 1.0, 1.0):
        with pace.turn() as turn:
            turn.fail(Outcome.RETRY, None)
        assert pace.window == expected
    for successes, expected in ((1, 2.0), (2, 2.9), (3, 3.9), (40, 8.0)):
        for _ in range(successes):
            with pace.turn() as turn:
                turn.succeed()
        assert pace.window == pytest.approx(expected, abs=0.2)


@pytest.mark.slow
def test_requests_that_ended_let_no_more_through_at_once() -> None:
    pace, clock = paced(1)
    for _ in range(2):
        with pace.turn() as turn:
            turn.succeed()
    with pace.turn(), ThreadPoolExecutor() as pool:
        another = pool.submit(lambda: pace.turn().__enter__())
        time.sleep(0.05)
        clock.set()
        with pytest.raises(Interrupted):
            another.result(timeout=60)


def test_after_a_failure_one_asks_first() -> None:
    """However many wait; the others follow when it was answered."""
    pace = Pace(NO_WAIT, 8, threading.Event())
    with pace.turn() as turn:
        turn.fail(Outcome.RETRY, None)
    under_way, most = itertools.count(), 0
    entered = threading.Semaphore(0)
    release = threading.Event()

    def ask() -> None:
        nonlocal most
        with pace.turn() as turn:
            most = max(most, next(under_way) + 1)
            entered.release()
            release.wait(60)
            turn.succeed()

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        assert entered.acquire(timeout=60)
        assert not entered.acquire(timeout=0.5)
        assert most == 1
        release.set()
        for one in asking:
            one.result(60)
    assert most == 4


def test_retry_after_holds_all_writers() -> None:
    pace, clock = paced(backoff=NO_WAIT)
    with pace.turn() as slow, pace.turn() as other:
        slow.fail(Outcome.RETRY, 7.0)
        other.succeed()
    before = clock.now
    with pace.turn():
        pass
    assert 6.9 < clock.now - before < 7.1


def test_the_longest_retry_after_of_requests_under_way_counts() -> None:
    pace, clock = paced(backoff=NO_WAIT)
    with pace.turn() as one, pace.turn() as other:
        one.fail(Outcome.RETRY, None)
        other.fail(Outcome.RETRY, 9.0)
    before = clock.now
    with pace.turn():
        pass
    assert 8.9 < clock.now - before < 9.1


def test_what_only_an_operator_mends_is_tried_slowly() -> None:
    pace, clock = paced()
    with pace.turn() as turn:
        turn.fail(Outcome.HALTED, None)
    before = clock.now
    with pace.turn():
        pass
    assert clock.now - before >= 9.9


def test_an_answer_ends_the_trouble() -> None:
    pace, clock = paced()
    for _ in range(12):
        with pace.turn() as turn:
            turn.fail(Outcome.RETRY, None)
    with pace.turn() as turn:
        turn.succeed()
    before = clock.now
    with pace.turn() as turn:
        turn.fail(Outcome.RETRY, None)
    with pace.turn():
        pass
    assert clock.now - before < 0.2


def test_stop_ends_every_wait() -> None:
    stop = threading.Event()
    pace = Pace(Backoff(first_seconds=60, longest_seconds=60), 1, stop)
    errors: list[Interrupted] = []

    def ask() -> None:
        try:
            with pace.turn():
                raise AssertionError
        except Interrupted as error:
            errors.append(error)

    with pace.turn() as turn:
        # One waits for its turn, and then for the time.
        threads = [threading.Thread(target=ask) for _ in range(2)]
        threads[0].start()
        turn.fail(Outcome.HALTED, None)
        threads[1].start()
        began = time.monotonic()
        stop.set()
        for thread in threads:
            thread.join(70)
    assert time.monotonic() - began < 20, "the wait is a minute"
    assert len(errors) == 2
