"""What is stored beside what waits: never is a time called complete that is not.

A real agent process and a real node.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_events.instant import format_instant
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.waiting import wait_until
from tests.webapi_api import write_events
from webapi.completeness import Completeness, judge_window
from webapi.completeness_reading import CompletenessReading
from webapi.pulses import SETTLED
from webapi.reading import Reading
from webapi.storage import Storage

pytestmark = pytest.mark.opensearch

NOW = datetime.now(UTC)
BEFORE = format_instant(NOW - timedelta(days=1))
EVENT = {"action": "app.created", "at": BEFORE}
HEARTBEAT: dict[str, Any] = {
    "action": "audit_log.source_heartbeat",
    "context": {"intervalSeconds": 3600},
    "organization_id": "_system",
    "actor": {"type": "system"},
}


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    daily = msgspec.structs.replace(index, partition="day")
    home = AgentHome(tmp_path, opensearch, daily)
    yield home
    home.close()


@pytest.fixture
def reading(home: AgentHome) -> Iterator[CompletenessReading]:
    with home.cluster.client("reader") as client:
        found = Reading(Storage(client, home.index, 10), home.index)
        # A heartbeat counts at once: what is tried is that the agent tells, not that one waits.
        yield CompletenessReading(
            found, home.index, kept_seconds=0, now=lambda: datetime.now(UTC) + SETTLED
        )


def judged(reading: CompletenessReading, until: datetime | None = None) -> Completeness:
    return judge_window(reading.look(), None, until)


def heard(reading: CompletenessReading) -> int:
    return judged(reading).processes


def test_what_a_partition_refuses_is_not_passed_by_a_heartbeat(
    home: AgentHome, reading: CompletenessReading
) -> None:
    """The heartbeat of today is stored, the events of yesterday before it wait for an operator."""
    write_events(home.directory / "a.events", [EVENT], BEFORE)
    agent = home.start(INDELIBLE_INDEX_PARTITION="day")
    home.await_settled()
    settings = {"index": partition_name(BEFORE, home.index)}
    with home.cluster.admin() as admin:
        admin.indices.put_settings(body={"index.blocks.write": True}, **settings)
        write_events(home.directory / "b.events", [*[EVENT] * 5, HEARTBEAT], format_instant(NOW))
        wait_until(lambda: heard(reading) == 1, "the heartbeat is stored")
        wait_until(lambda: judged(reading).verdict == "lagging", home.said)
        found = judged(reading, NOW + timedelta(minutes=1))
        assert (found.late_agents, found.late_processes) == (1, 0)
        assert found.complete_until is not None
        assert found.complete_until <= format_instant(datetime.now(UTC))
        admin.indices.put_settings(body={"index.blocks.write": None}, **settings)
    wait_until(lambda: judged(reading).verdict == "complete", home.said)
    assert judged(reading).late_agents == 0
    home.kill(agent)


def test_a_backlog_in_a_rotated_file_is_not_passed_by_a_heartbeat_in_the_new_one(
    home: AgentHome, reading: CompletenessReading
) -> None:
    """The agent was away; what it reads first is the end of the new file."""
    home.emit(10, "app.events")
    home.once(INDELIBLE_INDEX_PARTITION="day")
    home.emit(60_000, "app.events", pad=300)
    (home.directory / "app.events").rename(home.directory / "app.events.1")
    wait_until(
        lambda: datetime.now(UTC).timestamp() - (home.state / "status.json").stat().st_mtime > 6,
        "it was away",
    )
    write_events(home.directory / "b.events", [HEARTBEAT], format_instant(datetime.now(UTC)))
    seen: list[tuple[str, bool]] = []
    agent = home.start(INDELIBLE_INDEX_PARTITION="day")

    def is_through() -> bool:
        found = judged(reading)
        if found.processes:
            seen.append((found.verdict, home.is_settled()))
        return bool(seen) and home.is_settled() and found.verdict == "complete"

    wait_until(is_through, home.said, 120)
    assert ("lagging", False) in seen, seen
    home.kill(agent)
