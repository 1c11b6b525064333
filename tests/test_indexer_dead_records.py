"""Reading the dead letter: whatever is in it, quickly, and each record with a next step."""

import base64
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.dead_letter import DeadLetter, Refusal, render
from indexer.dead_records import ADVICE, Filter, Record, read_records
from indexer.figures import DEAD_REASONS
from tests.lines import event_line

TIME = "2026-11-23T18:00:00.000000Z"


def refusal(
    line: bytes | None = b"{}",
    *,
    reason: str = "mapper_parsing_exception: no address",
    status: int | None = 400,
    path: str = "/a.log",
    offset: int = 0,
    when: str = TIME,
) -> Refusal:
    return Refusal(path=path, offset=offset, reason=reason, status=status, time=when, line=line)


def only(one: Refusal) -> Record:
    (record,) = read_records([render(one)])
    return record


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        pytest.param(refusal(), "refused", id="400"),
        pytest.param(refusal(status=409), "conflict", id="409"),
        pytest.param(refusal(status=413), "too_large", id="413"),
        pytest.param(refusal(status=None, reason="not an event: x"), "malformed", id="no event"),
        pytest.param(
            refusal(status=None, reason="older than retention (400 days)"),
            "not_admitted",
            id="too old",
        ),
        pytest.param(
            Refusal(path="/a", offset=0, reason="longer", time=TIME, length_bytes=9, sha256="ab"),
            "over_long",
            id="too long",
        ),
    ],
)
def test_each_record_is_of_a_kind_that_has_a_next_step(one: Refusal, kind: str) -> None:
    assert only(one).kind == kind
    assert ADVICE[kind]


def test_every_kind_has_a_next_step() -> None:
    assert set(ADVICE) == set(DEAD_REASONS)


@given(st.binary(max_size=200))
def test_any_line_comes_back(line: bytes) -> None:
    record = only(refusal(line))
    assert record.line == line or (line == b"" and not record.line)
    assert record.event.id == ""
    assert record.envelope is None


def test_an_event_is_known_by_id_and_action_however_wrong_it_is() -> None:
    event = only(refusal(event_line({"ipAddress": 7}, event_id="x"))).event
    assert (event.id, event.action) == ("x", "member.role_changed")
    assert only(refusal(b'{"id":["a"],"action":1}')).event.id == ""
    assert only(refusal(b"[" * 60_000)).event.id == ""


def test_what_a_crash_tore_is_left_out_and_numbers_stay() -> None:
    first, second = render(refusal(offset=1)), render(refusal(offset=2))
    lines = (first + second[:30] + b"\n" + second + first[:9]).splitlines(keepends=True)
    records = list(read_records(lines))
    assert [(one.number, one.fields.offset) for one in records] == [(1, 1), (2, 2)]
    assert len({one.key for one in records}) == 2


def test_a_key_outlives_a_move_of_its_file() -> None:
    text = render(refusal())
    (alone,) = read_records([text])
    (_, behind) = read_records([render(refusal(offset=5)), text])
    assert (alone.key, alone.number) == (behind.key, 1)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{}", id="another object"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"[" * 5000, id="brackets"),
        pytest.param(b'{"path":"\xed\xa0\x80","offset":0,"reason":"","time":""}', id="surrogate"),
    ],
)
def test_what_is_no_record_is_left_out(line: bytes) -> None:
    assert list(read_records([line, render(refusal())]))[-1].fields.path == "/a.log"


def test_spoilt_base64_is_no_line() -> None:
    text = render(refusal(b"\xff")).replace(base64.b64encode(b"\xff"), b"#")
    (record,) = read_records([text])
    assert record.line is None


EVENT = refusal(event_line(event_id="e1"), when="2026-11-23T18:00:00.000000Z", path="/var/a.log")


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        pytest.param(Filter(), True, id="everything"),
        pytest.param(Filter(reason="refused"), True, id="kind"),
        pytest.param(Filter(reason="conflict"), False, id="another kind"),
        pytest.param(Filter(reason="No Address"), True, id="part of the reason"),
        pytest.param(Filter(since="2026-11-23T18:00:00.000000Z"), True, id="since then"),
        pytest.param(Filter(since="2026-11-23T18:00:00.000001Z"), False, id="later"),
        pytest.param(Filter(path="/var"), True, id="path"),
        pytest.param(Filter(path="/opt"), False, id="another path"),
        pytest.param(Filter(numbers=frozenset({1, 7})), True, id="number"),
        pytest.param(Filter(numbers=frozenset({2})), False, id="another number"),
        pytest.param(Filter(ids=("e1",)), True, id="event"),
        pytest.param(Filter(ids=(only(EVENT).key,)), True, id="key"),
        pytest.param(Filter(ids=("",)), False, id="no name"),
        pytest.param(Filter(numbers=frozenset({2}), ids=("e1",)), True, id="alternatives"),
        pytest.param(Filter(ids=("e1",), path="/opt"), False, id="both must match"),
    ],
)
def test_records_are_chosen(wanted: Filter, taken: bool) -> None:  # noqa: FBT001  # an expectation
    assert wanted.takes(only(EVENT)) is taken


@pytest.mark.slow
def test_ten_megabytes_are_read_fast(tmp_path: Path) -> None:
    letter = DeadLetter(tmp_path)
    letter.append([refusal(event_line(), offset=offset) for offset in range(12_000)])
    assert letter.path.stat().st_size > 10_000_000
    began = time.process_time()
    with letter.path.open("rb") as file:
        kinds = [record.kind for record in read_records(file)]
    assert len(kinds) == 12_000
    assert time.process_time() - began < 2


def test_a_run_of_lines_is_one_record_and_never_an_event() -> None:
    """An event that somebody indented is none: sent again it would break the request's framing."""
    text = event_line().replace(b",", b",\n")
    one = Refusal(
        path="/a", offset=7, reason="not an event: x", time=TIME, line=text,
        lines=text.count(b"\n") + 1, length_bytes=len(text),
    )  # fmt: skip
    record = only(one)
    assert (record.kind, record.line, record.envelope) == ("malformed", text, None)
    assert (record.fields.lines, record.fields.bytes) == (text.count(b"\n") + 1, len(text))


def test_a_record_of_an_earlier_version_is_one_line() -> None:
    text = (
        b'{"path":"/a","offset":0,"reason":"not an event: x","time":"%b","line":"x"}'
        % TIME.encode()
    )
    (record,) = read_records([text])
    assert (record.fields.lines, record.kind, record.line) == (1, "malformed", b"x")
