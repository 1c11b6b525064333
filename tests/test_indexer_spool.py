"""Events come out of the files that they went into, those of a stretch of a source together."""

from pathlib import Path

import pytest

from indexer.chain_runs import StoredEvent
from indexer.spool import Spool


def event(source: int, seq: int) -> StoredEvent:
    line = f"{seq}\n é".encode()
    return StoredEvent("i", f"s{source}", seq, "id", "2026-03-15", "hash", line)


def test_all_come_out_in_parts_that_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.spool.PART_EVENTS", 10)
    monkeypatch.setattr("indexer.spool.HELD_EVENTS", 7)
    monkeypatch.setattr("indexer.spool.BUFFER_BYTES", 64)
    events = [event(source, seq) for seq in range(20) for source in range(5)]
    with Spool(len(events)) as spool:
        for one in events:
            spool.add(one)
        parts = list(spool.parts())
    assert max(map(len, parts)) == 7
    found = [one for part in parts for one in part]
    assert sorted(found, key=lambda one: (one.seq, one.source_id)) == events
    for source in range(5):
        # In the order in which they were put in, as far as they are in one stretch.
        assert [one.seq for one in found if one.source_id == f"s{source}"] == list(range(20))


def test_a_source_that_fills_a_partition_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.spool.PART_EVENTS", 1000)
    with Spool(100_000) as spool:
        for seq in range(0, 100_000, 10):
            spool.add(event(1, seq))
        assert max(map(len, spool.parts())) < 5000


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("indexer.spool.BUFFER_BYTES", 1)
    with Spool(1) as spool:
        spool.add(event(1, 1))
        assert list(spool.parts()) == [[event(1, 1)]]
        assert list(tmp_path.iterdir()) == [], "it has a name"
    with pytest.raises(ValueError, match="closed"):
        spool.add(event(1, 2))
    assert list(tmp_path.iterdir()) == []
