"""Rows of CSV are read back as what they were, and are no formula to anybody."""

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from webapi.csv_rows import COLUMNS, header, row

EVENT: dict[str, Any] = {
    "id": "0190a1b2-7c3d-7000-8000-00000000000a",
    "timestamp": "2026-03-15T09:00:00.000000Z",
    "organizationId": "org_a",
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u_1", "email": "ana@company.com", "name": 'Ana, "the" María'},
    "targetUser": {"id": "u_2"},
    "resource": {"type": "app", "id": "app_1", "name": "line\nbreak"},
    "context": {"previous": {"role": "member"}, "new": {"role": "admin"}, "reason": "asked"},
    "result": "success",
    "source": {"id": "s", "seq": 7, "service": "web", "host": "h"},
    "hash": "-abc",
    "schemaVersion": 1,
    "ingestedAt": "2026-03-15T09:00:01.000000Z",
}
FORMULA = re.compile('(^|[",;|\t\r\n])[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]')


def read_back(*events: dict[str, Any]) -> list[dict[str, str]]:
    data = header() + b"".join(row(Raw(msgspec.json.encode(event))) for event in events)
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def test_an_event_is_a_row_of_the_columns() -> None:
    (found,) = read_back(EVENT)
    assert tuple(found) == COLUMNS
    texts = {name: text for name, text in found.items() if text}
    assert texts == {
        "id": EVENT["id"],
        "timestamp": EVENT["timestamp"],
        "action": "member.role_changed",
        "result": "success",
        "actor.type": "user",
        "actor.id": "u_1",
        "actor.email": "ana@company.com",
        "actor.name": 'Ana, "the" María',
        "targetUser.id": "u_2",
        "resource.type": "app",
        "resource.id": "app_1",
        "resource.name": "line\nbreak",
        "context.previous": '{"role":"member"}',
        "context.new": '{"role":"admin"}',
        "context": msgspec.json.encode(EVENT["context"]).decode(),
        "organizationId": "org_a",
        "source.id": "s",
        "source.seq": "7",
        "source.service": "web",
        "source.host": "h",
        "hash": "'-abc",
        "schemaVersion": "1",
        "ingestedAt": EVENT["ingestedAt"],
    }


HOSTILE = [
    ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
    ("+1", "'+1"),
    ("-1+2", "'-1+2"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t'=1"),
    ("\r=1", "'\r'=1"),
    ("\uff1d1", "'\uff1d1"),
    ("a;=1", "a;'=1"),
    ('a",=1', "a\",'=1"),
    ('"=1', "\"'=1"),
    ("a\n=1", "a\n'=1"),
    ("a|@x", "a|'@x"),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
    ("ana@company.com", "ana@company.com"),
    ("2026-03-15", "2026-03-15"),
    ("Mozilla/5.0 (X11; +http://x)", "Mozilla/5.0 (X11; +http://x)"),
]


@pytest.mark.parametrize(("text", "cell"), HOSTILE)
def test_no_text_is_a_formula(text: str, cell: str) -> None:
    event = {**EVENT, "actor": {"name": text}, "userAgent": text, "context": {"new": text}}
    (found,) = read_back(event)
    assert (found["actor.name"], found["userAgent"]) == (cell, cell)
    assert json.loads(found["context.new"]) == text
    assert json.loads(found["context"]) == {"new": text}


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"new": -5}, id="a negative number"),
        pytest.param({"new": [1, -5, "a,-5", '",-5']}, id="among others"),
        pytest.param({"=new": {"-a": "=b;=c"}}, id="names"),
        pytest.param({"new": '\\",=1'}, id="behind a quote that is escaped"),
    ],
)
def test_json_stays_the_same_value(context: dict[str, Any]) -> None:
    (found,) = read_back({**EVENT, "context": context})
    assert json.loads(found["context"]) == context
    if "new" in context:
        assert json.loads(found["context.new"]) == context["new"]
    for name in ("context.previous", "context.new", "context"):
        assert FORMULA.search(found[name]) is None, found[name]


def test_what_has_another_shape_is_a_row_too() -> None:
    (found,) = read_back({"id": "x", "actor": [{"name": "a"}], "context": {"new": ["=1"]}})
    assert (found["id"], found["action"]) == ("x", "")
    assert json.loads(found["context.new"]) == ["=1"]


texts = st.text(alphabet=st.sampled_from("=+-@\t\r\n\",;|'a\uff1d \u00e9\x00\\"), max_size=8)
values = st.recursive(
    texts | st.integers(-9, 9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(texts, st.dictionaries(texts | st.sampled_from(["previous", "new"]), values, max_size=3))
def test_any_row_is_read_back_and_no_cell_begins_a_formula(
    name: str, context: dict[str, Any]
) -> None:
    (found,) = read_back({**EVENT, "actor": {"name": name}, "context": context})
    assert json.loads(found["context"]) == context
    assert (found["actor.name"] == "") == (name == "")
    for column, cell in found.items():
        assert FORMULA.search(cell) is None, (column, cell)
