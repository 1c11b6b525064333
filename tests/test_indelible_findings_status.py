"""What `indelible status` says of what was recorded as missing or altered, by any agent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_events.instant import format_instant
from indelible.configuration import Configuration, load
from indelible.findings_status import DAYS, Told, judge_findings, look_at_findings
from indexer.client import request
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from webapi.aggregation import Number

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
GAP, CLOSED = "audit_log.gap_detected", "audit_log.gap_closed"
GONE, VERIFIED = "audit_log.event_missing", "audit_log.integrity_verified"


def test_nothing_found_is_ok() -> None:
    part = judge_findings({GAP: Told(), CLOSED: Told(2, Number(NOW.timestamp() * 1000))})
    assert (part.ok, part.needs_look) == (True, False)
    assert part.summary == "nothing missing or altered was recorded in 7 days"
    assert part.figures["newest"] is None
    assert part.figures["gapsClosed"] == 2


def test_what_was_found_is_told_with_the_question_that_shows_it() -> None:
    at = Number(NOW.timestamp() * 1000)
    earlier = Number((NOW.timestamp() - 9) * 1000)
    part = judge_findings({GAP: Told(2, earlier), GONE: Told(1, at), CLOSED: Told(1, at)})
    assert (part.ok, part.needs_look) == (True, True)
    assert part.summary == (
        "2 gaps, 1 missing stored event recorded in 7 days, the last one at"
        " 2026-11-23T12:00:00.000000Z; 1 gap closed (see `indelible search --organization _system"
        " --since 7d --action audit_log.gap_detected,audit_log.event_missing`)"
    )
    assert part.figures == {
        "days": 7,
        "newest": "2026-11-23T12:00:00.000000Z",
        "gaps": 2,
        "gapsClosed": 1,
        "chainBreaks": 0,
        "storedMissing": 1,
        "partitionsMissing": 0,
        "damagedArchives": 0,
    }


def configuration_of(opensearch: Cluster, index: IndexSettings, home: Path) -> Configuration:
    environ = {"INDELIBLE_HOME": str(home), "INDELIBLE_OPENSEARCH_URL": opensearch.url}
    return replace(load(environ), connection=opensearch.connection(), index=index)


def record(
    opensearch: Cluster, index: IndexSettings, number: int, at: datetime, **event: str
) -> None:
    event_id, timestamp = f"00000000-0000-7000-8000-00000000000{number}", format_instant(at)
    body = {"id": event_id, "timestamp": timestamp, "organizationId": "_system", **event}
    path = f"/{partition_name(timestamp, index)}/_create/{event_id}"
    with opensearch.client("writer") as client:
        request(client, "PUT", path, params={"refresh": "true"}, body=body)


@pytest.mark.opensearch
def test_what_is_stored_is_found_for_some_days(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    configuration = configuration_of(opensearch, index, tmp_path)
    assert not look_at_findings(configuration, NOW).needs_look, "there is no index yet"
    past = NOW - timedelta(days=DAYS)
    record(opensearch, index, 1, past + timedelta(minutes=1), action=GAP)
    record(opensearch, index, 2, NOW, action=GAP, organizationId="acme")
    record(opensearch, index, 3, NOW, action=VERIFIED, result="success")
    part = look_at_findings(configuration, NOW)
    assert part.needs_look
    assert part.figures["gaps"] == 1
    assert part.figures["newest"] == format_instant(past + timedelta(minutes=1))
    assert part.figures["damagedArchives"] == 0
    part = look_at_findings(configuration, NOW + timedelta(minutes=2))
    assert (part.ok, part.needs_look) == (True, False)
    record(opensearch, index, 4, NOW, action=VERIFIED, result="failure")
    part = look_at_findings(configuration, NOW + timedelta(minutes=2))
    assert part.summary.startswith(
        "1 damaged archive recorded in 7 days, the last one at 2026-11-23"
    )


def test_a_cluster_that_is_away_is_no_clean_bill(tmp_path: Path) -> None:
    environ = {"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:1"}
    part = look_at_findings(load(environ), NOW)
    assert not part.ok
    assert part.summary.startswith("unknown: no answer from http://127.0.0.1:1")
