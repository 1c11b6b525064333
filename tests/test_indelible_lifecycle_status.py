"""The row of the lifecycle in `indelible status`: what is due and not done makes it down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from audit_events.instant import format_instant
from indelible.lifecycle_status import Seen, find_missing, judge_lifecycle
from indexer.control import Control, LastRound
from indexer.plan import Plan, PlanState, Step
from indexer.settings import IndexSettings, LifecycleSettings
from tests.cluster import Cluster
from tests.lifecycle_process import environ_of, run
from tests.lifecycle_world import World

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
LIFECYCLE = LifecycleSettings(interval_seconds=300, lease_seconds=60)


def ago(seconds: float) -> str:
    return format_instant(NOW - timedelta(seconds=seconds))


def planned(state: PlanState, step: Step | None = None) -> Plan:
    name = "audit-events-2026.01"
    return Plan(
        name=name, state=state, seal_at=NOW, delete_at=NOW, held_by=(), next_step=step, why=""
    )


OPEN = planned("open")
DUE = planned("due", Step.BLOCK)
FRESH = Control(renewed_at=ago(30), last_round=LastRound(ago(30)))
STALE = Control(renewed_at=ago(3600), last_round=LastRound(ago(3600)))


@pytest.mark.parametrize(
    ("plans", "control", "ok", "words"),
    [
        pytest.param((), None, True, "nothing is due", id="never run, and no need"),
        pytest.param((OPEN,), FRESH, True, "last round", id="all as planned"),
        pytest.param((OPEN,), STALE, True, "nothing is due", id="not there, and no need yet"),
        pytest.param(
            *((DUE,), None, False),
            "1 partition is due (audit-events-2026.01), and nobody ever looked after it",
            id="due, and never run",
        ),
        pytest.param((DUE,), STALE, False, "`indelible lifecycle run`", id="due, not there"),
        pytest.param((DUE,), FRESH, True, "1 due", id="due since the last round"),
        pytest.param(
            (DUE,),
            Control(holder="a/1/x", renewed_at=ago(-9000), last_round=LastRound(ago(-9000))),
            False,
            "nobody looked since",
            id="gone, and the clock was set back since",
        ),
        pytest.param(
            (DUE,),
            Control(holder="a/1/x", renewed_at=ago(5), last_round=LastRound(ago(9000))),
            True,
            "a/1/x has the lease",
            id="at it for long",
        ),
        pytest.param(
            (DUE,),
            Control(holder="a/1/x", renewed_at=ago(9000)),
            False,
            "nobody looked since",
            id="died with the lease",
        ),
        pytest.param(
            (DUE,),
            Control(renewed_at=ago(1), last_round=LastRound(ago(1), 2, "p: delete: why", "do it")),
            False,
            "2 problems: p: delete: why; next: do it",
            id="deletion is blocked",
        ),
        pytest.param(
            (),
            Control(last_round=LastRound(ago(1), 1, "p: copy: why", "do it")),
            False,
            "had 1 problem: p: copy: why",
            id="one step failed",
        ),
        pytest.param((planned("missing"),), FRESH, False, "by hand before", id="missing"),
        pytest.param((planned("closed"),), FRESH, False, "_open", id="closed"),
        pytest.param((planned("blocked"),), FRESH, True, "not as planned", id="blocked early"),
        pytest.param((planned("held"),), FRESH, True, "nothing is due", id="held"),
    ],
)
def test_the_row_is_judged(
    plans: tuple[Plan, ...],
    control: Control | None,
    ok: bool,  # noqa: FBT001  # an expectation
    words: str,
) -> None:
    part = judge_lifecycle(Seen(plans=plans, control=control), LIFECYCLE, NOW)
    assert part.ok is ok
    assert words in part.summary


def test_that_nothing_signs_is_a_remark() -> None:
    seen = Seen(plans=(), control=FRESH)
    unsigned = judge_lifecycle(seen, LIFECYCLE, NOW)
    assert unsigned.ok
    assert "no lifecycle.signing_key_file is set here" in unsigned.summary
    signing = msgspec.structs.replace(LIFECYCLE, signing_key_file=Path("/etc/key.pem"))
    assert "signing_key_file" not in judge_lifecycle(seen, signing, NOW).summary


def test_what_is_recorded_as_missing_is_told_until_it_would_be_gone_anyway() -> None:
    index = IndexSettings(retention_days=60, seal_days=7)
    names = ["audit-events-2026.10", "audit-events-2026.01"]
    worm = msgspec.structs.replace(LIFECYCLE, mode="worm")
    assert find_missing(names, index, worm, [], NOW) == ("audit-events-2026.10",)


def rows(environ: dict[str, str]) -> dict[str, dict[str, object]]:
    done = run(environ, "status", "--json")
    return {part["name"]: part for part in msgspec.json.decode(done.stdout)["parts"]}


@pytest.mark.opensearch
@pytest.mark.secured
def test_status_says_what_is_due_what_was_blocked_and_what_it_may_not_know(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    world = World(opensearch, index)
    world.fill()
    environ = environ_of(opensearch, index, tmp_path)
    before = rows(environ)["lifecycle"]
    assert (before["ok"], "nobody ever looked" in str(before["summary"])) == (False, True)
    none = {name: value for name, value in environ.items() if "_ADMIN_" not in name}
    assert run(none, "lifecycle", "run", "--once").returncode == 1
    blocked = rows(environ)["lifecycle"]
    assert not blocked["ok"]
    assert "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in str(blocked["summary"])
    assert run(environ, "lifecycle", "run", "--once").returncode == 0
    after = rows(environ)["lifecycle"]
    assert after["ok"], after
    reader = {
        f"INDELIBLE_OPENSEARCH_LIFECYCLE_{part}": environ[f"INDELIBLE_OPENSEARCH_READER_{part}"]
        for part in ("USERNAME", "PASSWORD")
    }
    unknown = rows({**environ, **reader})["lifecycle"]
    assert (unknown["ok"], unknown["figures"]) == (True, {"state": "unknown"})
