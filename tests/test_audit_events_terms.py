"""What a context comes to in the index, and that no event gets through that would end a node."""

import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.terms import MAX_TERM_BYTES, SMALL_LINE_BYTES, count_term_bytes
from indexer.batch import Batch
from indexer.settings import IndexSettings
from indexer.width import is_too_wide
from tests.lines import NOW, batch_of, event_line


@pytest.mark.parametrize(
    ("context", "terms"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"a": 1}, ["context.a=1"], id="a number"),
        pytest.param({"a": {"b": "x", "c": "é"}}, ["context.a.b=x", "context.a.c=é"], id="nested"),
        pytest.param({"a": ["x", ["y", {"b": "z"}]]},
                     ["context.a=x", "context.a=y", "context.a.b=z"], id="lists"),
    ],
)  # fmt: skip
def test_each_value_counts_with_its_path(context: object, terms: list[str]) -> None:
    assert count_term_bytes(context) == sum(len(term.encode()) for term in terms)


WIDE = {
    "one long key": {"k" * 30_000: [1] * 6_000},
    "many levels": {"p" * 900: {"q" * 900: {"r" * 900: {"s" * 900: list(range(3_000))}}}},
}


@pytest.mark.parametrize("context", WIDE.values(), ids=WIDE)
def test_what_would_end_a_node_is_cut_at_the_call(context: object, tmp_path: Path) -> None:
    log = open_log(tmp_path / "a.log", service="s")
    log.info("a.b", organization_id="o", actor={"type": "system"}, context=context)
    (line,) = (tmp_path / "a.log").read_bytes().splitlines()
    assert b'"truncated":true' in line
    assert not is_too_wide(line)


@pytest.mark.parametrize("context", WIDE.values(), ids=WIDE)
def test_what_others_wrote_of_it_is_buried_unsent(context: object) -> None:
    batch = batch_of(IndexSettings(), [event_line(), event_line({"context": context})])
    assert list(batch.refused) == [1]
    assert "in the index" in batch.refused[1]


def test_a_large_event_of_the_usual_kind_passes(tmp_path: Path) -> None:
    context = {"new": {f"setting_{number}": "on" * 10 for number in range(1_300)}}
    log = open_log(tmp_path / "a.log", service="s")
    log.info("a.b", organization_id="o", actor={"type": "system"}, context=context)
    (line,) = (tmp_path / "a.log").read_bytes().splitlines()
    assert len(line) > 40_000
    batch = Batch(IndexSettings(), NOW)
    batch.extend([line], [str(uuid.uuid4())], [NOW], "/a", 0)
    assert not batch.refused


@given(st.integers(1, 1_400), st.integers(0, 2_800))
def test_no_small_line_comes_to_more(values: int, key: int) -> None:
    """The worst that fits: one path over as many values as there are."""
    room = SMALL_LINE_BYTES - len(b'{"context":{"":[]}}')
    values = min(values, room // 2)
    context = {"k" * min(key, room - 2 * values): [1] * values}
    line = msgspec.json.encode({"context": context})
    assert len(line) <= SMALL_LINE_BYTES
    assert count_term_bytes(context) <= MAX_TERM_BYTES
    assert not is_too_wide(line)
