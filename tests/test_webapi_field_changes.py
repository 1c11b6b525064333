"""What an event changed: each field once, and never more or less than differs."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from audit_events.walk import MAX_DEPTH
from webapi.field_changes import MAX_CHANGES, FieldChange, field_changes, same
from webapi.pointer import keys_of, step

ROLE = {"previous": {"role": "member"}, "new": {"role": "admin"}}


def told(context: object) -> Any:
    """Return the changes as the API writes them, short: path to the rest."""
    found = msgspec.to_builtins(field_changes(context).changes)
    return [(one["path"], *(v for k, v in one.items() if k != "path")) for one in found]


@pytest.mark.parametrize(
    ("context", "changes"),
    [
        pytest.param(ROLE, [("/role", "changed", "member", "admin")], id="a field"),
        pytest.param({"new": {"a": {"b": 1, "c": []}}}, [
            ("/a/b", "added", 1), ("/a/c", "added", [])], id="only new"),
        pytest.param({"previous": {"b": 1, "a": None}}, [
            ("/a", "removed", None), ("/b", "removed", 1)], id="only previous, by key"),
        pytest.param({"previous": None, "new": {"a": 1}}, [("/a", "added", 1)], id="null before"),
        pytest.param({"previous": {"a": 1}, "new": None}, [("/a", "removed", 1)], id="null after"),
        pytest.param({"previous": {"a": None}, "new": {}}, [
            ("/a", "removed", None)], id="null is a value of a field"),
        pytest.param({"previous": "old", "new": "new"}, [("", "changed", "old", "new")],
            id="no objects"),
        pytest.param({"new": 5}, [("", "added", 5)], id="no object, and only new"),
        pytest.param({"previous": [1], "new": {"a": 1}}, [
            ("", "changed", [1], {"a": 1})], id="a list and an object"),
        pytest.param({"previous": {"a": {"b": 1, "c": 2}}, "new": {"a": {"b": 1, "c": 3}}}, [
            ("/a/c", "changed", 2, 3)], id="deep inside"),
        pytest.param({"previous": {"a": {"b": 1}}, "new": {"a": 1}}, [
            ("/a", "changed", {"b": 1}, 1)], id="an object becomes something else"),
        pytest.param({"previous": {"a": {}}, "new": {"a": {"b": 1}}}, [
            ("/a/b", "added", 1)], id="the first member"),
        pytest.param({"previous": {"a": {"b": 1}}, "new": {"a": {}}}, [
            ("/a/b", "removed", 1)], id="the last member"),
        pytest.param({"previous": {}, "new": {"a": {}}}, [("/a", "added", {})], id="an empty one"),
        pytest.param({"previous": {"l": ["a", "b", "b"]}, "new": {"l": ["c", "b"]}}, [
            ("/l", "changed", ["a", "b", "b"], ["c", "b"], ["c"], ["a", "b"])], id="a list"),
        pytest.param({"previous": {"l": "ab"}, "new": {"l": ["a"]}}, [
            ("/l", "changed", "ab", ["a"])], id="a text becomes a list"),
        pytest.param({"previous": {"l": [1, 2]}, "new": {"l": [2, 1]}}, [
            ("/l", "changed", [1, 2], [2, 1], [], [])], id="only the order"),
        pytest.param({"previous": {"a": 1}, "new": {"a": True}}, [
            ("/a", "changed", 1, True)], id="a number is no flag"),
        pytest.param({"previous": {"a": [0]}, "new": {"a": [False]}}, [
            ("/a", "changed", [0], [False], [False], [0])], id="not in a list either"),
        pytest.param({"previous": {"a": 1}, "new": {"a": 1.0}}, [], id="one number, two spellings"),
        pytest.param({"previous": {"a/b": 1, "~": 2, "": 3}, "new": {}}, [
            ("/", "removed", 3), ("/a~1b", "removed", 1), ("/~0", "removed", 2)], id="odd keys"),
        pytest.param({"previous": {"a": {"x": 1, "y": [2]}}, "new": {"a": {"y": [2], "x": 1}}},
            [], id="the order of keys"),
        pytest.param({"previous": {}, "new": {}}, [], id="nothing"),
        pytest.param({"reason": "because"}, [], id="neither"),
        pytest.param(None, [], id="no context"),
        pytest.param([{"previous": 1}], [], id="a context that is no object"),
    ],
)  # fmt: skip
def test_changes(context: object, changes: list[Any]) -> None:
    assert told(context) == changes


def test_a_side_that_is_missing_is_left_out_of_the_answer_and_null_is_not() -> None:
    (change,) = field_changes({"previous": {}, "new": {"a": None}}).changes
    assert msgspec.json.encode(change) == b'{"path":"/a","kind":"added","new":null}'


def test_changes_are_bounded_and_that_is_told() -> None:
    fields = {f"f{number:04}": number for number in range(MAX_CHANGES + 1)}
    found = field_changes({"new": fields})
    assert [one.path for one in found.changes] == [f"/f{n:04}" for n in range(MAX_CHANGES)]
    assert found.more
    del fields["f0000"]
    found = field_changes({"new": fields})
    assert (len(found.changes), found.more) == (MAX_CHANGES, False)


def nested(levels: int, leaf: object) -> object:
    for _ in range(levels):
        leaf = {"a": leaf}
    return leaf


def test_what_lies_deeper_than_told_apart_is_one_value() -> None:
    deep = field_changes({"previous": nested(200, 1), "new": nested(200, 2)})
    (change,) = deep.changes
    assert change.path == "/a" * MAX_DEPTH
    assert change.previous == nested(200 - MAX_DEPTH, 1)


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "/", "~1"])
KEYS = st.sampled_from(["", "a", "b", "a/b", "~", "~1", "0"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def applied(changes: tuple[FieldChange, ...], document: dict[str, Any]) -> dict[str, Any]:
    """Return a document after some changes, each of which must be of what it has."""
    after = cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(document)))
    for change in changes:
        *outer, last = keys_of(change.path)
        place = after
        for key in outer:
            place = place.setdefault(key, {})
        assert (last in place) is (change.previous is not UNSET)
        assert last not in place or same(place[last], change.previous)
        if change.new is UNSET:
            del place[last]
        else:
            place[last] = change.new
    return after


def filled(value: Any) -> Any:
    """Return a value without the members that are empty objects, or so become ones."""
    if not isinstance(value, dict):
        return value
    inner = {key: filled(one) for key, one in value.items()}
    return {key: one for key, one in inner.items() if one != {}}


@pytest.mark.slow
@given(OBJECTS, OBJECTS)
def test_changes_applied_to_previous_are_new(previous: dict[str, Any], new: dict[str, Any]) -> None:
    changes = field_changes({"previous": previous, "new": new}).changes
    assert same(filled(applied(changes, previous)), filled(new))
    paths = [change.path for change in changes]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert not any(other.startswith(path + "/") for other in paths)


@pytest.mark.slow
@given(OBJECTS)
def test_what_is_the_same_has_not_changed(document: dict[str, Any]) -> None:
    context = {"previous": document, "new": document}
    assert field_changes(context).changes == ()


@pytest.mark.slow
@given(OBJECTS, OBJECTS)
def test_the_way_back_is_the_same_way(previous: dict[str, Any], new: dict[str, Any]) -> None:
    there = field_changes({"previous": previous, "new": new}).changes
    back = field_changes({"previous": new, "new": previous}).changes
    assert [(one.path, one.previous, one.new) for one in there] == [
        (one.path, one.new, one.previous) for one in back
    ]


@given(st.lists(st.text(max_size=5) | st.integers(0, 9), max_size=5))
def test_a_pointer_says_its_keys(keys: list[str | int]) -> None:
    pointer = ""
    for key in keys:
        pointer = step(pointer, key)
    assert list(keys_of(pointer)) == [str(key) for key in keys]
