"""`indelible gaps`: what is known to be missing, for people, scripts and timers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit_events.instant import format_instant
from indelible import gaps
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import store, write_events
from tests.webapi_process import environment

pytestmark = pytest.mark.opensearch

SYSTEM: dict[str, Any] = {"organization_id": "_system", "actor": {"type": "system"}}
HEARTBEAT = {"action": "audit_log.source_heartbeat", "context": {"intervalSeconds": 60}, **SYSTEM}
GAP = {
    "action": "audit_log.gap_detected",
    "resource": {"type": "source", "id": "\x1b[31m"},
    "context": {"events": 2, "ranges": ["3-4"]},
    **SYSTEM,
}
NOW = datetime.now(UTC).replace(microsecond=0)
Run = Callable[..., Result]


@pytest.fixture
def run(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Run:
    environ = environment(opensearch, index, tmp_path)
    return lambda *arguments: CliRunner().invoke(gaps.command, list(arguments), env=environ)


@pytest.fixture
def record(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> Callable[[Sequence[dict[str, Any]], float], None]:
    def store_all(events: Sequence[dict[str, Any]], ago_seconds: float) -> None:
        start = format_instant(NOW - timedelta(seconds=ago_seconds))
        lines = write_events(tmp_path / f"{ago_seconds}.log", events, start)
        with opensearch.client("writer") as writer:
            store(writer, index, lines)

    return store_all


def test_each_verdict_has_its_exit_code(
    run: Run, record: Callable[[Sequence[dict[str, Any]], float], None]
) -> None:
    result = run()
    assert result.exit_code == 2, result.output
    assert result.output.startswith("unknown: ")
    record([HEARTBEAT], 20)
    result = run()
    assert result.exit_code == 0, result.output
    heard = format_instant(NOW - timedelta(seconds=20))
    assert f"all that was recorded before {heard} is stored" in result.output
    assert "processes that live: 1, of which late: 0; fell silent" in result.output
    record([HEARTBEAT], 3000)
    result = run()
    assert (result.exit_code, result.output.partition(":")[0]) == (2, "lagging")
    assert run("--until", "1h").exit_code == 0, "what was before has arrived"
    record([GAP], 1000)
    result = run()
    assert result.exit_code == 1, result.output
    found = format_instant(NOW - timedelta(seconds=1000))
    assert f"2 events of a process never arrived: before {found}, found {found}" in result.output
    asked = "search --organization _system --action audit_log.gap_detected"
    assert asked in result.output
    assert "\x1b" not in result.output
    answer = run("--json")
    assert answer.exit_code == 1
    assert json.loads(answer.output)["verdict"] == "gaps"
    assert run("--since", "10m").exit_code == 2, "it was before"


def test_arguments_and_a_cluster_that_does_not_answer_leave_nobody_to_say(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, run: Run
) -> None:
    result = run("--since", "2h", "--until", "3h")
    assert result.exit_code == 2
    assert "must be before" in result.output
    environ = environment(opensearch, index, tmp_path)
    away = {**environ, "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:9"}
    result = CliRunner().invoke(gaps.command, [], env=away)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert "\nnext: " in result.output


def test_where_nobody_can_be_told_there_is_no_verdict(
    opensearch: Cluster,
    index: IndexSettings,
    tmp_path: Path,
    record: Callable[[Sequence[dict[str, Any]], float], None],
) -> None:
    """A timer takes 1 for events that are missing."""
    record([HEARTBEAT], 20)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "indelible", "gaps"],
            env={**os.environ, **environment(opensearch, index, tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: what this prints cannot be written: No space left")
