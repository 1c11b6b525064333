"""What is scraped: every metric is there, by its convention, and its cardinality is bounded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.board import Board
from agent.metrics import FILES_SHOWN, METRICS, OTHERS, Exposition
from agent.status import FileStatus, Status, Totals, Waiting
from audit_events.instant import format_instant
from indexer.dead_letter import DeadLetter, Refusal

NOWHERE = Path("/nowhere")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def ago(seconds: float) -> str:
    return format_instant(datetime.now(UTC) - timedelta(seconds=seconds))


def since(seconds: float) -> object:
    """So long ago, and the minute that a slow machine may have taken meanwhile."""
    return pytest.approx(seconds + 29, abs=30)


def file(path: str, lag: int = 0, waits: float | None = None) -> FileStatus:
    return FileStatus(
        path=path,
        size=lag,
        settled=0,
        lag_bytes=lag,
        settled_until="",
        rotated=False,
        oldest_unshipped="" if waits is None else ago(waits),
    )


QUIET = Status(
    pid=1,
    state="running",
    started_at=ago(600),
    updated_at=ago(0),
    file_count=0,
    lag_bytes=0,
    oldest_unshipped="",
    in_flight=0,
    totals=Totals(),
    files=(),
    unreadable={},
    unwatched={},
    checkpoint_problem="",
)


def scrape(directory: Path = NOWHERE, **changes: object) -> Samples:
    board = Board()
    board.status = msgspec.structs.replace(QUIET, **changes)
    body = Exposition(board, directory).render()
    return {
        (
            sample.name.removeprefix("indelible_agent_"),
            tuple(sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_every_metric_is_there_from_the_first_moment() -> None:
    """A rate over a counter that appears with its first event misses that event."""
    names = {name for name, _ in scrape()}
    for definition in METRICS:
        assert definition.full_name.removeprefix("indelible_agent_") in names
    assert "process_resident_memory_bytes" in names


def test_names_are_as_prometheus_has_them() -> None:
    names = [definition.full_name for definition in METRICS]
    assert len(set(names)) == len(names)
    for definition in METRICS:
        assert definition.name.replace("_", "").isalnum()
        assert definition.name.islower()
        assert not definition.meaning.endswith(".")
        if "seconds" in definition.name:
            assert definition.full_name.endswith("_seconds")


def test_nothing_is_shown_before_the_loop_showed_anything() -> None:
    body = Exposition(Board(), NOWHERE).render()
    assert b"indelible_agent" not in body
    assert b"process_start_time_seconds" in body


def test_counts_are_those_of_the_status() -> None:
    totals = Totals(
        created=5,
        duplicates=2,
        lines=9,
        bytes=900,
        retries=3,
        gaps=1,
        missing_events=4,
        dead_letters_by_reason={"malformed": 1, "conflict": 1},
        requests={"ok": 4, "halted": 2},
    )
    samples = scrape(totals=totals, file_count=7, in_flight=2, unreadable={"/a": "no"})
    assert value(samples, "events_total", result="created") == 5
    assert value(samples, "events_total", result="duplicate") == 2
    assert value(samples, "dead_letters_total", reason="malformed") == 1
    assert value(samples, "dead_letters_total", reason="over_long") == 0
    assert value(samples, "requests_total", answer="halted") == 2
    assert value(samples, "requests_total", answer="none") == 0
    assert value(samples, "bytes_total") == 900
    assert value(samples, "missing_events_total") == 4
    assert value(samples, "files") == 7
    assert value(samples, "batches_in_flight") == 2
    assert value(samples, "unreadable_files") == 1


def test_files_beyond_the_bound_are_one_series() -> None:
    files = tuple(
        file(f"/var/log/{n}.log", 10, waits=100_000 - 1000 * n) for n in range(FILES_SHOWN + 5)
    )
    samples = scrape(files=files, lag_bytes=10 * 30)
    paths = {dict(labels)["path"] for name, labels in samples if name == "file_lag_bytes"}
    assert len(paths) == FILES_SHOWN + 1
    assert value(samples, "file_lag_bytes", path=OTHERS) == 100
    assert value(samples, "file_lag_seconds", path="/var/log/0.log") == since(100_000)
    assert value(samples, "file_lag_seconds", path=OTHERS) == since(80_000)


def test_a_file_that_does_not_lag_has_no_series() -> None:
    samples = scrape(files=(file("/a.log"), file("/b.log", 5, 3)), lag_bytes=5)
    paths = {dict(labels)["path"] for name, labels in samples if name == "file_lag_bytes"}
    assert paths == {"/b.log", OTHERS}


def test_a_hostile_name_stays_one_label() -> None:
    hostile = '/a"} 1\nindelible_agent_gaps_total 99\\.log'
    samples = scrape(files=(file(hostile, 5, 3),), lag_bytes=5)
    assert value(samples, "file_lag_bytes", path=hostile) == 5
    assert value(samples, "gaps_total") == 0


def test_waiting_and_ages() -> None:
    samples = scrape(
        waiting=Waiting("halted", "security_exception", ago(90)),
        oldest_unshipped=ago(30),
        checkpoint_saved_at=ago(7),
        last_answer="halted",
        last_success_at=ago(95),
        config_problems=("bad",),
    )
    assert value(samples, "waiting_seconds", outcome="halted") == since(90)
    assert value(samples, "waiting_seconds", outcome="retry") == 0
    assert value(samples, "oldest_unshipped_seconds") == since(30)
    assert value(samples, "checkpoint_age_seconds") == since(7)
    assert value(samples, "last_request_success") == 0
    assert value(samples, "configuration_refused") == 1
    now = datetime.now(UTC).timestamp()
    assert value(samples, "last_success_timestamp_seconds") == pytest.approx(now - 95, abs=60)


def test_a_clock_that_is_ahead_makes_no_negative_age() -> None:
    assert value(scrape(oldest_unshipped=ago(-60)), "oldest_unshipped_seconds") == 0


def test_the_dead_letter_is_counted(tmp_path: Path) -> None:
    assert value(scrape(tmp_path), "dead_letter_open") == 0
    refusal = Refusal(path="/a.log", offset=0, reason="r", time=ago(0), line=b"garbage")
    DeadLetter(tmp_path).append([refusal, refusal])
    samples = scrape(tmp_path)
    assert value(samples, "dead_letter_open") == 2
    assert value(samples, "dead_letter_bytes") > 0
