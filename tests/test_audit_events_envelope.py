"""What a shipper reads of a line is safe to splice, and every other line has a reason."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.envelope import Columns, _are_sound, decode_envelope, read_columns
from audit_events.errors import LineError
from audit_events.event import HASH_PATTERN, UUID_PATTERN, decode_event
from audit_events.instant import CANONICAL_INSTANT


@pytest.fixture
def line(tmp_path: Path) -> bytes:
    log = open_log(tmp_path / "audit.jsonl", service="members")
    log.info("member.invited", organization_id="org_acme", actor={"type": "system"})
    return (tmp_path / "audit.jsonl").read_bytes().rstrip(b"\n")


def test_an_emitted_line_is_read(line: bytes) -> None:
    envelope = decode_envelope(line)
    event = decode_event(line)
    assert envelope.id == event.id
    assert envelope.timestamp == event.timestamp
    assert envelope.organizationId == "org_acme"
    assert (envelope.source.id, envelope.source.seq) == (event.source.id, 0)
    assert envelope.hash == event.hash


def _changed(line: bytes, **members: object) -> bytes:
    event = msgspec.json.decode(line, type=dict[str, Any])
    event.update(members)
    return msgspec.json.encode({key: item for key, item in event.items() if item is not None})


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"id": None}, id="no id"),
        pytest.param({"id": 'x"}}\n{"delete":{}}'}, id="id that would break out of the bulk body"),
        pytest.param({"id": "01A209B8-87EB-79ED-ABE4-5B7130BF85CC"}, id="id in upper case"),
        pytest.param({"id": "01a209b887eb79edabe45b7130bf85cc----"}, id="dashes elsewhere"),
        pytest.param({"id": "01a209b8-87eb-79ed-abe4-5b71-0bf85cc"}, id="a dash too many"),
        pytest.param({"id": "\u06601a209b8-87eb-79ed-abe4-5b7130bf85c"}, id="other digits"),
        pytest.param({"timestamp": "2026-11-01T00:00:00.00000\u0660Z"}, id="other digits in time"),
        pytest.param({"timestamp": "2026-11-01T00:00:00,000000Z"}, id="comma"),
        pytest.param({"timestamp": "2026-11-01T00:00:00.000000z"}, id="lower case z"),
        pytest.param({"timestamp": "2026-11-01T24:00:00.000000Z"}, id="hour 24"),
        pytest.param({"hash": "A" * 42 + '"'}, id="quote in hash"),
        pytest.param({"action": "a.b\n"}, id="line break after action"),
        pytest.param({"timestamp": "2026-13-01T00:00:00.000000Z"}, id="month 13"),
        pytest.param({"timestamp": "2026-11-01"}, id="a date"),
        pytest.param({"timestamp": "2026-11-01T00:00:00.000000Z\n"}, id="trailing line break"),
        pytest.param({"organizationId": ""}, id="empty organisation"),
        pytest.param({"action": "Invited"}, id="malformed action"),
        pytest.param({"hash": "short"}, id="hash too short"),
        pytest.param({"source": {"id": "x", "seq": 0}}, id="source is no UUID"),
        pytest.param({"source": None}, id="no source"),
    ],
)
def test_a_wrong_field_is_named(line: bytes, members: dict[str, Any]) -> None:
    with pytest.raises(LineError) as caught:
        decode_envelope(_changed(line, **members))
    assert next(iter(members)) in caught.value.reason


def test_a_negative_seq_is_refused(line: bytes) -> None:
    event = msgspec.json.decode(line, type=dict[str, Any])
    with pytest.raises(LineError, match="seq"):
        decode_envelope(_changed(line, source={**event["source"], "seq": -1}))


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda line: line[:-5], id="cut"),
        pytest.param(lambda line: b"\xef\xbb\xbf" + line, id="byte order mark"),
        pytest.param(lambda line: line.replace(b"org_acme", b"org\xff"), id="not UTF-8"),
        pytest.param(
            lambda line: line.replace(b'"system"', b'"\xff"'),
            id="not UTF-8 in a field that is skipped",
        ),
        pytest.param(lambda line: line.replace(b"org_acme", b"org\x00"), id="NUL byte"),
        pytest.param(lambda line: line + b"\r", id="CRLF"),
        pytest.param(lambda line: line + line, id="two events on a line"),
        pytest.param(lambda _line: b"2026-11-23 INFO started", id="another format"),
        pytest.param(lambda _line: b"[]", id="a list"),
        pytest.param(lambda _line: b"[" * 60_000, id="brackets without end"),
        pytest.param(
            lambda line: line.replace(b'"seq":0', b'"seq":9007199254740992'), id="seq beyond JSON"
        ),
        pytest.param(lambda _line: b"", id="nothing"),
    ],
)
def test_a_line_that_is_no_event_is_refused_by_reason(line: bytes, harm: Any) -> None:
    with pytest.raises(LineError, match="not an event"):
        decode_envelope(harm(line))
    assert read_columns([line, harm(line)]) is None


_PLAIN = (
    b'{"action":"a.b","context":{"n":"\xc3\xa9"},"hash":"' + b"A" * 43 + b'",'
    b'"id":"01a209b8-87eb-79ed-abe4-5b7130bf85cc","organizationId":"o",'
    b'"source":{"id":"01a209b8-87eb-79ed-abe4-5b7130bf85cc","seq":3},'
    b'"timestamp":"2026-11-01T00:00:00.000000Z"}'
)
_near = st.characters(codec="ascii") | st.sampled_from("\u0660\u00e9")


def _spoil(text: str, position: int, character: str) -> str:
    position %= len(text) + 1
    return text[:position] + character + text[position + 1 :]


_texts = st.tuples(
    st.from_regex(UUID_PATTERN, fullmatch=True),
    st.from_regex(CANONICAL_INSTANT, fullmatch=True),
    st.from_regex(HASH_PATTERN, fullmatch=True),
    st.from_regex(UUID_PATTERN, fullmatch=True),
)


@given(
    st.lists(_texts, min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 50),
    _near,
)
@pytest.mark.slow
def test_the_check_of_columns_says_what_the_patterns_say_of_each_text(
    rows: list[tuple[str, str, str, str]], row: int, which: int, position: int, character: str
) -> None:
    patterns = (UUID_PATTERN, CANONICAL_INSTANT, HASH_PATTERN, UUID_PATTERN)
    spoiled = [
        [
            _spoil(text, position, character) if (number, column) == (row, which) else text
            for column, text in enumerate(texts)
        ]
        for number, texts in enumerate(rows)
    ]
    ids, timestamps, hashes, source_ids = (list(column) for column in zip(*spoiled, strict=True))
    assert _are_sound(Columns(ids, timestamps, hashes, source_ids, [0] * len(ids))) == all(
        re.fullmatch(pattern, text) is not None and "\n" not in text
        for texts in spoiled
        for pattern, text in zip(patterns, texts, strict=True)
    )


def test_characters_that_moved_from_one_text_to_the_next_are_noticed() -> None:
    """The texts of a column are checked joined: a boundary between two of them counts."""
    longer, shorter = "a" * 44, "a" * 42
    uuid, instant = "01a209b8-87eb-79ed-abe4-5b7130bf85cc", "2026-11-01T00:00:00.000000Z"
    columns = Columns([uuid] * 2, [instant] * 2, [longer, shorter], [uuid] * 2, [0, 1])
    assert not _are_sound(columns)


def _events(line: bytes, count: int) -> list[bytes]:
    return [
        _changed(line, id=f"{number:08x}-0000-7000-8000-000000000000") for number in range(count)
    ]


def test_many_lines_are_read_as_each_of_them_is(line: bytes) -> None:
    lines = _events(line, 20)
    columns = read_columns(lines)
    assert columns is not None
    for row, one in enumerate(lines):
        envelope = decode_envelope(one)
        assert columns.ids[row] == envelope.id
        assert columns.timestamps[row] == envelope.timestamp
        assert columns.hashes[row] == envelope.hash
        assert columns.source_ids[row] == envelope.source.id
        assert columns.seqs[row] == envelope.source.seq


@given(data=st.data())
def test_many_lines_are_refused_when_one_of_them_is(data: st.DataObject) -> None:
    lines = [_PLAIN.replace(b"01a209b8", b"%08x" % number) for number in range(3)]
    row = data.draw(st.integers(0, 2))
    start = data.draw(st.integers(0, len(_PLAIN)))
    end = data.draw(st.integers(start, min(len(_PLAIN), start + 4)))
    lines[row] = lines[row][:start] + data.draw(st.binary(max_size=3)) + lines[row][end:]
    try:
        decode_envelope(lines[row])
        is_event = True
    except LineError:
        is_event = False
    assert (read_columns(lines) is not None) == is_event


def test_no_lines_have_no_envelopes() -> None:
    columns = read_columns([])
    assert columns is not None
    assert columns.ids == []
