"""What changed in plain values, and nothing else."""

import copy
import ipaddress
import re
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events import changes, snapshot
from audit_events.canonical import canonical
from audit_events.errors import EventError


class Role(Enum):
    MEMBER = "member"
    ADMIN = "admin"


_NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
_ID = uuid.UUID(int=7)
_SERVICE = object()
_LOOP: dict[str, Any] = {"a": 1}
_LOOP["self"] = _LOOP


@pytest.mark.parametrize(
    ("before", "after", "previous", "new"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, {}, id="nothing"),
        pytest.param({"r": "m", "x": 1}, {"r": "a", "x": 1}, {"r": "m"}, {"r": "a"}, id="a value"),
        pytest.param({}, {"a": None}, {}, {"a": None}, id="a key that came, with nothing in it"),
        pytest.param({"a": None}, {}, {"a": None}, {}, id="a key that went"),
        pytest.param(None, {"a": 1}, {}, {"a": 1}, id="an object that was made"),
        pytest.param({"a": 1}, None, {"a": 1}, {}, id="an object that was deleted"),
        pytest.param(
            {"p": {"a": 1, "b": {"c": 2, "d": 3}}, "q": 1},
            {"p": {"a": 1, "b": {"c": 9, "d": 3}}, "q": 1},
            {"p": {"b": {"c": 2}}},
            {"p": {"b": {"c": 9}}},
            id="deep inside",
        ),
        pytest.param(
            {"p": {"a": 1}}, {"p": {"a": 1, "b": 2}}, {}, {"p": {"b": 2}}, id="a key deep inside"
        ),
        pytest.param({"p": {"a": 1}}, {"p": {}}, {"p": {"a": 1}}, {"p": {}}, id="emptied"),
        pytest.param({"p": {}}, {"p": {"a": 1}}, {"p": {}}, {"p": {"a": 1}}, id="filled"),
        pytest.param({"p": {"a": 1}}, {"p": 5}, {"p": {"a": 1}}, {"p": 5}, id="another kind"),
        pytest.param({"l": [1, 2, 3]}, {"l": [1, 3]}, {"l": [1, 2, 3]}, {"l": [1, 3]}, id="a list"),
        pytest.param({"l": [{"a": 1}]}, {"l": ({"a": 1},)}, {}, {}, id="list and tuple"),
        pytest.param(
            {"s": {"b", "a"}}, {"s": {"c", "a"}}, {"s": ["a", "b"]}, {"s": ["a", "c"]}, id="a set"
        ),
        pytest.param({"a": 1}, {"a": True}, {"a": 1}, {"a": True}, id="one is not true"),
        pytest.param({"a": 0}, {"a": False}, {"a": 0}, {"a": False}, id="zero is not false"),
        pytest.param({"a": 1}, {"a": "1"}, {"a": 1}, {"a": "1"}, id="one is not a text"),
        pytest.param({"a": 1}, {"a": 1.0}, {}, {}, id="an amount in another type"),
        pytest.param({"a": Decimal(5)}, {"a": Decimal("5.00")}, {}, {}, id="more digits"),
        pytest.param({"a": 5}, {"a": Decimal("5.00")}, {}, {}, id="as a database gives it back"),
        pytest.param(
            {"a": Decimal("5.10")}, {"a": Decimal(6)}, {"a": "5.10"}, {"a": "6"}, id="exactly"
        ),
        pytest.param({"a": float("nan")}, {"a": float("nan")}, {}, {}, id="nan stays nan"),
        pytest.param({"a": 0.5}, {"a": float("inf")}, {"a": 0.5}, {"a": "inf"}, id="infinity"),
        pytest.param({"a": 2**60}, {"a": 1}, {"a": str(2**60)}, {"a": 1}, id="beyond 2^53"),
        pytest.param(
            {"r": Role.MEMBER}, {"r": Role.ADMIN}, {"r": "member"}, {"r": "admin"}, id="enum"
        ),
        pytest.param({"r": Role.ADMIN}, {"r": "admin"}, {}, {}, id="enum and its value"),
        pytest.param({"i": _ID}, {"i": str(_ID)}, {}, {}, id="uuid and its text"),
        pytest.param(
            {"t": _NOON},
            {"t": _NOON.astimezone(timezone(timedelta(hours=5)))},
            {},
            {},
            id="one instant in two zones",
        ),
        pytest.param(
            {"t": _NOON, "n": datetime(2026, 1, 2), "d": date(2026, 1, 2)},  # noqa: DTZ001  # as databases give them
            {"t": None, "n": None, "d": None},
            {"t": "2026-03-15T12:00:00.000000Z", "n": "2026-01-02T00:00:00", "d": "2026-01-02"},
            {"t": None, "n": None, "d": None},
            id="times",
        ),
        pytest.param(
            {"t": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))},
            {"t": None},
            {"t": "9999-12-31T23:59:59.999999-05:00"},
            {"t": None},
            id="a time that no year of UTC has",
        ),
        pytest.param(
            {"w": timedelta(hours=36), "b": b"\0\1", "p": Path("/a")},
            {"w": 1, "b": 1, "p": 1},
            {"w": "P1DT43200S", "b": "AAE=", "p": "/a"},
            {"w": 1, "b": 1, "p": 1},
            id="durations, bytes, paths",
        ),
        pytest.param(
            {"ip": ipaddress.ip_address("::1")}, {"ip": "::1"}, {}, {}, id="what has a text"
        ),
        pytest.param({1: "a", _ID: 1}, {1: "b", _ID: 1}, {"1": "a"}, {"1": "b"}, id="other keys"),
        pytest.param(
            {"s": _SERVICE, "a": 1},
            {"s": _SERVICE, "a": 2},
            {"a": 1},
            {"a": 2},
            id="no text, but the same",
        ),
        pytest.param(
            {"l": _LOOP, "a": 1},
            {"l": _LOOP, "a": 2},
            {"a": 1},
            {"a": 2},
            id="a loop that is the same",
        ),
    ],
)
def test_what_changed(before: Any, after: Any, previous: Any, new: Any) -> None:
    found = changes(before, after)
    assert found == {"previous": previous, "new": new}
    canonical(found)


def _looped() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    return loop


def _deep(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"end": levels}
    for _ in range(levels):
        tree = {"n": tree}
    return tree


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(1, {}, "before: is of type int; expected a mapping, dataclass", id="a number"),
        pytest.param({}, "text", "after: is of type str", id="a text"),
        pytest.param([1], {}, "before: is of type list", id="a list"),
        pytest.param({}, dict, "after: is of type type", id="a class"),
        pytest.param(
            {"a": {"b": object()}},
            {"a": {"b": 1}},
            "a.b: is of type object, which has no text",
            id="no text",
        ),
        pytest.param({"a": _looped()}, {"a": 1}, "a.self: contains itself", id="a loop"),
        pytest.param(_looped(), _looped(), "self: contains itself", id="two loops"),
        pytest.param(_deep(500), _deep(501), "is nested deeper than 64 levels", id="too deep"),
        pytest.param(_deep(5000), {}, "is nested deeper than 64 levels", id="deeper than Python"),
        pytest.param({1: 1, "1": 2}, {}, "before: has two keys that are spelled alike", id="keys"),
    ],
)
def test_what_cannot_be_compared_is_named_by_its_path(before: Any, after: Any, told: str) -> None:
    with pytest.raises(EventError, match=re.escape(told)):
        changes(before, after)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
_objects = st.dictionaries(st.text(max_size=2), _values, max_size=4)


def _apply(before: Any, previous: Any, new: Any) -> Any:
    """Take back what is gone, and put in what is new."""
    after = copy.deepcopy(before)
    for name in {**previous, **new}:
        if name not in new:
            # Gone as a whole, or only in part.
            if before[name] == previous[name] or not isinstance(before[name], dict):
                del after[name]
            else:
                after[name] = _apply(before[name], previous[name], {})
        elif isinstance(new[name], dict) and isinstance(before.get(name), dict) and new[name]:
            if before[name]:
                after[name] = _apply(before[name], previous.get(name, {}), new[name])
            else:
                after[name] = new[name]
        else:
            after[name] = new[name]
    return after


@pytest.mark.slow
@given(_objects, _objects)
def test_the_difference_leads_from_one_to_the_other(before: Any, after: Any) -> None:
    found = changes(before, after)
    assert _typed(_apply(before, found["previous"], found["new"])) == _typed(after)


def _typed(value: Any) -> bytes:
    return canonical(value)


@given(_objects)
def test_an_object_does_not_differ_from_its_copy_or_its_snapshot(value: Any) -> None:
    nothing: dict[str, Any] = {"previous": {}, "new": {}}
    assert changes(value, copy.deepcopy(value)) == nothing
    assert changes(snapshot(value), value) == nothing
