"""Who syncs for whom, when many wait for the disk at once."""

import signal
import threading
import time
from collections.abc import Callable
from itertools import product

import pytest

from audit_events import commit
from audit_events.commit import GroupCommit, Queue, Seat


def test_the_first_leads_and_the_others_wait() -> None:
    queue: Queue[str] = Queue()
    seats = [queue.join(name) for name in "abc"]
    assert [seat.leads for seat in seats] == [True, False, False]
    assert queue.begin() == seats


def test_whoever_comes_during_a_sync_is_not_covered_by_it_and_leads_the_next() -> None:
    queue: Queue[str] = Queue()
    first = queue.join("first")
    batch = queue.begin()
    late, later = queue.join("late"), queue.join("later")
    assert not late.leads
    assert queue.end(batch) == [late, first], "the next leader is woken first"
    assert (first.is_settled, late.is_settled, late.leads, later.leads) == (
        True,
        False,
        True,
        False,
    )
    assert queue.begin() == [late, later]


def test_when_nobody_waits_the_next_to_come_leads() -> None:
    queue: Queue[str] = Queue()
    queue.join("first")
    queue.end(queue.begin())
    assert queue.join("next").leads


def test_everybody_is_settled_once_by_a_sync_that_began_after_they_came() -> None:
    """All sequences of coming, beginning and ending: at most one leads, and none is forgotten."""
    for steps in product("jbe", repeat=7):
        _check_sequence(steps)


def _check_sequence(steps: tuple[str, ...]) -> None:
    queue: Queue[int] = Queue()
    waiting: list[Seat[int]] = []
    running: list[Seat[int]] | None = None
    for number, step in enumerate(steps):
        leads = [seat for seat in waiting if seat.leads]
        if step == "j":
            waiting.append(queue.join(number))
        elif step == "b" and running is None and leads:
            running = queue.begin()
            assert running == waiting, "the sync speaks for everybody who came before it"
        elif step == "e" and running is not None:
            queue.end(running)
            waiting = waiting[len(running) :]
            running = None
        assert all(not seat.is_settled for seat in waiting)
        assert sum(seat.leads for seat in waiting) == (1 if waiting else 0)


def _in_threads(number: int, work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(name,)) for name in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


def test_all_work_is_done_once_in_the_order_of_joining_before_settle_returns() -> None:
    done: list[int] = []
    batches: list[int] = []
    numbers = iter(range(10_000))

    def do(works: list[int]) -> None:
        batches.append(len(works))
        time.sleep(0.0005)
        done.extend(works)

    group = GroupCommit(do)

    def emit(_name: int) -> None:
        for _ in range(50):
            seat = group.join(lambda: next(numbers))
            group.settle(seat)
            assert seat.work in done

    _in_threads(8, emit)
    assert done == list(range(400))
    assert max(batches) > 1, "they shared"


class _ThrownError(Exception):
    """What a signal handler throws into the main thread."""


def test_a_leader_thrown_out_of_its_sync_leaves_nobody_waiting() -> None:
    calls: list[int] = []

    def do(works: list[int]) -> None:
        calls.append(len(works))
        if len(calls) == 1:
            time.sleep(0.1)
            raise _ThrownError

    group = GroupCommit(do)
    thrown: list[int] = []

    def emit(name: int) -> None:
        try:
            group.settle(group.join(lambda: name))
        except _ThrownError:
            thrown.append(name)

    _in_threads(8, emit)
    assert len(thrown) == 1
    assert len(calls) >= 2


def test_a_leader_that_never_began_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was appointed, and an exception took it away before it could lead."""
    monkeypatch.setattr(commit, "_PATIENCE_SECONDS", 0.02)
    done: list[str] = []
    group = GroupCommit(done.extend)
    assert group.join(lambda: "lost").leads
    seat = group.join(lambda: "patient")
    assert not seat.leads
    group.settle(seat)
    assert done == ["lost", "patient"]
    assert group.join(lambda: "next").leads


def test_who_comes_last_may_find_that_the_leader_has_lost_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look at who gathers and the waking: it raised, and the event was in the file."""
    group: GroupCommit[str] = GroupCommit(lambda _works: None)
    group._gathering = group.join(lambda: "leader")  # no other way to that moment

    def lose_patience(_queue: Queue[str]) -> bool:
        group._gathering = None
        return True

    monkeypatch.setattr(Queue, "is_gathered", property(lose_patience))
    assert not group.join(lambda: "last").leads


def test_a_slow_sync_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_PATIENCE_SECONDS", 0.01)
    running: list[int] = []

    def do(_works: list[int]) -> None:
        running.append(1)
        assert len(running) == 1, "one leads at a time"
        time.sleep(0.1)
        running.pop()

    group = GroupCommit(do)
    _in_threads(6, lambda name: group.settle(group.join(lambda: name)))


def test_a_signal_handler_s_exception_reaches_whoever_waits_and_no_other() -> None:
    """The main thread is thrown out while it waits; the others go on."""
    entered, release = threading.Event(), threading.Event()

    def do(_works: list[int]) -> None:
        entered.set()
        release.wait(60)

    def throw(_number: int, _frame: object) -> None:
        raise _ThrownError

    def wait() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        group.settle(group.join(lambda: 1))

    group = GroupCommit(do)
    leader = threading.Thread(target=lambda: group.settle(group.join(lambda: 0)))
    leader.start()
    assert entered.wait(60)
    before = signal.signal(signal.SIGALRM, throw)
    try:
        with pytest.raises(_ThrownError):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    release.set()
    leader.join(60)
    assert not leader.is_alive()
