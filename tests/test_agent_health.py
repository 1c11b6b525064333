"""When the agent is ready, and what is wrong when it is not."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from agent.health import PATHS_SHOWN, RETRY_SECONDS, TURN_SECONDS, find_notes, judge
from agent.status import Status, Totals, Waiting
from agent.unreadable import Unreadable, is_archive
from audit_events.instant import format_instant
from tests.test_agent_metrics import QUIET

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def waits(outcome: str, seconds: float) -> Status:
    since = format_instant(NOW - timedelta(seconds=seconds))
    return msgspec.structs.replace(QUIET, waiting=Waiting(outcome, "some_exception", since))


@pytest.mark.parametrize(
    ("status", "turned", "what"),
    [
        pytest.param(None, 0, ["starting"], id="nothing shown yet"),
        pytest.param(QUIET, 0, [], id="at rest"),
        pytest.param(QUIET, TURN_SECONDS + 1, ["loop_stuck"], id="the loop hangs"),
        pytest.param(
            msgspec.structs.replace(QUIET, state="stopping"), 0, ["stopping"], id="asked to end"
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, checkpoint_problem="No space left on device"),
            0,
            ["checkpoint_not_saved"],
            id="a full disk",
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, trail_problem="No space left on device"),
            0,
            ["findings_not_recorded"],
            id="a full disk, for the trail",
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, dead_letter_problem="cannot write the dead letter"),
            0,
            ["dead_letter_not_written"],
            id="a dead letter that cannot be written",
        ),
        pytest.param(waits("halted", 0), 0, ["cluster_halted"], id="expired credentials"),
        pytest.param(waits("blocked", 0), 0, ["cluster_blocked"], id="a full cluster"),
        pytest.param(waits("retry", RETRY_SECONDS - 1), 0, [], id="a cluster that restarts"),
        pytest.param(waits("retry", RETRY_SECONDS), 0, ["cluster_retry"], id="it is down"),
        pytest.param(
            msgspec.structs.replace(QUIET, unreadable={"/a": "Permission denied"}),
            0,
            ["file_unreadable"],
            id="a file that it may not read",
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, unreadable={"/a": "zstd archive"}),
            0,
            [],
            id="an archive of another kind",
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, unwatched={"/a": "no"}, config_problems=("x",)),
            0,
            [],
            id="polled instead of watched, and a refused configuration: it ships all the same",
        ),
    ],
)
def test_problems(status: Status | None, turned: float, what: list[str]) -> None:
    problems = judge(status, turned, NOW)
    assert [problem.what for problem in problems] == what
    assert all(problem.hint for problem in problems if problem.reason)


@pytest.mark.parametrize(
    ("status", "notes"),
    [
        pytest.param(QUIET, [], id="at rest"),
        pytest.param(
            waits("retry", 33),
            [("cluster_retry", "no answer as it should be: some_exception for 33 s")],
            id="a cluster that restarts",
        ),
        pytest.param(
            msgspec.structs.replace(
                QUIET, waiting=Waiting("retry", "no_answer", format_instant(NOW))
            ),
            [("cluster_retry", "no answer of the cluster for 0 s")],
            id="a cluster that is down",
        ),
        pytest.param(waits("retry", RETRY_SECONDS), [], id="a problem, and no note any more"),
        pytest.param(waits("halted", 0), [], id="a problem at once"),
        pytest.param(
            msgspec.structs.replace(QUIET, config_problems=("[agent] x", "[index] y")),
            [("configuration_refused", "[agent] x; [index] y")],
            id="refused by the last SIGHUP",
        ),
        pytest.param(
            msgspec.structs.replace(
                QUIET,
                unreadable={
                    "/a": "xz archive",
                    "/archive": "Permission denied",
                    "/c": "damaged archive: incorrect data check",
                    "/d": "incomplete archive",
                },
            ),
            [
                ("archive_unread", "xz archive"),
                ("archive_unread", "damaged archive: incorrect data check"),
                ("archive_unread", "incomplete archive"),
            ],
            id="archives",
        ),
        pytest.param(
            msgspec.structs.replace(QUIET, totals=Totals(stored_missing=2)),
            [
                (
                    "event_missing",
                    "stored once, and not any more: 2 of the events that are asked for again",
                )
            ],
            id="what was shipped is gone",
        ),
    ],
)
def test_notes(status: Status, notes: list[tuple[str, str]]) -> None:
    found = find_notes(status, NOW)
    assert [(note.what, note.reason) for note in found] == notes
    assert all(note.hint for note in found)


def test_each_reason_of_an_archive_is_known_as_one() -> None:
    found = Unreadable()
    found.tell_archive("/a", "zstd")
    found.tell_damaged("/b", "a: b archive: c")
    found.tell_incomplete("/c")
    found.tell_name("/archive")
    found.note("/d", OSError(13, "Permission denied", "/an archive"))
    told = {path: is_archive(reason) for path, reason in found.items()}
    assert told == {"/a": True, "/b": True, "/c": True, "/archive": False, "/d": False}


def test_ten_thousand_unreadable_files_make_no_endless_answer() -> None:
    unreadable = {f"/{number}": "Permission denied" for number in range(10_000)}
    problems = judge(msgspec.structs.replace(QUIET, unreadable=unreadable), 0, NOW)
    assert len(problems) == PATHS_SHOWN
