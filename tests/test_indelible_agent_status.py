"""The agent's row in `indelible status`, judged by what the agent wrote about itself last."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from agent.health import RETRY_SECONDS, judge
from agent.status import FileStatus, Status, Totals, Waiting
from audit_events.instant import format_instant
from indelible.agent_status import STALE_SECONDS, judge_agent

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return format_instant(NOW - timedelta(seconds=seconds))


CUT = "incomplete archive"


RUNNING = Status(
    pid=1,
    state="running",
    started_at=ago(600),
    updated_at=ago(1),
    file_count=3,
    lag_bytes=0,
    oldest_unshipped="",
    in_flight=0,
    totals=Totals(created=12),
    files=(
        FileStatus(
            path="/var/log/a.log", size=9, settled=9, lag_bytes=0, settled_until="", rotated=False
        ),
    ),
    unreadable={},
    unwatched={},
    checkpoint_problem="",
)


@pytest.mark.parametrize(
    ("found", "ok", "summary"),
    [
        pytest.param(None, False, "has not run here yet", id="never started"),
        pytest.param(RUNNING, True, "3 files, nothing waits", id="at rest"),
        pytest.param(
            msgspec.structs.replace(RUNNING, lag_bytes=2_000_000, oldest_unshipped=ago(90)),
            True,
            "3 files, 2.0 MB and 90 s behind",
            id="behind is not down",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, updated_at=ago(STALE_SECONDS + 5)),
            False,
            "silent for 35 s; 3 files, nothing waits",
            id="killed, or hanging",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, dead_letter_problem="cannot write the dead letter"),
            False,
            "cannot write the dead letter; 3 files, nothing waits",
            id="a dead letter that cannot be written",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, state="stopped", updated_at=ago(3600)),
            False,
            f"stopped since {ago(3600)}; 3 files, nothing waits",
            id="stopped in order",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, unreadable={"/x.log": "Permission denied"}),
            False,
            "cannot read /x.log: Permission denied; 3 files, nothing waits",
            id="a file that it may not read",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, checkpoint_problem="No space left on device"),
            False,
            "checkpoint: No space left on device; 3 files, nothing waits",
            id="a full disk",
        ),
        pytest.param(
            msgspec.structs.replace(
                RUNNING, waiting=Waiting("halted", "security_exception", ago(90))
            ),
            False,
            "the cluster refuses this agent: security_exception, for 90 s (check credentials and"
            " roles, and `indelible indices apply`; the data is kept); 3 files, nothing waits",
            id="expired credentials",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, waiting=Waiting("retry", "no_answer", ago(5))),
            True,
            "no answer of the cluster for 5 s; 3 files, nothing waits",
            id="a cluster that restarts",
        ),
        pytest.param(
            msgspec.structs.replace(
                RUNNING,
                state="stopped",
                updated_at=ago(30),
                waiting=Waiting("retry", "no_answer", ago(35)),
            ),
            False,
            f"stopped since {ago(30)}; 3 files, nothing waits",
            id="one that is gone waits for nobody",
        ),
        pytest.param(
            msgspec.structs.replace(
                RUNNING,
                unreadable={"/a.xz": "xz archive", **{f"/{n}.gz": CUT for n in range(6)}},
            ),
            True,
            "; ".join(
                ["not unpacked: /a.xz: xz archive"]
                + [f"not unpacked: /{n}.gz: {CUT}" for n in range(4)]
            )
            + "; and 2 files more; 3 files, nothing waits",
            id="archives are told, as their lines were read before, as a rule",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, config_problems=("[agent] paths: bad",)),
            True,
            "configuration refused: [agent] paths: bad; 3 files, nothing waits",
            id="the old configuration goes on",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, unreadable={f"/{n}": "no" for n in range(7)}),
            False,
            "; ".join([f"cannot read /{n}: no" for n in range(5)])
            + "; and 2 files more; 3 files, nothing waits",
            id="many files that it may not read",
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, lag_bytes=5, oldest_unshipped=ago(-60)),
            True,
            "3 files, 5 bytes and 0 s behind",
            id="a clock that is ahead",
        ),
    ],
)
def test_the_agent_is_judged_by_what_it_wrote_last(
    found: Status | None,
    ok: bool,  # noqa: FBT001  # an expectation
    summary: str,
) -> None:
    part = judge_agent(found, NOW)
    assert (part.ok, part.summary) == (ok, summary)


def test_an_agent_that_lives_and_cannot_write_its_status_is_not_told_as_killed() -> None:
    found = msgspec.structs.replace(RUNNING, updated_at=ago(STALE_SECONDS + 5))
    part = judge_agent(found, NOW, 4711)
    assert not part.ok
    assert "silent for 35 s, but its process 4711 lives: its state directory may be" in part.summary


def test_an_agent_that_went_before_the_clock_was_set_back_is_told() -> None:
    """It would pass for one that runs until that time comes again, a year later."""
    part = judge_agent(msgspec.structs.replace(RUNNING, updated_at=ago(-STALE_SECONDS - 5)), NOW)
    assert not part.ok
    assert part.summary.startswith("silent since the clock was set back: it last wrote at ")


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (Totals(gaps=1, missing_events=2), "2 events missing since its start (see "),
        (Totals(gaps=2, missing_events=2, closed_events=1), "1 event missing since its start"),
        (Totals(gaps=1, missing_events=2, closed_events=2), ""),
        (Totals(chain_breaks=1), "1 broken chain since its start"),
        (Totals(missing_events=1, chain_breaks=3), "1 event missing and 3 broken chains since"),
    ],
)
def test_what_is_missing_or_altered_is_to_be_looked_at(totals: Totals, said: str) -> None:
    part = judge_agent(msgspec.structs.replace(RUNNING, totals=totals), NOW)
    assert part.ok
    assert part.needs_look == bool(said)
    assert part.summary.startswith(said or "3 files, ")


def test_a_stored_event_that_is_gone_is_to_be_looked_at() -> None:
    part = judge_agent(msgspec.structs.replace(RUNNING, totals=Totals(stored_missing=1)), NOW)
    assert part.ok
    assert part.needs_look


@pytest.mark.parametrize(
    ("changes", "up"),
    [
        ({"unreadable": {"/a.xz": "xz archive"}}, True),
        ({"unreadable": {"/a.log": "Permission denied"}}, False),
        ({"waiting": Waiting("retry", "no_answer", ago(RETRY_SECONDS - 1))}, True),
        ({"waiting": Waiting("retry", "no_answer", ago(RETRY_SECONDS))}, False),
        ({"waiting": Waiting("blocked", "cluster_block_exception", ago(1))}, False),
        ({"checkpoint_problem": "full"}, False),
        ({"trail_problem": "full"}, False),
        ({"dead_letter_problem": "full"}, False),
        ({"config_problems": ("bad",)}, True),
    ],
)
def test_it_is_up_when_the_monitor_says_ready(
    changes: dict[str, Any],
    up: bool,  # noqa: FBT001  # an expectation
) -> None:
    status = msgspec.structs.replace(RUNNING, **changes)
    assert judge_agent(status, NOW).ok is up
    assert (judge(status, 0, NOW) == []) is up
