"""What writers did, for whoever watches them."""

import threading

import pytest
from structlog.testing import capture_logs

from indexer.answer import ItemError, Outcome
from indexer.figures import ANSWERS, DEAD_REASONS, Figures, dead_reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(None, "not_admitted", id="too old, or too far ahead"),
        pytest.param(400, "refused", id="the mapping refuses it"),
        pytest.param(409, "conflict", id="another event under this id"),
        pytest.param(413, "too_large", id="alone too large"),
    ],
)
def test_the_class_of_a_reason(status: int | None, reason: str) -> None:
    assert dead_reason(status) == reason
    assert reason in DEAD_REASONS


def test_requests_are_counted_by_how_they_ended() -> None:
    figures = Figures()
    assert figures.take().last_answer == ""
    figures.note_request("ok")
    after = figures.take()
    figures.note_request("halted")
    now = figures.take()
    assert now.requests == {"ok": 1, "halted": 1}
    assert (after.last_answer, now.last_answer) == ("ok", "halted")
    assert now.last_success_at == after.last_success_at > 0
    assert set(now.requests) <= set(ANSWERS)


def test_every_outcome_of_a_request_has_a_name() -> None:
    for outcome in (Outcome.RETRY, Outcome.BLOCKED, Outcome.HALTED, Outcome.TOO_LARGE):
        assert outcome.name.lower() in ANSWERS


def test_many_threads_count_together() -> None:
    figures = Figures()

    def count() -> None:
        for _ in range(500):
            figures.note_request("ok")
            figures.note_dead(["conflict"])

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert figures.take().requests == {"ok": 4000}
    assert figures.take().dead == {"conflict": 4000}


def test_the_worst_trouble_is_told_and_since_when() -> None:
    figures = Figures()
    with capture_logs():
        figures.alarms.begin(1, Outcome.RETRY, ItemError("no_answer"))
        first = figures.take().trouble
        figures.alarms.begin(2, Outcome.HALTED, ItemError("security_exception"))
        figures.alarms.begin(3, Outcome.HALTED, ItemError("security_exception"))
        worst = figures.take().trouble
        figures.alarms.end(2)
        assert figures.take().trouble == worst, "another batch is held up still"
        figures.alarms.end(3)
        assert figures.take().trouble == first
        figures.alarms.end(1)
    assert figures.take().trouble is None
    assert first is not None
    assert worst is not None
    assert (first.outcome, worst.outcome) == (Outcome.RETRY, Outcome.HALTED)
    assert first.since <= worst.since
