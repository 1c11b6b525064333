"""The batch: the bytes of the emitter, in the frame that a bulk request needs."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events.instant import format_instant, parse_instant
from indexer.batch import Batch
from indexer.names import admitted_window
from indexer.settings import IndexSettings
from tests.event_ids import event_id_of
from tests.lines import NOW, batch_of, event_line, instant

FIRST_ID = "019cf0d7-3a38-7000-8000-0000000000a1"
SECOND_ID = "019cf0d7-3a38-7000-8000-0000000000a2"
SETTINGS = IndexSettings(retention_days=30, future_hours=1)


def whole(batch: Batch, rows: Sequence[int]) -> bytes:
    return b"".join(batch.body(rows))


def test_the_body_creates_each_line_under_its_id_in_its_partition() -> None:
    batch = Batch(SETTINGS, "2026-11-23T18:00:00.000000Z")
    first, second = "2026-11-23T17:00:00.000000Z", "2026-10-31T17:00:00.000000Z"
    lines, ids = [b'{"a":1}', b'{"b":"\xc3\xa9"}'], [FIRST_ID, SECOND_ID]
    batch.extend(lines, ids, [first, second], "/a.log", 0)
    assert whole(batch, [0, 1]) == (
        b'{"create":{"_index":"audit-events-2026.11","_id":"AZzw1zo4cACAAAAAAAAAoQ"}}\n'
        b'{"a":1,"ingestedAt":"2026-11-23T18:00:00.000000Z"}\n'
        b'{"create":{"_index":"audit-events-2026.10","_id":"AZzw1zo4cACAAAAAAAAAog"}}\n'
        b'{"b":"\xc3\xa9","ingestedAt":"2026-11-23T18:00:00.000000Z"}\n'
    )
    assert whole(batch, [1]).splitlines() == whole(batch, [0, 1]).splitlines()[2:]
    assert (len(batch), batch.bytes) == (2, 7 + 10)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=5))
def test_every_line_comes_back_from_the_body(contexts: list[dict[str, str]]) -> None:
    lines = [event_line({"context": context}) for context in contexts]
    batch = batch_of(SETTINGS, lines)
    documents = whole(batch, range(len(lines))).split(b"\n")[1::2]
    assert batch.lines() == lines
    assert [document[: -len(f',"ingestedAt":"{NOW}"}}')] + b"}" for document in documents] == lines
    for document in documents:
        assert msgspec.json.decode(document)["ingestedAt"] == NOW


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        pytest.param(instant(days=29), None, id="within retention"),
        pytest.param(instant(days=31), "older than retention (30 days)", id="too old"),
        pytest.param(instant(minutes=-30), None, id="a clock that is ahead"),
        pytest.param(instant(hours=-2), "more than 1 hours in the future", id="too far ahead"),
    ],
)
def test_an_event_that_no_partition_takes_is_noted(timestamp: str, reason: str | None) -> None:
    batch = batch_of(SETTINGS, [event_line(timestamp=timestamp)])
    assert (batch.outside, batch.refused) == ({} if reason is None else {0: reason}, {})


def test_the_first_instant_of_the_window_is_taken_and_its_end_is_not() -> None:
    ends = admitted_window(NOW, SETTINGS)
    before = [format_instant(parse_instant(end) - timedelta(microseconds=1)) for end in ends]
    outside = [
        bool(batch_of(SETTINGS, [event_line(timestamp=timestamp)]).outside)
        for timestamp in (before[0], ends[0], before[1], ends[1])
    ]
    assert outside == [True, False, False, True]


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        pytest.param(b'{"a":' * 62 + b"1" + b"}" * 62, False, id="deep"),
        pytest.param(b'{"a":' * 256 + b"1" + b"}" * 256, True, id="too deep"),
        pytest.param(b"[" * 256 + b"x" * 300 + b"]" * 256, True, id="too deep a list"),
        pytest.param(b"[" + b"[]," * 100 + b"[]]", False, id="broad"),
        pytest.param(b'"' + b"{" * 1000 + b'"', False, id="braces in a text"),
    ],
)
def test_a_line_that_would_end_the_cluster_is_refused(context: bytes, refused: bool) -> None:  # noqa: FBT001  # a table
    batch = Batch(SETTINGS, NOW)
    batch.extend([b'{"context":' + context + b"}"], [FIRST_ID], [NOW], "/a.log", 0)
    assert bool(batch.refused) is refused


def test_what_is_refused_is_that_line_and_none_beside_it() -> None:
    batch = Batch(SETTINGS, NOW)
    costly = b'{"a":' * 300 + b"1" + b"}" * 300
    lines, times = [b"{}", costly, b"{}"], [NOW, NOW, instant(days=31)]
    for number in range(2):
        ids = [str(uuid.UUID(int=3 * number + row)) for row in range(3)]
        batch.extend(lines, ids, times, f"/{number}.log", 0)
    assert (sorted(batch.refused), sorted(batch.outside)) == ([1, 4], [2, 5])
    assert "nested" in batch.refused[4]
    assert "retention" in batch.outside[5]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 40)), min_size=1), st.data()
)
def test_each_line_is_found_again_with_its_place(
    runs: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    """However the lines came: in runs of one or many, of one partition or of several."""
    batch = Batch(SETTINGS, NOW)
    expected: list[tuple[bytes, str, int]] = []
    for number, (is_mixed, start, count) in enumerate(runs):
        lines = [b'{"n":"%s"}' % (b"x" * (row % 7)) for row in range(count)]
        times = [instant(days=28) if is_mixed and row % 3 else NOW for row in range(count)]
        ids = [str(uuid.UUID(int=number << 64 | row)) for row in range(count)]
        batch.extend(lines, ids, times, f"/{number}.log", start)
        starts = [start + sum(map(len, lines[:row])) + row for row in range(count)]
        expected += [(line, f"/{number}.log", at) for line, at in zip(lines, starts, strict=True)]
    rows = range(len(batch))
    assert [(line, path, at) for path, at, line in batch.located(rows)] == expected
    some = sorted(data.draw(st.sets(st.sampled_from(rows))))
    assert [(line, path, at) for path, at, line in batch.located(some)] == [
        expected[row] for row in some
    ]
    pieces = whole(batch, rows).splitlines(keepends=True)
    pairs = [b"".join(pieces[2 * row : 2 * row + 2]) for row in rows]
    actions = map(msgspec.json.decode, pieces[::2])
    assert [event_id_of(action["create"]["_id"]) for action in actions] == batch.ids
    assert whole(batch, some) == b"".join(pairs[row] for row in some)
