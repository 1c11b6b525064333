"""The batch: the bytes of the emitter, in the frame that a bulk request needs."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.batch import Batch
from indexer.settings import IndexSettings
from tests.lines import NOW, batch_of, event_line, instant

SETTINGS = IndexSettings(retention_days=30, future_hours=1)


def test_the_body_creates_each_line_under_its_id_in_its_partition() -> None:
    batch = Batch(SETTINGS, "2026-11-23T18:00:00.000000Z")
    batch.add("id-1", "2026-11-23T17:00:00.000000Z", b'{"a":1}', "/a.log", 0)
    batch.add("id-2", "2026-10-31T17:00:00.000000Z", b'{"b":"\xc3\xa9"}', "/a.log", 8)
    assert batch.body([0, 1]) == (
        b'{"create":{"_index":"audit-events-2026.11","_id":"id-1"}}\n'
        b'{"a":1,"ingestedAt":"2026-11-23T18:00:00.000000Z"}\n'
        b'{"create":{"_index":"audit-events-2026.10","_id":"id-2"}}\n'
        b'{"b":"\xc3\xa9","ingestedAt":"2026-11-23T18:00:00.000000Z"}\n'
    )
    assert batch.body([1]).splitlines() == batch.body([0, 1]).splitlines()[2:]
    assert (len(batch), batch.bytes) == (2, 7 + 10)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=5))
def test_every_line_comes_back_from_the_body(contexts: list[dict[str, str]]) -> None:
    lines = [event_line({"context": context}) for context in contexts]
    documents = batch_of(SETTINGS, lines).body(range(len(lines))).split(b"\n")[1::2]
    assert [document[: -len(f',"ingestedAt":"{NOW}"}}')] + b"}" for document in documents] == lines
    for document in documents:
        assert msgspec.json.decode(document)["ingestedAt"] == NOW


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        pytest.param(instant(days=29), None, id="within retention"),
        pytest.param(instant(days=31), "older than retention (30 days)", id="too old"),
        pytest.param(instant(minutes=-59), None, id="a clock that is ahead"),
        pytest.param(instant(hours=-2), "more than 1 hours in the future", id="too far ahead"),
    ],
)
def test_an_event_that_no_partition_takes_is_refused(timestamp: str, reason: str | None) -> None:
    batch = batch_of(SETTINGS, [event_line(timestamp=timestamp)])
    assert batch.refused == ({} if reason is None else {0: reason})


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        pytest.param(b'{"a":' * 62 + b"1" + b"}" * 62, False, id="deep"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, True, id="too deep"),
        pytest.param(b"[" * 65 + b"]" * 65, True, id="too deep a list"),
        pytest.param(b"[" + b"[]," * 100 + b"[]]", False, id="broad"),
        pytest.param(b'"' + b"{" * 1000 + b'"', False, id="braces in a text"),
    ],
)
def test_a_line_that_would_end_the_cluster_is_refused(context: bytes, refused: bool) -> None:  # noqa: FBT001  # a table
    batch = Batch(SETTINGS, NOW)
    batch.add("id", NOW, b'{"context":' + context + b"}", "/a.log", 0)
    assert bool(batch.refused) is refused


@pytest.mark.parametrize("line", [b"", b"{} ", b"{}\r", b"[1]"])
def test_a_line_that_cannot_be_spliced_is_not_taken(line: bytes) -> None:
    batch = Batch(SETTINGS, NOW)
    with pytest.raises(ValueError, match="does not end with"):
        batch.add("id", NOW, line, "/a.log", 0)
    assert len(batch) == 0
