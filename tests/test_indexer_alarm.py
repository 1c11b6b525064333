from structlog.testing import capture_logs

from indexer.alarm import Alarms
from indexer.answer import ItemError, Outcome

BLOCK = ItemError("cluster_block_exception", "index [x] blocked")


def test_trouble_is_logged_when_it_begins_and_when_it_ends() -> None:
    alarms = Alarms()
    with capture_logs() as logs:
        for _ in range(3):
            alarms.begin(1, Outcome.BLOCKED, BLOCK)
            alarms.begin(2, Outcome.BLOCKED, BLOCK)
        alarms.end(1)
        alarms.end(2)
        alarms.end(2)
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("bulk_blocked", "error"),
        ("bulk_resumed", "info"),
    ]
    assert logs[0]["hint"]


def test_a_batch_that_is_given_up_is_no_all_clear() -> None:
    alarms = Alarms()
    with capture_logs() as logs:
        alarms.begin(1, Outcome.BLOCKED, BLOCK)
        alarms.interrupt(1)
        alarms.interrupt(1)
        alarms.begin(2, Outcome.BLOCKED, BLOCK)
        alarms.end(2)
    assert [log["event"] for log in logs] == [
        "bulk_blocked",
        "bulk_interrupted",
        "bulk_blocked",
        "bulk_resumed",
    ]
    assert alarms.worst() is None


def test_what_settles_after_another_was_given_up_resumes() -> None:
    alarms = Alarms()
    with capture_logs() as logs:
        alarms.begin(1, Outcome.BLOCKED, BLOCK)
        alarms.begin(2, Outcome.BLOCKED, BLOCK)
        alarms.interrupt(1)
        alarms.end(2)
    assert [log["event"] for log in logs] == ["bulk_blocked", "bulk_resumed"]


def test_different_trouble_is_logged_by_itself() -> None:
    alarms = Alarms()
    with capture_logs() as logs:
        alarms.begin(1, Outcome.RETRY, ItemError("no_answer"))
        alarms.begin(1, Outcome.HALTED, ItemError("security_exception"))
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("bulk_retrying", "warning"),
        ("bulk_halted", "error"),
    ]
