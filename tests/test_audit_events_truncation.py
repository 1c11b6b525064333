"""An event of any context has at most 64 KiB, and what was cut of it is said."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.canonical import canonical, read_back
from audit_events.draft import draft_event
from audit_events.errors import CanonicalError
from audit_events.event import MAX_LINE_BYTES
from audit_events.terms import MAX_TERM_BYTES, count_term_bytes
from audit_events.truncation import fit_context, most_term_bytes
from audit_events.validation import check_line
from audit_events.walk import MAX_DEPTH, encode_prepared

ROOM = 60_000
LIMIT = 8_192
BASE: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}


def _fit(context: object, room: int = ROOM, limit: int = LIMIT) -> Any:
    encoded = canonical(context)
    fitted = fit_context(encoded, max_text_bytes=limit, room_bytes=room)
    return read_back(encoded if fitted is None else encode_prepared(fitted))


def _digest(value: object) -> str:
    return sha256(canonical(value)).hexdigest()


def test_what_fits_is_left_as_it_is() -> None:
    encoded = canonical({"a": "x" * LIMIT, "b": ["y" * 1_000] * 40, "k" * 1_000: 1})
    assert fit_context(encoded, max_text_bytes=LIMIT, room_bytes=ROOM) is None


def test_a_long_text_keeps_its_beginning_and_the_digest_of_all_of_it() -> None:
    text = "é" * 10_000
    assert _fit({"note": text, "other": "stays"}) == {
        "note": {
            "truncated": True,
            "bytes": 20_000,
            "sha256": sha256(text.encode()).hexdigest(),
            "value": "é" * (LIMIT // 2),
        },
        "other": "stays",
    }


@pytest.mark.parametrize("character", ["a", "é", "\U0001f600", "\x01", '"', "\u2028"])
def test_a_character_is_never_cut_in_two(character: str) -> None:
    value = _fit({"t": "ab" + character * LIMIT}, limit=1_000)["t"]["value"]
    assert ("ab" + character * LIMIT).startswith(value)
    assert 0 <= 1_000 - (len(encode_prepared(value)) - 2) < 6


def test_the_largest_values_are_cut_and_small_ones_stay() -> None:
    rows_before = [{"id": n} for n in range(9_000)]
    context: dict[str, Any] = {"new": {"rows": rows_before, "role": "admin"}, "reason": "x"}
    fitted = _fit(context)
    rows = fitted["new"]["rows"]
    assert (fitted["new"]["role"], fitted["reason"]) == ("admin", "x")
    assert rows[:-1] == [{"id": n} for n in range(len(rows) - 1)], "a list keeps its first items"
    assert rows[-1] == {
        "truncated": True,
        "left": 9_000 - len(rows) + 1,
        "bytes": len(canonical(context["new"]["rows"])),
        "sha256": _digest(context["new"]["rows"]),
    }
    assert len(canonical(fitted)) > 0.9 * ROOM, "the room is used"


def test_an_object_of_many_members_keeps_its_smallest_in_place() -> None:
    context = {f"key_{n}": "v" * (n // 10) for n in range(2_000)}
    fitted = _fit(context)
    truncated = fitted.pop("truncated")
    assert truncated["left"] == 2_000 - len(fitted)
    assert truncated["sha256"] == _digest(context)
    assert fitted == {f"key_{n}": "v" * (n // 10) for n in range(len(fitted))}


def test_large_texts_share_the_room() -> None:
    fitted = _fit({"texts": [f"{n}" * 8_000 for n in range(10)], "small": "s" * 500})
    assert fitted["small"] == "s" * 500
    assert {len(text["value"]) // 100 for text in fitted["texts"]} == {57}


def test_a_long_key_is_cut_so_that_it_stays_another_key() -> None:
    context = {"k" * 30_000 + str(n): n for n in range(3)}
    fitted = _fit(context)
    assert fitted.pop("truncated")["sha256"] == _digest(context)
    assert sorted(fitted.values()) == [0, 1, 2]
    assert all(key.startswith("k" * 100 + "…") and len(key) == 117 for key in fitted)


def test_the_same_context_is_cut_the_same_way_each_time() -> None:
    texts = {f"k{n}": "y" * 3_000 for n in range(30)}
    context: dict[str, Any] = {"a": ["x" * 3_000] * 30, "b": texts}
    shuffled = {"b": dict(reversed(context["b"].items())), "a": context["a"]}
    assert canonical(_fit(context)) == canonical(_fit(shuffled))


_sizes = st.sampled_from([0, 1, 10, 100, 700, 3_000, 9_000])
_keys = st.builds(
    lambda size, one, end: one * size + end,
    st.sampled_from([0, 1, 10, 150, 600, 3_000]), st.sampled_from("aé\x01\U0001f600￿"),
    st.sampled_from("abcd"),
)  # fmt: skip
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(lambda size, one: one * size, _sizes, st.sampled_from('aé\x01\U0001f600"\u2028'))
)
_times = st.sampled_from([1, 2, 60])
_trees = st.recursive(
    _leaves,
    lambda inner: (
        st.dictionaries(_keys, inner, max_size=3)
        | st.builds(lambda item, times: [item] * times, inner, _times)
        | st.builds(
            lambda key, item, times: {f"{key}{n}": item for n in range(times)}, _keys, inner, _times
        )
    ),
    max_leaves=4,
)
_contexts = st.dictionaries(_keys, _trees, max_size=4).filter(
    lambda context: len(canonical(context)) < 100_000
)


@pytest.mark.slow
@given(_contexts, st.sampled_from([200, 2_000, 20_000, 60_000]), st.sampled_from([256, 16_384]))
@settings(max_examples=25, deadline=None)
def test_any_context_fits_whatever_the_room(
    context: dict[str, object], room: int, limit: int
) -> None:
    fitted = _fit(context, room, limit)
    assert len(canonical(fitted)) <= room
    assert count_term_bytes(fitted) <= MAX_TERM_BYTES


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_double_is_longer_as_a_term_than_a_bound_from_lengths_has_room_for(
    number: float,
) -> None:
    encoded = canonical({"a": number})
    assert most_term_bytes(encoded) >= count_term_bytes(read_back(encoded))


@pytest.mark.slow
@given(_contexts)
@example({"a": 9007199254740994.0})
@example({"a": 1.0000000000000002e16})
@example({"a": 1e-7})
@example({"a": -1.2345678901234568e20})
def test_what_lengths_alone_say_is_never_too_little(context: dict[str, object]) -> None:
    encoded = canonical(context)
    assert most_term_bytes(encoded) >= count_term_bytes(read_back(encoded))


@pytest.mark.parametrize(
    ("context", "is_cut"),
    [
        pytest.param({"k" * 400: {"n" * 100: ["v"] * 1_500}}, False, id="many, below the limit"),
        pytest.param({"k" * 3_000: ["v"] * 1_000}, True, id="a long key over many values"),
        pytest.param({"a": "x" * 8_193}, True, id="a text over its limit"),
        pytest.param({"a": "x" * 8_192}, False, id="a text at its limit"),
    ],
)
def test_a_short_context_is_looked_at_where_lengths_do_not_settle_it(
    context: dict[str, object], *, is_cut: bool
) -> None:
    assert (fit_context(canonical(context), max_text_bytes=LIMIT, room_bytes=ROOM) is not None) == (
        is_cut
    )


@pytest.mark.slow
@given(_contexts)
@settings(max_examples=15, deadline=None)
def test_an_event_of_any_context_is_written_and_valid(
    tmp_path_factory: pytest.TempPathFactory, context: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"
    open_log(path, service="s").info("a.b", **BASE, context=context)
    (line,) = path.read_bytes().splitlines()
    assert len(line) < MAX_LINE_BYTES
    assert check_line(line) == []


def _nest(depth: int, value: object) -> object:
    for _ in range(depth):
        value = {"d": value}
    return value


def _context_of(context: object) -> Any:
    draft = draft_event("a.b", {**BASE, "context": context})
    return json.loads(draft.encode())["context"]


def test_what_is_too_deep_becomes_a_mark() -> None:
    whole = {"x": "y"}
    found = _context_of(_nest(MAX_DEPTH, whole))
    for _ in range(MAX_DEPTH):
        found = found["d"]
    assert found == {"truncated": True, "bytes": 9, "sha256": _digest(whole)}
    assert _context_of(_nest(MAX_DEPTH - 1, whole)) == _nest(MAX_DEPTH - 1, whole)


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(90, id="digested"),
        pytest.param(500, id="deep"),
        pytest.param(5_000, id="endless"),
    ],
)
def test_no_depth_makes_an_event_fail(tmp_path: Path, depth: int) -> None:
    log = open_log(tmp_path / "a.log", service="s")
    log.info("a.b", **BASE, context={"here": 1, "deep": _nest(depth, 1)})
    (line,) = (tmp_path / "a.log").read_bytes().splitlines()
    assert check_line(line) == []
    assert b'"here":1' in line
    assert (b'"sha256"' in line) == (depth < 100)


@pytest.mark.slow
def test_few_objects_that_come_to_billions_of_values_are_cut() -> None:
    """YAML's anchors make such of 200 bytes."""
    laughs: object = ["lol"]
    for _ in range(9):
        laughs = [laughs] * 10
    context = _context_of({"here": 1, "laughs": laughs})
    assert context["here"] == 1
    assert b'"truncated":true' in canonical(context)


def test_what_contains_itself_is_refused_with_its_path() -> None:
    loop: dict[str, object] = {}
    loop["again"] = [loop]
    with pytest.raises(CanonicalError, match="contains itself") as caught:
        _context_of({"a": loop})
    assert caught.value.field.startswith("context.a.again[0].again[0]")
