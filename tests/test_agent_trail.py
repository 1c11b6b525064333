"""What is found is recorded: durable before it is forgotten, bounded, and whatever its content."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import trail
from agent.findings import Finding, Findings, Kind, find
from agent.trail import FILE_BYTES, Trail, describe
from agent.witness import tell_gone
from audit_events.chain import verify_chain
from audit_events.event import decode_event
from audit_events.log import open_log
from indexer.bulk import StoredEvent

A = "0190aaaa-0000-7000-8000-00000000000a"
B = "0190aaaa-0000-7000-8000-00000000000b"


def events(directory: Path) -> list[dict[str, object]]:
    files = sorted(directory.glob("events/agent.log*"), reverse=True)
    return [msgspec.json.decode(line) for path in files for line in path.read_bytes().splitlines()]


@pytest.fixture
def one(tmp_path: Path) -> Trail:
    return Trail(tmp_path, lambda _status: True, host="h1")


def test_without_a_finding_nothing_is_made(one: Trail, tmp_path: Path) -> None:
    assert not one.record(Findings())
    assert list(tmp_path.iterdir()) == []


def test_a_gap_is_an_event_of_the_log_itself(one: Trail, tmp_path: Path) -> None:
    findings = Findings([find("gap", A, (5, 9), "/var/log/a.log", 700)])
    assert one.record(findings)
    assert len(findings) == 0
    (event,) = events(tmp_path)
    assert event["action"] == "audit_log.gap_detected"
    assert event["organizationId"] == "_system"
    assert event["actor"] == {"type": "system", "name": "indelible-agent"}
    assert event["resource"] == {"type": "source", "id": A}
    assert event["context"] == {
        "host": "h1",
        "file": "/var/log/a.log",
        "offset": 700,
        "events": 5,
        "firstSeq": 5,
        "lastSeq": 9,
        "ranges": ["5-9"],
        "unlistedRanges": 0,
    }
    assert event["source"]["host"] == "h1"  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    ("finding", "action", "resource"),
    [
        pytest.param(find("closed", A, (5, 5), "/a", 0), "gap_closed",
                     {"type": "source", "id": A}, id="closed"),
        pytest.param(find("break", A, (5, 5), "/a", 0), "chain_broken",
                     {"type": "source", "id": A}, id="broken"),
        pytest.param(Finding("break", "", "/a", 0, 0, 9, 700, sources=80), "chain_broken",
                     {"type": "file", "id": "/a"}, id="many sources"),
        pytest.param(Finding("gap", "", "", 0, 0, 9, 700, sources=80), "gap_detected",
                     {"type": "host", "id": "h1"}, id="many files"),
        pytest.param(tell_gone("audit-events-2026.11", StoredEvent("e", "t")), "event_missing",
                     {"type": "partition", "id": "audit-events-2026.11"}, id="gone"),
    ],
)  # fmt: skip
def test_each_kind_has_its_action_and_says_what_it_is_about(
    finding: Finding, action: str, resource: dict[str, str], one: Trail, tmp_path: Path
) -> None:
    one.record(Findings([finding]))
    (event,) = events(tmp_path)
    assert (event["action"], event["resource"]) == (f"audit_log.{action}", resource)


def test_the_trail_is_a_chain_of_its_own_and_each_start_a_new_source(
    one: Trail, tmp_path: Path
) -> None:
    for number in range(3):
        one.record(Findings([find("gap", A, (number, number), "/a", 0)]))
    Trail(tmp_path, lambda _status: True).record(Findings([find("gap", A, (9, 9), "/a", 0)]))
    lines = one.path.read_bytes().splitlines()
    assert verify_chain(lines) == []
    assert [decode_event(line).source.seq for line in lines] == [0, 1, 2, 0]


def fail_at(
    call: str, number: int, monkeypatch: pytest.MonkeyPatch, error: int = errno.ENOSPC
) -> Callable[[], None]:
    """Let one system call fail from its call `number` on, until the result is called."""
    real, count = getattr(os, call), 0
    failing = True

    def replacement(*arguments: object) -> object:
        nonlocal count
        count += 1
        if failing and count > number:
            raise OSError(error, os.strerror(error))
        return real(*arguments)

    monkeypatch.setattr(os, call, replacement)

    def mend() -> None:
        nonlocal failing
        failing = False

    return mend


@pytest.mark.parametrize("room", [0, 1, 2])
def test_on_a_full_disk_what_is_written_is_told_once_and_the_rest_waits(
    room: int, one: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = Findings(find("gap", name, (1, 2), "/a", 0) for name in (A, B, "c"))
    mend = fail_at("write", room, monkeypatch)
    assert one.record(findings) == (room > 0)
    assert len(findings) == 3 - room
    assert "No space left" in one.problem
    assert not one.record(findings), "and tried again"
    mend()
    assert one.record(findings)
    assert (len(findings), one.problem) == (0, "")
    told = [event["resource"]["id"] for event in events(tmp_path)]  # type: ignore[index]  # JSON
    assert told == [A, B, "c"]
    assert verify_chain(one.path.read_bytes().splitlines()) == [], "no gap in its own chain"


def test_what_is_not_synced_is_not_recorded_yet(
    one: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told twice at worst, and never lost with the machine."""
    monkeypatch.setattr(trail, "SYNC_RETRY_SECONDS", 0.0)
    findings = Findings([find("gap", A, (1, 2), "/a", 0)])
    mend = fail_at("fsync", 0, monkeypatch, errno.EIO)
    assert not one.record(findings)
    assert len(findings) == 1
    mend()
    assert one.record(findings)
    assert len(events(tmp_path)) == 2


def test_a_disk_that_fails_at_each_sync_does_not_fill_the_trail(
    one: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt leaves its events behind, and they are shipped: an hour of them is 12."""
    now = [1000.0]
    monkeypatch.setattr("agent.trail.time.monotonic", lambda: now[0])
    findings = Findings([find("gap", A, (1, 2), "/a", 0)])
    mend = fail_at("fsync", 0, monkeypatch, errno.EIO)
    for _ in range(3600):
        assert not one.record(findings)
        now[0] += 1
    assert "Input/output error" in one.problem
    assert len(events(tmp_path)) <= 16
    mend()
    now[0] += trail.LONGEST_RETRY_SECONDS
    assert one.record(findings)
    assert (len(findings), one.problem) == (0, "")


def test_a_directory_that_cannot_be_made_keeps_it_waiting(tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(b"in the way")
    one = Trail(tmp_path, lambda _status: True)
    findings = Findings([find("gap", A, (1, 2), "/a", 0)])
    assert not one.record(findings)
    assert one.problem
    (tmp_path / "events").unlink()
    assert one.record(findings)


def test_a_full_file_makes_room_once_the_one_before_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "FILE_BYTES", 600)
    settled: set[int] = set()
    one = Trail(tmp_path, lambda status: status.st_ino in settled)
    former = one.path.with_name("agent.log.1")
    told = 0
    findings = Findings()
    for number in range(20):
        findings.add(find("gap", A, (2 * number, 2 * number), "/a", 0))
        told += one.record(findings)
    assert len(findings) == 1, "what waits is one finding"
    assert "not settled yet" in one.problem
    assert len(events(tmp_path)) == told < 6
    settled.add(former.stat().st_ino)
    assert one.record(findings)
    assert one.problem == ""
    assert sorted(path.name for path in one.path.parent.iterdir()) == ["agent.log", "agent.log.1"]
    assert FILE_BYTES == 4 << 20


@pytest.mark.slow
@given(
    path=st.binary(max_size=4096).map(lambda name: os.fsdecode(b"/" + name.replace(b"\0", b""))),
    offset=st.integers(0, 2**60),
    ends=st.lists(st.tuples(st.integers(0, 10**4000), st.integers(0, 10**20)), min_size=1),
    source=st.sampled_from([A, ""]),
    kind=st.sampled_from(["gap", "closed", "break"]),
)
def test_whatever_a_hostile_line_or_name_says_it_can_be_told(
    path: str, offset: int, ends: list[tuple[int, int]], source: str, kind: Kind
) -> None:
    """An event that is refused would never be told, and hold up all others."""
    findings = Findings()
    for low, more in ends:
        findings.add(find(kind, A, (low, low + more), path, offset))
    (finding,) = findings
    finding = msgspec.structs.replace(finding, source_id=source)
    log = open_log("/dev/null", service="s", system=True)
    assert log.info("audit_log.gap_detected", **describe(finding, "h"))


def test_the_glob_of_the_trail_finds_its_files(one: Trail, tmp_path: Path) -> None:
    one.record(Findings([find("gap", A, (1, 2), "/a", 0)]))
    assert [str(path) for path in Path("/").glob(trail.pattern(str(tmp_path))[1:])] == [
        str(one.path)
    ]
