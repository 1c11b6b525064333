"""Places are within the texts they name, and what is added leaves the event as it is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests.test_webapi_search_text import TEXTS
from webapi.errors import ParameterError
from webapi.highlights import (
    MAX_PLACES,
    Highlight,
    Highlighted,
    Highlighter,
    add_highlights,
)
from webapi.search_text import read_text

EVENT: dict[str, Any] = {
    "id": "01a209c8-3fec-704d-9ea0-6979ad24323e",
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u_1", "name": "José  de la Cruz-Núñez"},
    "userAgent": "Mozilla/5.0 (日本語) 10.0.1",
    "context": {"a/b~c": {"x.y": ["one", None, {"z": 1.5}]}, "markup": "<b>bold</b>"},
}


def marked(text: str, event: dict[str, Any] = EVENT) -> list[tuple[str, int, int]]:
    found = Highlighter(read_text(text).node).places(event)
    return [(one.field, one.start, one.end) for one in found]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        pytest.param("jose", [("/actor/name", 0, 4)], id="accents do not count"),
        pytest.param("nun*", [("/actor/name", 17, 20)], id="the beginning of a later word"),
        pytest.param('"de la"', [("/actor/name", 6, 11)], id="a phrase over blanks"),
        pytest.param("日本", [("/userAgent", 13, 14), ("/userAgent", 14, 15)], id="signs"),
        pytest.param("10.0.1", [("/userAgent", 18, 24)], id="a number with dots"),
        pytest.param("one", [("/context/a~1b~0c/x.y/0", 0, 3)], id="a pointer with escapes"),
        pytest.param("context:1.5", [("/context/a~1b~0c/x.y/2/z", 0, 3)], id="a number"),
        pytest.param('"<b>bold</b>"', [("/context/markup", 0, 11)], id="markup stays text"),
        pytest.param("-jose", [], id="what is left out"),
        pytest.param("id:01A209C8-3FEC-704D-9EA0-6979AD24323E", [("/id", 0, 36)], id="the id"),
        pytest.param("member.role_changed", [
            ("/action", 0, 6), ("/action", 7, 11), ("/action", 12, 19)], id="words of an action"),
        pytest.param("category:member", [("/action", 0, 19)], id="a category"),
        pytest.param("nobody", [], id="nothing"),
    ],
)  # fmt: skip
def test_places(text: str, places: list[tuple[str, int, int]]) -> None:
    assert marked(text) == places


@pytest.mark.parametrize(
    ("text", "name", "places"),
    [
        pytest.param("lopez", "Jose\u0301 Lo\u0301pez", ["Lo\u0301pez"], id="a mark inside"),
        pytest.param("jose", "Jose\u0301 Lo\u0301pez", ["Jose\u0301"], id="a mark at its end"),
        pytest.param("lop*", "Jose\u0301 Lo\u0301pez", ["Lo\u0301p"], id="a mark in a beginning"),
        pytest.param("jose*", "Jose\u0301", ["Jose\u0301"], id="a mark at the end of one"),
        pytest.param("lo\u0301pez", "José López", ["López"], id="a mark in the question"),
        pytest.param("प्रिया", "प्रिया शर्मा", ["प्रिया"], id="marks that are vowels"),
        pytest.param("שָׁלוֹם", "שָׁלוֹם דוד", ["שָׁלוֹם"], id="points"),
        pytest.param("οδυσσ*", "ΟΔΥΣΣΕΥΣ", ["ΟΔΥΣΣ"], id="no sigma at the end of a word"),
        pytest.param('"jose"', "José Jose", ["José", "Jose"], id="one word in quotes"),
        pytest.param("タナカ", "タナカ・タロウ", ["タナカ"], id="a run of Katakana"),
        pytest.param("田中", "田中太郎", ["田", "中"], id="signs"),
        pytest.param("ibra*", "İbrahim", ["İbra"], id="a letter that is two in lower case"),
    ],
)  # fmt: skip
def test_places_in_names_of_other_scripts(text: str, name: str, places: list[str]) -> None:
    found = marked(text, {"actor": {"name": name}})
    assert [name[start:end] for _, start, end in found] == places


def test_a_beginning_in_capitals_is_marked_where_accents_count() -> None:
    assert marked("agent:ΟΔΥΣΣ*", {"userAgent": "ΟΔΥΣΣΕΥΣ"}) == [("/userAgent", 0, 5)]


@pytest.mark.parametrize("number", ["1e+21", "-2.5e-9", "1.50", "1e999"])
def test_a_number_is_marked_as_it_is_spelled(number: str) -> None:
    stored = b'{"context":{"x":%b}}' % number.encode()
    highlighter = Highlighter(read_text(f"context.x:{number}").node)
    found = msgspec.json.decode(add_highlights(Raw(stored), highlighter), type=Highlighted)
    assert found.highlights == [Highlight("/context/x", 0, len(number))]


def test_places_are_bounded() -> None:
    many = {**EVENT, "context": {"l": ["x1"] * 5000}}
    assert len(marked("x1", many)) == MAX_PLACES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
EVENTS = st.dictionaries(
    st.sampled_from(
        ["action", "actor", "targetUser", "resource", "ipAddress", "context", "id", "x"]
    ),
    JSON | st.fixed_dictionaries({"id": JSON, "name": JSON, "email": JSON}),
)


def at(event: object, pointer: str) -> str:
    for key in pointer.split("/")[1:]:
        plain = key.replace("~1", "/").replace("~0", "~")
        event = event[int(plain)] if isinstance(event, list) else event[plain]  # type: ignore[index]  # any JSON
    return event if isinstance(event, str) else msgspec.json.encode(event).decode()


@pytest.mark.slow
@given(TEXTS, EVENTS)
def test_places_are_within_the_texts_they_name_whatever_the_event(
    text: str, event: dict[str, Any]
) -> None:
    try:
        highlighter = Highlighter(read_text(text).node)
    except ParameterError:
        return
    found = highlighter.places(event)
    for one in found:
        assert 0 <= one.start < one.end <= len(at(event, one.field))
    stored = msgspec.json.encode(event)
    answered = msgspec.json.decode(add_highlights(Raw(stored), highlighter))
    assert answered.pop("highlights") == msgspec.to_builtins(found)
    assert answered == msgspec.json.decode(stored)
